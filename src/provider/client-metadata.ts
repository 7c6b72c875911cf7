// What a client may register: the values of its metadata, which are named in own-metadata.ts, and what is refused.
import { isDeepStrictEqual } from 'node:util';
import { type KoaContextWithOIDC, errors } from 'oidc-provider';
import { fapi2Algorithms, isFapi2 } from './fapi2.ts';
import { cibaGrant } from './grant-types.ts';
import { assertUris, unnamedType } from './redirect-uris.ts';
import type { Registrant } from './registration.ts';
import { type Introduced, introduce } from './strangers.ts';
import { type OwnMetadata, type OwnName, clientMetadata } from './own-metadata.ts';

/** What the validation of metadata depends on. */
export interface MetadataRules {
  /** Whether this client registers itself, and whether it was invited. */
  readonly registrantOf: (
    ctx: KoaContextWithOIDC | undefined,
    metadata: object,
  ) => Registrant | undefined;
  /** The server's defaults. */
  readonly defaults: (metadata: object) => OwnMetadata;
}

/**
 * The engine's `extraClientMetadata.validator`. It may complete the metadata.
 *
 * @param metadata all of the client's metadata, under the specification's names
 * @throws {errors.InvalidClientMetadata} naming the field and what it wants
 */
export function validateClientMetadata(
  { registrantOf, defaults }: MetadataRules,
  ctx: KoaContextWithOIDC | undefined,
  name: string,
  value: unknown,
  metadata: object,
): void {
  const { grant_types: grants } = metadata as { grant_types?: unknown };
  if (Array.isArray(grants) && grants.includes(cibaGrant) && !authenticates(metadata)) {
    throw new errors.InvalidClientMetadata(
      `grant_types: ${cibaGrant} is only for a client that authenticates`,
    );
  }
  const registrant = registrantOf(ctx, metadata);
  refuseMalformed(metadata);
  assertUris(metadata, registrant ?? 'known');
  (metadata as StandardMetadata).application_type ??= registrant ? unnamedType(metadata) : 'web';
  if (registrant && name === 'vouched_for') introduce(registrant, ctx, metadata as Introduced);
  if (value === undefined) return;
  const { schema, wants } = clientMetadata[name as OwnName];
  if (!schema.safeParse(value).success) {
    throw new errors.InvalidClientMetadata(`${name} must be ${wants}`);
  }
  if (name === 'refresh_token_on_reuse' && value === 'refuse' && !authenticates(metadata)) {
    throw new errors.InvalidClientMetadata(
      `${name} may be "refuse" only for a client that authenticates: for a public client a used-up token is the only sign of a theft`,
    );
  }
  if (registrant) refusePrivilege(name as OwnName, value, ctx?.oidc.client);
  if (registrant === 'alone')
    refuseGenerosity(name as OwnName, value, metadata, defaults(metadata));
  if (name === 'security_profile') applyFapi2(metadata);
}

// The engine uses some members before it has checked their types.
function refuseMalformed(metadata: object): void {
  const { redirect_uris: uris, response_types: types } = metadata as Record<string, unknown>;
  for (const [name, list] of Object.entries({ redirect_uris: uris, response_types: types })) {
    const isList = Array.isArray(list) && list.every((one) => typeof one === 'string');
    if (list !== undefined && !isList)
      throw new errors.InvalidClientMetadata(`${name} must be an array of strings`);
  }
}

const operatorsOnly: readonly OwnName[] = [
  'resource_scopes',
  'token_exchange_from',
  'token_exchange_to',
  'minimum_acr',
  'disabled',
  'allowed_groups', // a client that names some could find out who is in them
  'first_party',
  'required_scopes', // or people could leave nothing out
];

// Refuses what only an operator may give. A client that changes its registration sends all of it (RFC 7592 §2.2), also
// what the operator has added.
function refusePrivilege(name: OwnName, value: unknown, before: object | undefined): void {
  const isUnchanged =
    before !== undefined && isDeepStrictEqual(value, (before as OwnMetadata)[name]);
  if (operatorsOnly.includes(name) && !isUnchanged) throw ofOperators(name);
}

// A client that registers itself without an invitation may be stricter than the server, not more generous.
function refuseGenerosity(
  name: OwnName,
  value: unknown,
  metadata: object,
  defaults: OwnMetadata,
): void {
  const refused = ofOperators(name);
  const limit = defaults[name];
  if (typeof value === 'number' && typeof limit === 'number' && value > limit) throw refused;
  if (name === 'refresh_token_max_late_retries') {
    const most = (limit ?? []) as readonly number[];
    // 0 is any number.
    const isMore = (number: number, at: number) =>
      most[at] !== 0 && (number === 0 || number > (most[at] ?? 0));
    if ((value as readonly number[]).some(isMore)) throw refused;
  }
  if (name === 'refresh_token_on_reuse' && value !== 'revoke_grant' && value !== limit)
    throw refused;
  if (name === 'refresh_token_rotation' && value !== 'always' && value !== limit) {
    // FAPI 2.0 requires it.
    if (value !== 'unless_sender_constrained' || !isFapi2(metadata)) throw refused;
  }
}

function ofOperators(name: OwnName): errors.InvalidClientMetadata {
  return new errors.InvalidClientMetadata(
    `${name}: a client that registers itself may not have this`,
  );
}

interface StandardMetadata {
  application_type?: string | null;
  token_endpoint_auth_method?: string;
  token_endpoint_auth_signing_alg?: string;
  request_object_signing_alg?: string;
  id_token_signed_response_alg?: string;
  authorization_signed_response_alg?: string;
  userinfo_signed_response_alg?: string;
  introspection_signed_response_alg?: string;
  response_types?: string[];
  redirect_uris?: string[];
  require_pushed_authorization_requests?: boolean;
  dpop_bound_access_tokens?: boolean;
  tls_client_certificate_bound_access_tokens?: boolean;
  refresh_token_rotation?: string;
  refresh_token_max_late_retries?: readonly [number, number];
}

// FAPI 2.0 Security Profile §5.3.2 and §5.4: defaults are set, what is not allowed is refused.
function applyFapi2(metadata: StandardMetadata): void {
  const refuse = (what: string) => {
    throw new errors.InvalidClientMetadata(`security_profile "fapi2": ${what}`);
  };
  if (!authenticatesWithKey(metadata)) {
    refuse('token_endpoint_auth_method must be private_key_jwt or mutual TLS');
  }
  if (metadata.response_types?.some((type) => type !== 'code')) {
    refuse('response_types must be ["code"]');
  }
  for (const uri of metadata.redirect_uris ?? []) {
    const { protocol, hostname } = URL.parse(uri) ?? { protocol: '', hostname: '' };
    if (protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname))
      refuse('redirect_uris must be https');
  }
  metadata.require_pushed_authorization_requests = true;
  if (!metadata.tls_client_certificate_bound_access_tokens)
    metadata.dpop_bound_access_tokens = true;
  metadata.refresh_token_rotation ??= 'unless_sender_constrained';
  for (const name of [
    'id_token_signed_response_alg',
    'authorization_signed_response_alg',
    'userinfo_signed_response_alg',
    'introspection_signed_response_alg',
  ] as const) {
    // RS256 is the default of a client that names no algorithm.
    if (metadata[name] === 'RS256') metadata[name] = 'PS256';
  }
  for (const name of ['token_endpoint_auth_signing_alg', 'request_object_signing_alg'] as const) {
    const alg = metadata[name];
    if (alg !== undefined && !fapi2Algorithms.includes(alg))
      refuse(`${name} must be ${fapi2Algorithms.join(', ')}`);
  }
}

// The engine's Client names the method in camel case, plain metadata as the specification does.
function authMethod(metadata: object): string {
  const { clientAuthMethod, token_endpoint_auth_method: method } = metadata as OwnMetadata;
  return clientAuthMethod ?? method ?? 'client_secret_basic';
}

/** Only the authentication method of a client's metadata. */
export function authOf(metadata: object): OwnMetadata {
  return { token_endpoint_auth_method: authMethod(metadata) };
}

/** Whether a client authenticates at all. */
export function authenticates(metadata: object): boolean {
  return authMethod(metadata) !== 'none';
}

/** FAPI 2.0 §5.3.2.1: such a client's refresh token is bound to it by its authentication. */
export function authenticatesWithKey(metadata: object): boolean {
  return ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'].includes(
    authMethod(metadata),
  );
}
