// Requests of other origins' scripts (the Fetch standard's CORS): what the engine's own answers lack for applications
// in browsers.
import type { Context, Next } from 'koa';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config/config.ts';

// The endpoints whose answers depend on the client's origins. None of them looks at a cookie.
const ofClients = new Set([
  '/token',
  '/revoke',
  '/par',
  '/userinfo',
  '/introspect',
  '/device_authorization',
]);

/** The engine's `clientBasedCORS`: only scripts of the origins that a browser-based client is registered with. */
export const registeredOrigins: NonNullable<Configuration['clientBasedCORS']> = (
  ctx,
  origin,
  client,
) =>
  (ctx.oidc.route === 'userinfo' || client.clientAuthMethod === 'none') &&
  (client.redirectUris ?? []).some((uri) => origin !== 'null' && URL.parse(uri)?.origin === origin);

/**
 * Middleware of the engine. Some applications' libraries send everything with `credentials: 'include'`, and a browser
 * gives them no answer that does not allow it. Registration (RFC 7591) is for scripts of any origin, which have no client
 * yet: what counts is the token that they bring.
 */
export function crossOrigin({ registration }: Pick<Config, 'registration'>) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const origin = ctx.get('Origin');
    if (origin === '') {
      await next();
      return;
    }
    const isPreflight = ctx.method === 'OPTIONS' && ctx.get('Access-Control-Request-Method') !== '';
    const isOfClients = ofClients.has(ctx.path);
    if (registration !== 'off' && /^\/register(\/|$)/.test(ctx.path)) {
      ctx.vary('Origin');
      ctx.set('Access-Control-Allow-Origin', origin);
      ctx.set('Access-Control-Expose-Headers', 'WWW-Authenticate');
      if (isPreflight) {
        allow(ctx, 'GET,POST,PUT,DELETE');
        return;
      }
    }
    await next();
    const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
    // An answer about no known client is for nobody in particular.
    const isAllowed = isPreflight || oidc?.client !== undefined;
    if (isOfClients && isAllowed && ctx.response.get('Access-Control-Allow-Origin') === origin)
      ctx.set('Access-Control-Allow-Credentials', 'true');
  };
}

function allow(ctx: Context, methods: string): void {
  ctx.status = 204;
  ctx.set('Access-Control-Allow-Methods', methods);
  ctx.set('Access-Control-Max-Age', '3600');
  const headers = ctx.get('Access-Control-Request-Headers');
  if (headers !== '') ctx.set('Access-Control-Allow-Headers', headers);
}
