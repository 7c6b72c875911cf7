// Completes and corrects the engine's discovery document (RFC 8414, RFC 8705 §5), and sets how long it and the keys may
// be cached.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { loadLanguages } from '../languages.ts';
import { aliased, atMtlsPort } from './mutual-tls.ts';
import { expirationTypes } from './refresh-answers.ts';

const KEPT = 300; // seconds

/** Middleware of the engine that adds to its discovery document. */
export function completeDiscovery(config: Config) {
  const languages = loadLanguages(config.theme.views).all.map(({ tag }) => tag);
  return async (ctx: Context, next: Next): Promise<void> => {
    await next();
    const route = (ctx as unknown as Partial<KoaContextWithOIDC>).oidc?.route;
    if (ctx.status !== 200 || (route !== 'discovery' && route !== 'jwks')) return;
    ctx.set('Cache-Control', `public, max-age=${KEPT}`);
    if (route === 'jwks') return;
    const document = ctx.body as Record<string, unknown>;
    // Revocation (RFC 7009 §2) and introspection (RFC 7662 §4) take the same methods as the token endpoint.
    for (const endpoint of ['revocation', 'introspection']) {
      document[`${endpoint}_endpoint_auth_methods_supported`] = (
        document['token_endpoint_auth_methods_supported'] as string[]
      ).filter((method) => endpoint === 'revocation' || method !== 'none');
      document[`${endpoint}_endpoint_auth_signing_alg_values_supported`] =
        document['token_endpoint_auth_signing_alg_values_supported'];
    }
    document['ui_locales_supported'] = languages;
    document['prompt_values_supported'] = promptValues(config);
    document['request_uri_parameter_supported'] = true;
    document['require_request_uri_registration'] = true;
    document['refresh_token_expiration_types_supported'] = expirationTypes;
    if (config.ciba) document['backchannel_user_code_parameter_supported'] = false;
    if (config.tls?.mtlsPort !== undefined) {
      document['mtls_endpoint_aliases'] = Object.fromEntries(
        aliased
          .map((name) => `${name}_endpoint`)
          .filter((name) => typeof document[name] === 'string')
          .map((name) => [name, atMtlsPort(config, document[name] as string)]),
      );
    }
  };
}

/** Initiating User Registration via OpenID Connect §4.1. */
function promptValues({ signUp }: Pick<Config, 'signUp'>): string[] {
  const values = ['none', 'login', 'consent', 'select_account'];
  return signUp === 'open' ? [...values, 'create'] : values;
}
