// The settings of tokens: lifetimes in seconds, and the default rules of refresh-token families.
import { z } from 'zod';
import { type Section, integer, oneOf, seconds } from './setting.ts';

const retryWindow = (fallback: number) => ({
  schema: integer(0, 86_400).default(fallback),
  wants: 'a number of seconds from 0 (off) to 86400',
});

const lateRetries = z
  .string()
  .regex(/^\d{1,4}$/)
  .transform(Number)
  .pipe(z.number().max(1000));

export const tokens = {
  ttl: {
    accessToken: {
      variable: 'SYMBOLON_ACCESS_TOKEN_TTL',
      ...seconds(600),
      help: 'How long an access token lives.',
    },
    idToken: {
      variable: 'SYMBOLON_ID_TOKEN_TTL',
      ...seconds(600),
      help: 'How long an ID token is valid.',
    },
    session: {
      variable: 'SYMBOLON_SESSION_TTL',
      ...seconds(1_209_600),
      help: 'How long a person stays signed in to the provider in one browser, since the last sign-in to an application.',
    },
    sessionAbsolute: {
      variable: 'SYMBOLON_SESSION_ABSOLUTE_TTL',
      ...seconds(2_592_000),
      help: 'How long a person stays signed in to the provider in one browser at most, since the password or the passkey was given, however often the session is used.',
    },
    refreshTokenIdle: {
      variable: 'SYMBOLON_REFRESH_TOKEN_IDLE_TTL',
      ...seconds(2_592_000),
      help: 'How long a refresh-token family lives since its last use. A client may have its own: `refresh_token_idle_ttl`.',
    },
    refreshTokenAbsolute: {
      variable: 'SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL',
      ...seconds(31_536_000),
      help: 'How long a refresh-token family lives since it was first issued. A client may have its own: `refresh_token_absolute_ttl`.',
    },
    refreshTokenRetryWindow: {
      variable: 'SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW',
      ...retryWindow(60),
      help: 'How long the refresh token just used is answered with the same successor again, so that a lost response signs nobody out; for public clients whose token is not bound to a key. A client may have its own: `refresh_token_retry_window`.',
    },
    refreshTokenClientRetryWindow: {
      variable: 'SYMBOLON_REFRESH_TOKEN_CLIENT_RETRY_WINDOW',
      ...retryWindow(300),
      help: 'The same for clients that authenticate: shorter than an access token lives, so that a copy that is used as often as its owner uses it is noticed. A client may have its own: `refresh_token_retry_window`.',
    },
    refreshTokenBoundRetryWindow: {
      variable: 'SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW',
      ...retryWindow(3600),
      help: 'The same for tokens bound to a key (DPoP, mutual TLS): a copy without the key is worth nothing. A client may have its own: `refresh_token_retry_window`.',
    },
  },
  refreshToken: {
    rotation: {
      variable: 'SYMBOLON_REFRESH_TOKEN_ROTATION',
      ...oneOf(['always', 'unless_sender_constrained', 'never'], 'always'),
      help: 'Whether a use replaces the refresh token. A client may have its own: `refresh_token_rotation`.',
    },
    onReuse: {
      variable: 'SYMBOLON_REFRESH_TOKEN_ON_REUSE',
      ...oneOf(['revoke_family', 'revoke_grant'], 'revoke_family'),
      help: 'What a used-up refresh token ends: its family with the access tokens issued from it, or its grant with everything that the same browser got from it. A client may have its own: `refresh_token_on_reuse`.',
    },
    lateAfter: {
      variable: 'SYMBOLON_REFRESH_TOKEN_LATE_RETRY',
      schema: integer(1, 86_400).default(10),
      wants: 'a number of seconds from 1 to 86400',
      help: 'From when a retry counts as late: an honest client is late when it has lost an answer, a copy in use is late again and again.',
    },
    maxLateRetries: {
      variable: 'SYMBOLON_REFRESH_TOKEN_MAX_LATE_RETRIES',
      schema: z
        .string()
        .default('3,10')
        .transform((value) => value.split(',').map((number) => number.trim()))
        .pipe(z.tuple([lateRetries, lateRetries])),
      wants: 'two numbers from 0 (off) to 1000, separated by a comma',
      help: 'At how many generations in a row whose former token comes again late a copy is taken to be in use: from another device than the first answer, and from what looks like the same. A client may have its own: `refresh_token_max_late_retries`.',
    },
    commit: {
      variable: 'SYMBOLON_ROTATION_COMMIT',
      ...oneOf(['durable', 'relaxed'], 'durable'),
      help: 'Whether a rotation is answered when it is on disk (`durable`), or before (`relaxed`): what a crash of PostgreSQL forgets is caught up with when the client comes again. Everything else waits for the disk.',
    },
    maxFamilies: {
      variable: 'SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES',
      schema: integer(1, 10_000).optional(),
      wants: 'a number from 1 to 10000',
      help: 'How many living families a person may have with one client; the oldest ends for the next. A client may have its own: `refresh_token_max_families`.',
      fallback: 'no limit',
    },
    retention: {
      variable: 'SYMBOLON_REFRESH_TOKEN_RETENTION',
      ...seconds(7_776_000, 0),
      help: 'How long a family stays explainable after its absolute end; then the sweep takes it.',
    },
  },
  endFamiliesOn: {
    variable: 'SYMBOLON_END_FAMILIES_ON',
    schema: z
      .string()
      .default('password_changed,account_locked')
      .transform((value) => value.split(',').map((event) => event.trim()))
      .pipe(z.array(z.enum(['password_changed', 'account_locked', 'none']))),
    wants: '`password_changed`, `account_locked`, both separated by a comma, or `none`',
    help: 'What ends all refresh-token families of a person. “Sign out everywhere” always does.',
  },
} satisfies Section;
