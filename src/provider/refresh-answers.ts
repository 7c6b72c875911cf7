// What is added to the engine's answers about refresh tokens: how long one lives, and why one was refused.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { expiresAt } from '../storage/families/token.ts';
import type { RefusalReason } from '../storage/families/verdict.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { tellsExpiry } from './refresh-policy.ts';

/** Adds `refresh_token_expires_in`, in seconds, for clients that ask for it in their metadata. */
export async function tellRefreshTokenExpiry(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const answer = ctx.body as { refresh_token?: unknown; refresh_token_expires_in?: number } | null;
  if (oidc?.route !== 'token' || !oidc.client || typeof answer?.refresh_token !== 'string') return;
  if (!tellsExpiry(oidc.client)) return;
  const { start, presented, storage } = currentUnit();
  const family =
    start ?? (presented && { ...presented.family, idleExpiresAt: presented.idleExpiresAt });
  if (!family) return;
  const left = expiresAt(family).getTime() - storage.now().getTime();
  answer.refresh_token_expires_in = Math.floor(left / 1000);
}

// The engine's own reasons (the private detail of its errors) for refusing a living token.
const reasons: Record<string, RefusalReason> = {
  'failed jkt verification': 'binding_mismatch',
  'failed x5t#S256 verification': 'binding_mismatch',
  'mutual TLS client certificate not provided': 'binding_mismatch',
  'DPoP proof JWT Replay detected': 'binding_mismatch',
  'refresh token invalid (referenced account not found)': 'account_locked',
};

/** Notes why a refresh is refused: for the audit in the unit of work, for the log on the request. */
export function refuseWithReason(provider: Provider): void {
  provider.on('grant.error', (ctx, error) => {
    const unit = currentUnit();
    const reason = reasons[error.error_detail ?? ''];
    if (unit.presented && reason) unit.refusal = { family: unit.presented.family, reason };
    if (unit.refusal) ctx.state['reason'] = unit.refusal.reason;
  });
}
