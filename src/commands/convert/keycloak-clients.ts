// Keycloak's clients (ClientRepresentation) as metadata in the names of OpenID Connect Dynamic Client Registration 1.0 §2.
import { z } from 'zod';
import { standardScopes } from '../../config/claims.ts';
import { cibaGrant, deviceCode } from '../../provider/grant-types.ts';
import type { ConvertedClient } from './source.ts';
import { leastSecret } from './secrets.ts';

const names = z.array(z.string()).default([]);

export const mapperSchema = z.looseObject({
  name: z.string().default(''),
  protocolMapper: z.string(),
  config: z.record(z.string(), z.string()).default({}),
});

export type Mapper = z.output<typeof mapperSchema>;

export const clientSchema = z.looseObject({
  id: z.string(),
  clientId: z.string(),
  name: z.string().optional(),
  protocol: z.string().default('openid-connect'),
  enabled: z.boolean().default(true),
  bearerOnly: z.boolean().default(false),
  publicClient: z.boolean().default(false),
  consentRequired: z.boolean().default(false),
  standardFlowEnabled: z.boolean().default(true),
  implicitFlowEnabled: z.boolean().default(false),
  directAccessGrantsEnabled: z.boolean().default(false),
  serviceAccountsEnabled: z.boolean().default(false),
  clientAuthenticatorType: z.string().default('client-secret'),
  secret: z.string().optional(),
  rootUrl: z.string().optional(),
  baseUrl: z.string().optional(),
  redirectUris: names,
  webOrigins: names,
  attributes: z.record(z.string(), z.string()).default({}),
  protocolMappers: z.array(mapperSchema).default([]),
  defaultClientScopes: names,
  optionalClientScopes: names,
});

type Client = z.output<typeof clientSchema>;
type Say = (remark: string) => void;

const own = new Set(
  'account account-console admin-cli broker realm-management security-admin-console'.split(' '),
);

/** Whether a client is one of Keycloak's own pages. */
export function isOwnClient(clientId: string): boolean {
  return own.has(clientId);
}

/** @returns undefined when it is no client here, after it has been said why */
export function convertClient(client: Client, say: Say): ConvertedClient | undefined {
  const remark: Say = (text) => {
    say(`client ${client.clientId}: ${text}`);
  };
  if (client.protocol !== 'openid-connect') {
    remark(`not taken, since it speaks ${client.protocol}`);
    return undefined;
  }
  if (client.bearerOnly) {
    remark('not taken, since it is a resource server: "symbolon resource add" registers it');
    return undefined;
  }
  if (!client.enabled) {
    remark('not taken, since it is disabled');
    return undefined;
  }
  const { attributes } = client;
  const method = authentication(client, remark);
  const grants = grantTypes(client, remark);
  const redirects = redirectUris(client, remark);
  const withPeople = grants.some((grant) => grant !== 'client_credentials');
  const whether = (name: string) => (attributes[name] === 'true' ? true : undefined);
  const given = {
    client_id: client.clientId,
    client_name: client.name || undefined,
    client_uri: client.baseUrl ? resolved(client.baseUrl, client.rootUrl) : undefined,
    logo_uri: attributes['logoUri'],
    policy_uri: attributes['policyUri'],
    tos_uri: attributes['tosUri'],
    grant_types: grants,
    response_types: grants.includes('authorization_code') ? ['code'] : [],
    redirect_uris: grants.includes('authorization_code') ? redirects : [],
    application_type: redirects.some(isNative) ? 'native' : undefined,
    post_logout_redirect_uris: afterLogout(client, redirects, remark),
    backchannel_logout_uri: attributes['backchannel.logout.url'],
    backchannel_logout_session_required: whether('backchannel.logout.session.required'),
    scope: withPeople ? scopes(client) : undefined,
    groups_in: groupsIn(client),
    ...method,
    id_token_signed_response_alg: attributes['id.token.signed.response.alg'],
    userinfo_signed_response_alg: attributes['user.info.response.signature.alg'],
    request_object_signing_alg: algorithm(attributes['request.object.signature.alg']),
    dpop_bound_access_tokens: whether('dpop.bound.access.tokens'),
    require_pushed_authorization_requests: whether('require.pushed.authorization.requests'),
    first_party: withPeople && !client.consentRequired ? true : undefined,
  };
  remarkOnTheRest(client, remark);
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && value !== ''),
  ) as unknown as ConvertedClient;
}

function authentication(client: Client, remark: Say): Partial<ConvertedClient> {
  const { attributes, secret } = client;
  if (client.publicClient) return { token_endpoint_auth_method: 'none' };
  if (client.clientAuthenticatorType === 'client-jwt') {
    const isByUrl = attributes['use.jwks.url'] === 'true';
    if (!isByUrl)
      remark('its key is a certificate in Keycloak: add its public key as jwks, or a jwks_uri');
    return {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: algorithm(attributes['token.endpoint.auth.signing.alg']),
      jwks_uri: isByUrl ? attributes['jwks.url'] : undefined,
    };
  }
  if (client.clientAuthenticatorType === 'client-x509') {
    remark(
      'its subject of the certificate is Keycloak’s pattern: look at tls_client_auth_subject_dn',
    );
    return {
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_subject_dn: attributes['x509.subjectdn'],
    };
  }
  const isJwt = client.clientAuthenticatorType === 'client-secret-jwt';
  const method = isJwt ? 'client_secret_jwt' : 'client_secret_basic';
  return {
    token_endpoint_auth_method: method,
    client_secret: leastSecret(secret, method, remark),
  };
}

function grantTypes(client: Client, remark: Say): string[] {
  const { attributes } = client;
  const isDevice = attributes['oauth2.device.authorization.grant.enabled'] === 'true';
  const isCiba = attributes['oidc.ciba.grant.enabled'] === 'true';
  if (client.implicitFlowEnabled) remark('the implicit flow is not taken: use the code with PKCE');
  if (client.directAccessGrantsEnabled)
    remark('the password grant is not taken (SYMBOLON_ENABLE_PASSWORD_GRANT)');
  if (attributes['standard.token.exchange.enabled'] === 'true')
    remark('token exchange is not taken: see token_exchange_from');
  if (isCiba) remark('CIBA needs SYMBOLON_ENABLE_CIBA');
  const withPeople = client.standardFlowEnabled || isDevice || isCiba;
  const refreshes = withPeople && attributes['use.refresh.tokens'] !== 'false';
  return [
    ...(client.standardFlowEnabled ? ['authorization_code'] : []),
    ...(isDevice ? [deviceCode] : []),
    ...(isCiba ? [cibaGrant] : []),
    ...(refreshes ? ['refresh_token'] : []),
    ...(client.serviceAccountsEnabled && !client.publicClient ? ['client_credentials'] : []),
  ];
}

function redirectUris({ redirectUris, rootUrl }: Client, remark: Say): string[] {
  return redirectUris.flatMap((given) => {
    const uri = resolved(given, rootUrl);
    if (uri.includes('*'))
      remark(`the redirect URI ${uri} is not taken: register each as it is, without *`);
    else if (!/^[a-z][a-z0-9+.-]*:/i.test(uri))
      remark(`the redirect URI ${uri} is not taken: there is no root URL to complete it`);
    else return [uri];
    return [];
  });
}

function afterLogout(
  { attributes, rootUrl }: Client,
  redirects: readonly string[],
  remark: Say,
): string[] | undefined {
  const listed = (attributes['post.logout.redirect.uris'] ?? '').split('##');
  const all = listed.flatMap((one) => {
    if (one === '+') return redirects.filter((uri) => /^https?:/.test(uri));
    if (one === '' || one === '-') return [];
    const uri = resolved(one, rootUrl);
    if (!uri.includes('*')) return [uri];
    remark(`the post-logout redirect URI ${uri} is not taken: register each as it is, without *`);
    return [];
  });
  return all.length === 0 ? undefined : [...new Set(all)];
}

function isNative(uri: string): boolean {
  return !/^https?:/.test(uri);
}

function algorithm(name: string | undefined): string | undefined {
  return name === 'any' || name === 'none' ? undefined : name;
}

// Named only where it is narrower than what everybody may ask for. Scopes of Keycloak's own have no claims here.
function scopes({ defaultClientScopes, optionalClientScopes }: Client): string | undefined {
  const all = new Set([
    'openid',
    'offline_access',
    ...defaultClientScopes,
    ...optionalClientScopes,
  ]);
  const known = standardScopes.filter((scope) => all.has(scope));
  return known.length === standardScopes.length ? undefined : [...known, 'groups'].join(' ');
}

function groupsIn({ protocolMappers }: Client): string[] | undefined {
  const mapper = protocolMappers.find(isGroups);
  if (!mapper) return undefined;
  const places = {
    id_token: 'id.token.claim',
    userinfo: 'userinfo.token.claim',
    access_token: 'access.token.claim',
  };
  return Object.entries(places).flatMap(([place, name]) =>
    mapper.config[name] === 'true' ? [place] : [],
  );
}

function isGroups({ protocolMapper, config }: Mapper): boolean {
  return protocolMapper === 'oidc-group-membership-mapper' && config['claim.name'] === 'groups';
}

function remarkOnTheRest(client: Client, remark: Say): void {
  const { attributes, webOrigins, redirectUris, rootUrl } = client;
  for (const mapper of client.protocolMappers.filter((one) => !isGroups(one)))
    remark(`the mapper ${mapper.name} is not taken: see scopes and claims`);
  const origins = new Set(
    redirectUris.map((uri) => URL.parse(resolved(uri, rootUrl))?.origin ?? ''),
  );
  for (const origin of webOrigins.filter((one) => one !== '+' && !origins.has(one)))
    remark(`the web origin ${origin} is not taken: those of the redirect URIs count`);
  if (attributes['frontchannel.logout.url'])
    remark('front-channel logout is not taken: use backchannel_logout_uri');
  for (const name of [
    'access.token.lifespan',
    'client.session.idle.timeout',
    'client.session.max.lifespan',
  ])
    if (attributes[name])
      remark(`${name} is not taken: see refresh_token_idle_ttl, and the settings`);
}

/** A URI, completed by the client's root where it begins with a slash. */
function resolved(uri: string, root = ''): string {
  return uri.startsWith('/') ? root.replace(/\/+$/, '') + uri : uri;
}
