// Clients: how they authenticate, what they may register, and their defaults.
import type { Configuration } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { registeredOrigins } from './cross-origin.ts';
import { clientAssertions } from './client-assertions.ts';
import { authOf, validateClientMetadata } from './client-metadata.ts';
import { clientMetadata } from './own-metadata.ts';
import { isFapi2 } from './fapi2.ts';
import { tidyScope } from './parameters.ts';
import type { Storage } from '../storage/storage.ts';
import type { RefreshPolicy } from './refresh-policy.ts';
import { registrantOf } from './registration.ts';
import { validateRequestUris } from './request-uri.ts';

type Clients = Pick<
  Configuration,
  | 'clientAuthMethods'
  | 'assertJwtClientAuthClaimsAndHeader'
  | 'clientDefaults'
  | 'extraClientMetadata'
  | 'responseTypes'
  | 'pkce'
  | 'clientBasedCORS'
>;

export function clients(
  { config, storage }: { readonly config: Config; readonly storage: Storage },
  policy: RefreshPolicy,
): Clients {
  const rules = {
    registrantOf: registrantOf(config),
    defaults: (metadata: object) => policy.inEffect(authOf(metadata)),
  };
  return {
    clientAuthMethods: [
      ...(config.tlsClient || config.tls?.mtlsPort !== undefined
        ? (['tls_client_auth', 'self_signed_tls_client_auth'] as const)
        : []),
      'client_secret_basic',
      'client_secret_post',
      'client_secret_jwt',
      'private_key_jwt',
      'none',
    ],
    assertJwtClientAuthClaimsAndHeader: clientAssertions(storage),
    clientDefaults: {
      application_type: null as unknown as 'web', // client-metadata.ts decides
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'client_secret_basic',
    },
    extraClientMetadata: {
      properties: [...Object.keys(clientMetadata), 'request_uris'],
      validator: (ctx, name, value, metadata) => {
        tidyScope(metadata);
        if (name === 'request_uris') validateRequestUris(value);
        else validateClientMetadata(rules, ctx, name, value, metadata);
      },
    },
    // The default is `code` alone. The others are for old applications: tokens in the front channel leak (RFC 9700
    // §2.1.2), and none of these types gives a refresh token without a code.
    responseTypes: [
      'code',
      'code id_token',
      'code token',
      'code id_token token',
      'id_token',
      'id_token token',
    ],
    pkce: {
      required: (_ctx, client) =>
        config.requirePkce || client.clientAuthMethod === 'none' || isFapi2(client),
    },
    clientBasedCORS: registeredOrigins,
  };
}
