// The engine that serves now. It is immutable, and its signing keys are part of it: other keys make another engine,
// which takes the next requests while the former one finishes its own.
import type { Middleware } from 'koa';
import type { Provider } from 'oidc-provider';
import mount from 'koa-mount';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { cookieKeys } from '../operations/bound-cookies.ts';
import type { ProviderParts } from './configuration.ts';
import { createProvider } from './provider.ts';

export interface Engine {
  /** The provider that serves now: look it up for every request. */
  readonly provider: Provider;
  /** Everything below the issuer's path. */
  readonly middleware: Middleware;
  /** From now on serves with these keys. */
  use(signingKeys: SigningKeys): void;
}

/** @param observe called with every provider that is made, before it serves */
export function createEngine(
  parts: Omit<ProviderParts, 'signingKeys'>,
  signingKeys: SigningKeys,
  observe: (provider: Provider) => void,
): Engine {
  const { basePath } = parts.config;
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

  function make(keys: SigningKeys): { provider: Provider; mounted: Middleware } {
    const made = createProvider({ ...parts, signingKeys: keys });
    // As the application that it is mounted in.
    made.proxy = true;
    made.keys = cookieKeys(parts.storage.keyring.cookieKeys);
    observe(made);
    return { provider: made, mounted: mount(basePath || '/', made) };
  }
}
