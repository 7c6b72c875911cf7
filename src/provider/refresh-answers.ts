// Additions to the engine's answers about refresh tokens: their lifetime, what introspection and revocation return, and
// why one was refused.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { refusePresented } from '../storage/families/adapter.ts';
import { type RefusalReason, expiresAt } from '../storage/families/verdict.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import type { SignInTold } from './assurance.ts';
import { refreshRefusals } from './engine-seams/words.ts';
import { tellsExpiry } from './refresh-policy.ts';

/** Adds `refresh_token_expires_in`, in seconds, for clients that ask for it in their metadata. */
export async function tellRefreshTokenExpiry(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const answer = ctx.body as { refresh_token?: unknown; refresh_token_expires_in?: number } | null;
  if (oidc?.route !== 'token' || !oidc.client || typeof answer?.refresh_token !== 'string') return;
  if (!tellsExpiry(oidc.client)) return;
  const { family: use, storage } = currentUnit();
  if (!use || use.kind === 'refused' || use.kind === 'drawn') return;
  const { idleExpiresAt } = use;
  const ends = use.kind === 'started' ? use : { ...use.family, idleExpiresAt };
  const left = expiresAt(ends).getTime() - storage.now().getTime();
  answer.refresh_token_expires_in = Math.floor(left / 1000);
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
 * RFC 7662 §2.2: additional members of introspection: how often the token was renewed, and its sign-in (RFC 9470 §6.2).
 */
export function introspected(token: object): object {
  const { rotations = 0, acr, authTime } = token as SignInTold & { rotations?: number };
  return { rotations, acr, auth_time: authTime };
}

// The engine's own reasons for refusing a living token.
const reasons: Record<string, RefusalReason> = {
  [refreshRefusals.otherKey]: 'binding_mismatch',
  [refreshRefusals.otherCertificate]: 'binding_mismatch',
  [refreshRefusals.noCertificate]: 'binding_mismatch',
  [refreshRefusals.replayedProof]: 'binding_mismatch',
  [refreshRefusals.noAccount]: 'account_locked',
};

/** Notes why a refresh is refused: in the unit of work for the audit, on the request for the log. */
export function refuseWithReason(provider: Provider): void {
  provider.on('grant.error', (ctx, error) => {
    const unit = currentUnit();
    const reason = reasons[error.error_detail ?? ''];
    if (reason) refusePresented(unit, reason);
    if (unit.family?.kind === 'refused') ctx.state['reason'] = unit.family.reason;
  });
}
