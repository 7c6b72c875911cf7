// The members of client metadata of Symbolon's own: the value of each, and what it is for.
import { z } from 'zod';

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
    help: 'At how many generations in a row whose former token comes again late a copy is taken to be in use: from another device than the first answer, and from what looks like the same.',
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
  allowed_groups: {
    schema: z.array(z.string().min(1).max(100)).min(1).max(100),
    wants: 'an array of names of groups',
    help: 'The groups whose members may use the client, and nobody else: others are told so, and the application gets `access_denied`. Whoever leaves the last of them loses what was issued to them. See [administration](administration.md#who-may-use-what).',
    fallback: 'everybody may',
  },
  groups_in: {
    schema: z.array(z.enum(['id_token', 'userinfo', 'access_token'])).max(3),
    wants: 'an array of "id_token", "userinfo" and "access_token"',
    help: 'Where the claim `groups` is told, if the scope `groups` was granted.',
    fallback: '`["id_token", "userinfo"]`',
  },
  disabled: {
    schema: z.string().max(200),
    wants: 'a string',
    help: 'Set by `symbolon client disable`: the client is kept out, and its developers are told this reason.',
    fallback: 'not disabled',
  },
  security_profile: {
    schema: z.enum(['fapi2']),
    wants: '"fapi2"',
    help: 'Switches everything on that FAPI 2.0 Security Profile asks of a client.',
    fallback: 'none',
  },
} as const;

/** The groups whose members alone may use a client. */
export function groupsOf(metadata: object): readonly string[] {
  return (metadata as OwnMetadata).allowed_groups ?? [];
}

/** The name of a member. */
export type OwnName = keyof typeof clientMetadata;
export type OwnMetadata = {
  -readonly [Key in OwnName]?: z.output<(typeof clientMetadata)[Key]['schema']>;
} & {
  clientAuthMethod?: string;
  token_endpoint_auth_method?: string;
};
