// How refresh tokens rotate, live and end: the server's defaults, and what a client's metadata says instead.
import { errors } from 'oidc-provider';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { FamilyPolicy } from '../storage/adapter.ts';

const seconds = z.number().int().min(1).max(3_155_760_000);

/** Client metadata of Symbolon's own: what each may be, in a schema and in words. */
export const clientMetadata = {
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
      '`SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW` for a public client’s unbound token, else `SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW`',
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
} as const;

type Name = keyof typeof clientMetadata;
type Metadata = { -readonly [Key in Name]?: z.output<(typeof clientMetadata)[Key]['schema']> } & {
  clientAuthMethod?: string;
  token_endpoint_auth_method?: string;
};

/**
 * The engine's `extraClientMetadata.validator`.
 *
 * @param metadata all of the client's metadata, under the specification's names
 * @throws {errors.InvalidClientMetadata} with the field and what it wants
 */
export function validateClientMetadata(name: string, value: unknown, metadata: object): void {
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
}

export interface RefreshPolicy extends FamilyPolicy {
  readonly idleTtl: (metadata: object) => number;
  /** Whether a use of this token replaces it. */
  readonly rotates: (metadata: object, token: { isSenderConstrained(): boolean }) => boolean;
  /** The life of the token about to be saved, in seconds: idle, but never beyond the absolute end. */
  readonly remaining: (metadata: object, firstIssuedAt: number, now: number) => number;
  /** All that holds for a client, its own or by default, under the metadata's names; times in seconds. */
  readonly inEffect: (metadata: object) => Record<string, string | number>;
}

export function refreshPolicy({
  ttl: defaults,
  refreshToken,
}: Pick<Config, 'ttl' | 'refreshToken'>): RefreshPolicy {
  const of = (metadata: object) => metadata as Metadata;
  const idleTtl = (metadata: object) =>
    of(metadata).refresh_token_idle_ttl ?? defaults.refreshTokenIdle;
  const absoluteTtl = (metadata: object) =>
    of(metadata).refresh_token_absolute_ttl ?? defaults.refreshTokenAbsolute;
  const rotation = (metadata: object) =>
    of(metadata).refresh_token_rotation ?? refreshToken.rotation;
  const policy: Omit<RefreshPolicy, 'inEffect'> = {
    idleTtl,
    absoluteTtl,
    // Worth nothing to a thief alone, a token may be answered again for longer: a phone comes out of its tunnel.
    retryWindow: (metadata, isBound) =>
      of(metadata).refresh_token_retry_window ??
      (isBound || authenticates(metadata)
        ? defaults.refreshTokenBoundRetryWindow
        : defaults.refreshTokenRetryWindow),
    onReuse: (metadata) => of(metadata).refresh_token_on_reuse ?? refreshToken.onReuse,
    maxFamilies: (metadata) => of(metadata).refresh_token_max_families ?? refreshToken.maxFamilies,
    rotates: (metadata, token) => {
      if (rotation(metadata) !== 'unless_sender_constrained')
        return rotation(metadata) === 'always';
      return !token.isSenderConstrained() && !authenticatesWithKey(metadata);
    },
    remaining: (metadata, firstIssuedAt, now) =>
      Math.max(1, Math.min(idleTtl(metadata), firstIssuedAt + absoluteTtl(metadata) - now)),
  };
  return {
    ...policy,
    inEffect: (metadata) => ({
      refresh_token_rotation: rotation(metadata),
      refresh_token_retry_window: policy.retryWindow(metadata, false),
      refresh_token_on_reuse: policy.onReuse(metadata),
      refresh_token_idle_ttl: idleTtl(metadata),
      refresh_token_absolute_ttl: absoluteTtl(metadata),
      refresh_token_max_families: policy.maxFamilies(metadata) ?? 'no limit',
    }),
  };
}

/** Whether offline access needs `prompt=consent` in the request: the strict reading of OIDC Core §11. */
export function needsConsentPrompt(metadata: object): boolean {
  return (metadata as Metadata).offline_access_prompt === 'required';
}

/** Whether signing out of the provider ends offline access; by default it does not (OIDC Core §11). */
export function endsWithSession(metadata: object): boolean {
  return (metadata as Metadata).offline_access_ends_with_session === true;
}

/** Whether token answers tell how long the refresh token lives. */
export function tellsExpiry(metadata: object): boolean {
  return (metadata as Metadata).refresh_token_expires_in === true;
}

// The engine's Client has the method under its own name, plain metadata under the specification's.
function authMethod(metadata: object): string {
  const { clientAuthMethod, token_endpoint_auth_method: method } = metadata as Metadata;
  return clientAuthMethod ?? method ?? 'client_secret_basic';
}

function authenticates(metadata: object): boolean {
  return authMethod(metadata) !== 'none';
}

// FAPI 2.0 §5.3.2.1: a confidential client's refresh token is bound to it by its authentication.
function authenticatesWithKey(metadata: object): boolean {
  return ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'].includes(
    authMethod(metadata),
  );
}
