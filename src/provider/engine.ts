// The engine that serves now. Signing keys are part of it and it is immutable: other keys make another, which takes
// the next requests while the one before finishes those that it has.
import type { Middleware } from 'koa';
import type { JWK, Provider } from 'oidc-provider';
import mount from 'koa-mount';
import type { ProviderParts } from './configuration.ts';
import { createProvider } from './provider.ts';

export interface Engine {
  /** The one that serves now: ask for it with every request. */
  readonly provider: Provider;
  /** Everything below the issuer's path. */
  readonly middleware: Middleware;
  /** Serves with these keys from now on. */
  use(signingKeys: readonly JWK[]): void;
}

/** @param observe told of every provider that is made, before it serves */
export function createEngine(
  parts: Omit<ProviderParts, 'signingKeys'>,
  signingKeys: readonly JWK[],
  observe: (provider: Provider) => void,
): Engine {
  const { basePath, trustProxy } = parts.config;
  let { provider, mounted } = make(signingKeys);
  return {
    get provider() {
      return provider;
    },
    middleware: async (ctx, next) => {
      await mounted(ctx, next);
    },
    use(keys) {
      ({ provider, mounted } = make(keys));
    },
  };

  function make(keys: readonly JWK[]): { provider: Provider; mounted: Middleware } {
    const made = createProvider({ ...parts, signingKeys: keys });
    made.proxy = trustProxy;
    observe(made);
    return { provider: made, mounted: mount(basePath || '/', made) };
  }
}
