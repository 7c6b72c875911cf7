// Which methods the engine has a route for, which it does not tell.
import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';

class Matched extends Error {}

/** Whether the engine has a route. @param path below the issuer's */
export function hasRoute(provider: Provider, method: string, path: string): boolean {
  // The engine's last middleware is its router. It assigns the parameters of a route that it has found, then runs it.
  const router = provider.middleware.at(-1);
  const probe = {
    method,
    path,
    set params(_found: unknown) {
      throw new Matched();
    },
  };
  try {
    void router?.(probe as unknown as Context & { params: unknown }, () => Promise.resolve());
    return false;
  } catch (error) {
    if (error instanceof Matched) return true;
    throw error;
  }
}
