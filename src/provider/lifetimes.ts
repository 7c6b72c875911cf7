// Lifetimes of the engine's records and tokens, in seconds.
import type { Configuration } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { authorizationEnd } from './refresh-answers.ts';
import type { RefreshPolicy } from './refresh-policy.ts';

const INTERACTION = 3600;
const CODE = 60; // RFC 6749 §4.1.2: at most ten minutes; FAPI 2.0: at most 60 seconds
const DEVICE_CODE = 600;
const PUSHED_REQUEST = 60;
const AS_LONG_AS_IT_IS_THERE = 3_155_760_000; // a hundred years

/**
 * The seconds for which a session goes on when it is used now: it slides, up to an absolute end after its sign-in. None
 * or less: it is over.
 *
 * @param loginTs the time of the sign-in, in seconds since the epoch
 */
export function sessionLife(
  { ttl }: { readonly ttl: Pick<Config['ttl'], 'session' | 'sessionAbsolute'> },
  loginTs: number,
  now: Date,
): number {
  return Math.min(ttl.session, loginTs + ttl.sessionAbsolute - epoch(now));
}

/** The engine's `ttl`. */
export function lifetimes(
  { ttl }: Pick<Config, 'ttl'>,
  { now }: Pick<Storage, 'now'>,
  policy: RefreshPolicy,
): NonNullable<Configuration['ttl']> {
  return {
    AccessToken(ctx, { resourceServer }) {
      const usual = resourceServer?.accessTokenTTL ?? ttl.accessToken;
      const end = authorizationEnd(ctx);
      return end ? Math.max(1, Math.min(usual, epoch(end) - epoch(now()))) : usual;
    },
    AuthorizationCode: CODE,
    ClientCredentials: (_ctx, { resourceServer }) =>
      resourceServer?.accessTokenTTL ?? ttl.accessToken,
    DeviceCode: DEVICE_CODE,
    BackchannelAuthenticationRequest: ({ oidc }) =>
      Math.min(DEVICE_CODE, Number(oidc.params?.['requested_expiry'] ?? DEVICE_CODE)),
    // Everything issued from a grant is shorter; starting a refresh-token family extends it.
    Grant: Math.max(ttl.session, ttl.refreshTokenAbsolute),
    IdToken: ttl.idToken,
    Interaction: INTERACTION,
    PushedAuthorizationRequest: PUSHED_REQUEST,
    // As long as the client exists (RFC 7592 §3).
    RegistrationAccessToken: AS_LONG_AS_IT_IS_THERE,
    RefreshToken: (_ctx, token, client) =>
      policy.remaining(client, token.iiat ?? epoch(now()), epoch(now())),
    // A session without a sign-in is short; one that is over is asked to sign in again, and needs a moment for it.
    Session: (_ctx, { accountId, loginTs = 0 }) =>
      accountId === undefined ? INTERACTION : Math.max(1, sessionLife({ ttl }, loginTs, now())),
  };
}
