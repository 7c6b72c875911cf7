// Client metadata of Symbolon's own: its members, their values, and what a client may not register.
import { type KoaContextWithOIDC, errors } from 'oidc-provider';
import { z } from 'zod';
import { fapi2Algorithms, isFapi2 } from './fapi2.ts';
import { cibaGrant } from './grant-types.ts';
import { assertUris, unnamedType } from './redirect-uris.ts';
import type { Registrant } from './registration.ts';
import { type Introduced, introduce } from './strangers.ts';

const seconds = z.number().int().min(1).max(3_155_760_000);

/** Symbolon's own members of client metadata, each with a schema and its description in words. */
export const clientMetadata = {
  client_assertion_audience: {
    schema: z.enum(['issuer', 'token_endpoint']),
    wants: '"issuer" or "token_endpoint"',
    help: 'What an assertion by which the client authenticates names as its audience (`aud`), and nothing else: the issuer, or, for libraries that cannot do otherwise (Spring Security), the URL of the token endpoint.',
    fallback: '`issuer`',
  },
  refresh_token_rotation: {
    schema: z.enum(['always', 'unless_sender_constrained', 'never']),
    wants: '"always", "unless_sender_constrained" or "never"',
    help: 'Whether a use replaces the token. `unless_sender_constrained` leaves a token alone that is bound to a key or whose client authenticates with one (FAPI 2.0).',
    fallback: '`SYMBOLON_REFRESH_TOKEN_ROTATION`',
  },
  refresh_token_retry_window: {
    schema: z.number().int().min(0).max(86_400),
    wants: 'a number of seconds from 0 (off) to 86400',
    help: 'How long the token just used is answered again, with the same successor.',
    fallback:
      '`SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW` for a token bound to a key, `SYMBOLON_REFRESH_TOKEN_CLIENT_RETRY_WINDOW` for a client that authenticates, else `SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW`',
  },
  refresh_token_max_late_retries: {
    schema: z.tuple([z.number().int().min(0).max(1000), z.number().int().min(0).max(1000)]),
    wants: 'two numbers from 0 (off) to 1000',
    help: 'In how many generations in a row the former token may be answered again late: from another device than the first answer, and from the same. The next one is taken for a copy in use.',
    fallback: '`SYMBOLON_REFRESH_TOKEN_MAX_LATE_RETRIES`',
  },
  refresh_token_on_reuse: {
    schema: z.enum(['revoke_family', 'revoke_grant', 'refuse']),
    wants: '"revoke_family", "revoke_grant" or "refuse"',
    help: 'What a used-up token ends: its family, its grant with everything issued from it, or nothing (only for clients that authenticate).',
    fallback: '`SYMBOLON_REFRESH_TOKEN_ON_REUSE`',
  },
  refresh_token_idle_ttl: {
    schema: seconds,
    wants: 'a number of seconds from 1',
    help: 'How long a family lives since its last use.',
    fallback: '`SYMBOLON_REFRESH_TOKEN_IDLE_TTL`',
  },
  refresh_token_absolute_ttl: {
    schema: seconds,
    wants: 'a number of seconds from 1',
    help: 'How long a family lives since it was first issued.',
    fallback: '`SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL`',
  },
  refresh_token_max_families: {
    schema: z.number().int().min(1).max(10_000),
    wants: 'a number from 1 to 10000',
    help: 'How many living families a person may have with this client; the oldest ends for the next.',
    fallback: '`SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES`',
  },
  refresh_token_expires_in: {
    schema: z.boolean(),
    wants: 'true or false',
    help: 'Whether token answers tell `refresh_token_expires_in`, in seconds.',
    fallback: '`false`',
  },
  offline_access_prompt: {
    schema: z.enum(['automatic', 'required']),
    wants: '"automatic" or "required"',
    help: 'Whether offline access is ignored without `prompt=consent` in the request (`required`), or asks for consent by itself.',
    fallback: '`automatic`',
  },
  offline_access_ends_with_session: {
    schema: z.boolean(),
    wants: 'true or false',
    help: 'Whether signing out of the provider ends the family that was started in that session.',
    fallback: '`false`',
  },
  resource_scopes: {
    schema: z.record(z.string(), z.array(z.string())),
    wants: 'an object of resource indicators, each with an array of scopes',
    help: 'What the client may ask for of which resources, and nothing else.',
    fallback: 'all of every resource; for a client that registered itself, what people allow it',
  },
  token_exchange_from: {
    schema: z.array(z.string()).max(100),
    wants: 'an array of resource indicators',
    help: 'The resources whose tokens the client may exchange (RFC 8693): those that it is the server of.',
    fallback: 'none',
  },
  token_exchange_to: {
    schema: z.array(z.string()).max(100),
    wants: 'an array of resource indicators',
    help: 'The resources for which it may get a token in exchange.',
    fallback: 'none',
  },
  first_party: {
    schema: z.boolean(),
    wants: 'true or false',
    help: 'Whether it is the operator’s own: people are not asked for consent, except for offline access the first time.',
    fallback: '`false`',
  },
  vouched_for: {
    schema: z.boolean(),
    wants: 'true or false',
    help: 'Whether somebody here knows whose it is: people are not warned of it, and its name, links and redirects are trusted.',
    fallback:
      '`true`; `false` for a client that registered itself without an initial access token, or by document',
  },
  required_scopes: {
    schema: z.string().max(2000),
    wants: 'a string of scopes separated by spaces',
    help: 'The scopes that the client cannot do without: on the consent page people can leave out any other.',
    fallback: '`openid`',
  },
  minimum_acr: {
    schema: z.enum(['1fa', '2fa', 'phr']),
    wants: '"1fa", "2fa" or "phr"',
    help: 'The level that a person must have signed in with, whatever the request asks for: `2fa` with a second factor, `phr` with a passkey. See [sign-in](sign-in.md#levels).',
    fallback: 'none',
  },
  security_profile: {
    schema: z.enum(['fapi2']),
    wants: '"fapi2"',
    help: 'Switches everything on that FAPI 2.0 Security Profile asks of a client.',
    fallback: 'none',
  },
} as const;

type Name = keyof typeof clientMetadata;
export type OwnMetadata = {
  -readonly [Key in Name]?: z.output<(typeof clientMetadata)[Key]['schema']>;
} & {
  clientAuthMethod?: string;
  token_endpoint_auth_method?: string;
};

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
  const { schema, wants } = clientMetadata[name as Name];
  if (!schema.safeParse(value).success) {
    throw new errors.InvalidClientMetadata(`${name} must be ${wants}`);
  }
  if (name === 'refresh_token_on_reuse' && value === 'refuse' && !authenticates(metadata)) {
    throw new errors.InvalidClientMetadata(
      `${name} may be "refuse" only for a client that authenticates: for a public client a used-up token is the only sign of a theft`,
    );
  }
  if (registrant) refusePrivilege(name as Name);
  if (registrant === 'alone') refuseGenerosity(name as Name, value, metadata, defaults(metadata));
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

const operatorsOnly: readonly Name[] = [
  'resource_scopes',
  'token_exchange_from',
  'token_exchange_to',
  'minimum_acr',
  'first_party',
  'required_scopes', // or people could leave nothing out
];

// Refuses what only an operator may give.
function refusePrivilege(name: Name): void {
  if (operatorsOnly.includes(name)) throw ofOperators(name);
}

// A client that registers itself without an invitation may be stricter than the server, not more generous.
function refuseGenerosity(
  name: Name,
  value: unknown,
  metadata: object,
  defaults: OwnMetadata,
): void {
  const refused = ofOperators(name);
  const limit = defaults[name];
  if (typeof value === 'number' && typeof limit === 'number' && value > limit) throw refused;
  if (name === 'refresh_token_on_reuse' && value !== 'revoke_grant' && value !== limit)
    throw refused;
  if (name === 'refresh_token_rotation' && value !== 'always' && value !== limit) {
    // FAPI 2.0 requires it.
    if (value !== 'unless_sender_constrained' || !isFapi2(metadata)) throw refused;
  }
}

function ofOperators(name: Name): errors.InvalidClientMetadata {
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
