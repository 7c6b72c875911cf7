// Rules for the rotation, lifetimes and end of refresh tokens: the server's defaults, or a client's metadata.
import { levelOf, suffices } from '../accounts/factors.ts';
import type { Config } from '../config/config.ts';
import { authenticates, authenticatesWithKey } from './client-metadata.ts';
import type { OwnMetadata } from './own-metadata.ts';
import type { FamilyPolicy } from '../storage/families/adapter.ts';

/** Rules by the names of client metadata; times in seconds. */
export type RulesInEffect = Readonly<Record<string, string | number | readonly number[]>>;

export interface RefreshPolicy extends FamilyPolicy {
  readonly idleTtl: (metadata: object) => number;
  /** Whether using this token replaces it. */
  readonly rotates: (metadata: object, token: { isSenderConstrained(): boolean }) => boolean;
  /** Lifetime of the token about to be saved, in seconds: the idle time, but not beyond the absolute end. */
  readonly remaining: (metadata: object, firstIssuedAt: number, now: number) => number;
  /** All rules for a client, its own or the defaults, by the names of its metadata; times in seconds. */
  readonly inEffect: (metadata: object) => RulesInEffect;
}

export function refreshPolicy({
  ttl: defaults,
  refreshToken,
}: Pick<Config, 'ttl' | 'refreshToken'>): RefreshPolicy {
  const of = (metadata: object) => metadata as OwnMetadata;
  const idleTtl = (metadata: object) =>
    of(metadata).refresh_token_idle_ttl ?? defaults.refreshTokenIdle;
  const absoluteTtl = (metadata: object) =>
    of(metadata).refresh_token_absolute_ttl ?? defaults.refreshTokenAbsolute;
  const maxLateRetries = (metadata: object) =>
    of(metadata).refresh_token_max_late_retries ?? refreshToken.maxLateRetries;
  const rotation = (metadata: object) =>
    of(metadata).refresh_token_rotation ?? refreshToken.rotation;
  const policy: Omit<RefreshPolicy, 'inEffect'> = {
    idleTtl,
    absoluteTtl,
    // A bound token is worth nothing to a thief, so it may be retried for longer: a phone comes out of its tunnel.
    retryWindow: (metadata, isBound) =>
      of(metadata).refresh_token_retry_window ??
      (isBound
        ? defaults.refreshTokenBoundRetryWindow
        : authenticates(metadata)
          ? defaults.refreshTokenClientRetryWindow
          : defaults.refreshTokenRetryWindow),
    retryLimits(metadata) {
      const [maxElsewhere, maxAlike] = maxLateRetries(metadata);
      return { lateAfter: refreshToken.lateAfter, maxElsewhere, maxAlike };
    },
    onReuse: (metadata) => of(metadata).refresh_token_on_reuse ?? refreshToken.onReuse,
    maxFamilies: (metadata) => of(metadata).refresh_token_max_families ?? refreshToken.maxFamilies,
    goesFarEnough: (metadata, amr) => {
      const { minimum_acr: minimum } = of(metadata);
      return minimum === undefined || suffices(levelOf(amr as string[] | undefined), minimum);
    },
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
      refresh_token_max_late_retries: maxLateRetries(metadata),
      refresh_token_on_reuse: policy.onReuse(metadata),
      refresh_token_idle_ttl: idleTtl(metadata),
      refresh_token_absolute_ttl: absoluteTtl(metadata),
      refresh_token_max_families: policy.maxFamilies(metadata) ?? 'no limit',
    }),
  };
}

/** Whether offline access needs `prompt=consent` in the request: the strict reading of OIDC Core §11. */
export function needsConsentPrompt(metadata: object): boolean {
  return (metadata as OwnMetadata).offline_access_prompt === 'required';
}

/** Whether signing out of the provider ends offline access; by default it does not (OIDC Core §11). */
export function endsWithSession(metadata: object): boolean {
  return (metadata as OwnMetadata).offline_access_ends_with_session === true;
}

/** Whether token answers include the refresh token's lifetime. */
export function tellsExpiry(metadata: object): boolean {
  return (metadata as OwnMetadata).refresh_token_expires_in === true;
}
