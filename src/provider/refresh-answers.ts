// What is added to the engine's answers about refresh tokens: how long one lives, and why one was refused.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { expiresAt } from '../storage/refresh-token.ts';
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

// The engine's own reasons (the private detail of its errors) for a token that is bound to another key.
const bindings = [
  'failed jkt verification',
  'failed x5t#S256 verification',
  'mutual TLS client certificate not provided',
  'DPoP proof JWT Replay detected',
];

/** Notes refusals of a living token that its presenter could not prove to be its own. */
export function refuseWithReason(provider: Provider): void {
  provider.on('grant.error', (_ctx, error) => {
    const unit = currentUnit();
    if (unit.presented && bindings.includes(error.error_detail ?? '')) {
      unit.refusal = { family: unit.presented.family, reason: 'binding_mismatch' };
    }
  });
}
