// Additions to the engine's answers about refresh tokens: until when they last, what introspection and revocation return,
// and why one was refused.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { refusePresented } from '../storage/families/adapter.ts';
import { describeRefusal } from '../storage/families/reasons.ts';
import { type RefusalReason, expiresAt, latestEnd } from '../storage/families/verdict.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import type { SignInTold } from './assurance.ts';
import { refreshRefusals } from './engine-seams/words.ts';
import { tellsExpiry } from './refresh-policy.ts';

/** What is implemented of draft-ietf-oauth-refresh-token-expiration-03 (July 2026), for the discovery document. */
export const expirationTypes = ['token_timeout', 'authorization'];

interface TokenAnswer {
  readonly refresh_token?: unknown;
  refresh_token_expires_in?: number;
}

/**
 * Tells in a token answer, in seconds, for how long the refresh token may lie unused, and until when it is renewed at
 * most (draft-ietf-oauth-refresh-token-expiration-03); to clients that ask for it in their metadata, also
 * `refresh_token_expires_in`, whichever is first.
 */
export async function tellExpiry(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const answer = ctx.body as TokenAnswer | null;
  if (oidc?.route !== 'token' || !oidc.client || typeof answer?.refresh_token !== 'string') return;
  const { family: use, storage } = currentUnit();
  if (!use || use.kind === 'refused' || use.kind === 'drawn') return;
  const { idleExpiresAt } = use;
  const ends = use.kind === 'started' ? use : { ...use.family, idleExpiresAt };
  const now = storage.now();
  Object.assign(answer, expiry(ends, now));
  if (tellsExpiry(oidc.client))
    answer.refresh_token_expires_in = Math.floor(left(expiresAt(ends), now));
}

/**
 * RFC 7009 §2.2: clients ignore the body of a revocation's answer. The engine's is empty, and Koa calls it text/plain,
 * which some libraries refuse.
 */
export async function answerRevocation(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  if (oidc?.route === 'revocation' && ctx.status === 200) ctx.body = {};
}

/**
 * RFC 7662 §2.2: additional members of introspection: how often the token was renewed, its sign-in (RFC 9470 §6.2), and
 * what token answers tell of its end (draft-ietf-oauth-refresh-token-expiration-03 §7).
 */
export function introspected(token: object): object {
  const { rotations = 0, acr, authTime } = token as SignInTold & { rotations?: number };
  const { ahead, storage } = currentUnit();
  const { family } = ahead;
  return {
    ...{ rotations, acr, auth_time: authTime },
    ...(family && expiry(family, storage.now())),
  };
}

/**
 * When the person's authorization ends, by which an access token that is issued now ends too (the draft's §5).
 *
 * @returns undefined when it has no end, or there is no person
 */
export function authorizationEnd({ oidc }: KoaContextWithOIDC): Date | undefined {
  const { family } = currentUnit().ahead;
  if (family) return latestEnd(family);
  const { consentExpiresAt } = (oidc.entities.Grant ?? {}) as { consentExpiresAt?: number };
  return consentExpiresAt === undefined ? undefined : new Date(consentExpiresAt * 1000);
}

type Ends = Parameters<typeof expiresAt>[0];

// A few milliseconds have passed since the end was reckoned.
function expiry(ends: Ends, now: Date) {
  return {
    refresh_token_timeout: Math.round(left(expiresAt(ends), now)),
    authorization_expires_in: Math.round(left(latestEnd(ends), now)),
  };
}

function left(end: Date, now: Date): number {
  return Math.max(0, (end.getTime() - now.getTime()) / 1000);
}

// The engine's own reasons for refusing a living token.
const reasons: Record<string, RefusalReason> = {
  [refreshRefusals.otherKey]: 'binding_mismatch',
  [refreshRefusals.otherCertificate]: 'binding_mismatch',
  [refreshRefusals.noCertificate]: 'binding_mismatch',
  [refreshRefusals.replayedProof]: 'binding_mismatch',
  [refreshRefusals.noAccount]: 'account_locked',
};

/** Notes why a refresh is refused: in the unit of work for the audit, on the request for the log, for its client. */
export function refuseWithReason(provider: Provider): void {
  provider.on('grant.error', (ctx, error) => {
    const unit = currentUnit();
    const reason = reasons[error.error_detail ?? ''];
    if (reason) refusePresented(unit, reason);
    const { family: use } = unit;
    if (use?.kind !== 'refused') return;
    ctx.state['reason'] = use.reason;
    const isOwn = use.family.clientId === ctx.oidc.client?.clientId;
    const answer = ctx.body as { error?: string; error_description?: string } | null;
    if (isOwn && use.reason !== 'unknown' && answer?.error === 'invalid_grant')
      answer.error_description = describeRefusal(use.reason);
  });
}
