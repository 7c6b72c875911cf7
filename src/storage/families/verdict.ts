// The verdict on a presented refresh token, and why it is refused: pure functions of its family's state and the time
// (RFC 9700 §4.14.2). The client gets invalid_grant, as RFC 6749 §5.2 requires; the reason goes to the log and, for a
// known family, to the audit.
import type { AdapterPayload } from 'oidc-provider';
import type { Keyring } from '../../keys/keyring.ts';
import type { FamilyRead } from '../fast/reads.ts';
import type { EndReason } from '../revocation.ts';
import { type RefreshToken, isSecret, successors } from './token.ts';

/** What the verdict depends on. */
export interface FamilyState {
  readonly id: string;
  readonly generation: number;
  readonly currentHash: Uint8Array;
  readonly previousHash: Uint8Array | null;
  readonly rotatedAt: Date | null;
  readonly idleExpiresAt: Date;
  readonly absoluteExpiresAt: Date;
  readonly consentExpiresAt: Date | null;
  readonly endedAt: Date | null;
}

/**
 * - `rotate`: the current secret; it is replaced by its successor
 * - `retry`: the secret just replaced, within the retry window; the same successor is given again
 * - `reuse`: any other secret of this family; the family ends
 * - `ended`, `expired`: the family is no longer alive
 */
export type Verdict = 'rotate' | 'retry' | 'reuse' | 'ended' | 'expired';

/** Why a refresh is refused. */
export type RefusalReason =
  | EndReason
  | 'rotated_beyond_window'
  | 'idle_expired'
  | 'absolute_expired'
  | 'consent_expired'
  | 'binding_mismatch'
  | 'level_too_low'
  | 'unknown';

/** The rules for the client that presents a token. */
export interface FamilyRules {
  /** Seconds after a rotation during which the former secret is accepted again; 0: never. */
  readonly retryWindow: number;
  readonly onReuse: 'revoke_family' | 'revoke_grant' | 'refuse';
  /** Seconds that the family lives after this use. */
  readonly idleTtl: number;
  /** Whether the sign-in reaches the level that the client requires now. */
  readonly goesFarEnough: boolean;
}

/** A token that may be used: its family, and its successor. */
export interface Presented {
  readonly verdict: 'rotate' | 'retry';
  readonly family: FamilyRead;
  readonly token: RefreshToken;
  readonly successor: string;
  /** The successors that processes with another order of SYMBOLON_SECRET derive. */
  readonly otherSuccessors: readonly string[];
  /** The family's new idle expiry. */
  readonly idleExpiresAt: Date;
}

/** A token that is refused. */
export interface Refusal {
  readonly family: { id: string; accountId: string | null; clientId: string };
  readonly reason: RefusalReason;
  /** What ends with the refusal. */
  readonly ends: 'nothing' | 'family' | 'grant';
}

/** A new family. `payload` is the engine's payload without the token's value. */
export interface Start {
  readonly token: RefreshToken;
  readonly payload: AdapterPayload;
  readonly idleExpiresAt: Date;
  readonly absoluteExpiresAt: Date;
  readonly consentExpiresAt: Date | null;
  /** How many living families the person may have with the client; undefined: any number. */
  readonly maxFamilies: number | undefined;
}

/** The decision about a presented token. */
export type Decision =
  ({ readonly kind: 'presented' } & Presented) | ({ readonly kind: 'refused' } & Refusal);

/**
 * What a request has done with a family so far:
 *
 * - `presented`: its token may be used; unless it is spent, only the use is noted
 * - `spent`: its token is replaced by the successor; `next` is the successor's payload once the engine has made it
 * - `refused`: its token may not be used
 * - `started`: the family is new
 */
export type FamilyUse =
  | Decision
  | ({ readonly kind: 'spent'; readonly next: AdapterPayload | undefined } & Presented)
  | ({ readonly kind: 'started' } & Start);

/**
 * Judges a secret presented to the token endpoint.
 *
 * @param retryWindow seconds after a rotation during which the former secret is accepted again; 0: never
 */
export function judge(
  family: FamilyState,
  secret: string,
  now: Date,
  retryWindow: number,
): Verdict {
  if (family.endedAt !== null) return 'ended';
  if (expiresAt(family) <= now) return 'expired';
  if (isSecret(secret, family.currentHash)) return 'rotate';
  const open =
    family.rotatedAt !== null && now.getTime() - family.rotatedAt.getTime() < retryWindow * 1000;
  return open && isPrevious(secret, family) ? 'retry' : 'reuse';
}

/**
 * Decides about a token presented to the token endpoint by its client.
 *
 * @param family the token's family
 * @param keyring derives the successor
 */
export function decide(
  family: FamilyRead,
  token: RefreshToken,
  rules: FamilyRules,
  now: Date,
  keyring: Keyring,
): Decision {
  const verdict = judge(family, token.secret, now, rules.retryWindow);
  if (verdict === 'ended' || verdict === 'expired' || verdict === 'reuse') {
    const ends = verdict === 'reuse' ? endsOnReuse[rules.onReuse] : 'nothing';
    return refused(family, refusalReason(family, token.secret, now), ends);
  }
  if (!rules.goesFarEnough) return refused(family, 'level_too_low');
  const idleExpiresAt = new Date(now.getTime() + rules.idleTtl * 1000);
  const common = { kind: 'presented', family, token, idleExpiresAt } as const;
  if (verdict === 'rotate') {
    const [successor, ...otherSuccessors] = successors(keyring, token, family.generation + 1);
    return { ...common, verdict, successor, otherSuccessors };
  }
  const successor = successors(keyring, token, family.generation).find((secret) =>
    isSecret(secret, family.currentHash),
  );
  // None: the stored one was derived under a secret that this process no longer has.
  if (successor === undefined) return refused(family, 'rotated_beyond_window');
  return { ...common, verdict, successor, otherSuccessors: [] };
}

const endsOnReuse = {
  revoke_family: 'family',
  revoke_grant: 'grant',
  refuse: 'nothing',
} as const;

/** A decision to refuse. */
export function refused(
  family: Refusal['family'],
  reason: RefusalReason,
  ends: Refusal['ends'] = 'nothing',
): Extract<Decision, { kind: 'refused' }> {
  return { kind: 'refused', family, reason, ends };
}

/** Whether a family ends alone, so that its grant stays for its other families. */
export function leavesGrant(use: FamilyUse | undefined): boolean {
  return use?.kind === 'refused' && use.ends === 'family';
}

/** When a family expires: by idle time, absolutely or with the consent, whichever is first. */
export function expiresAt({
  idleExpiresAt,
  absoluteExpiresAt,
  consentExpiresAt,
}: Pick<FamilyState, 'idleExpiresAt' | 'absoluteExpiresAt' | 'consentExpiresAt'>): Date {
  const ends = [idleExpiresAt, absoluteExpiresAt, consentExpiresAt ?? absoluteExpiresAt];
  return new Date(Math.min(...ends.map((end) => end.getTime())));
}

type EndedState = FamilyState & { readonly endReason: string | null };

/** Why a secret that is refused is refused. */
export function refusalReason(family: EndedState, secret: string, now: Date): RefusalReason {
  const reason = isPrevious(secret, family) ? 'rotated_beyond_window' : 'reuse';
  return lifeEnd(family, now) ?? reason;
}

/** Why a family is not alive any more. @returns undefined while it is */
export function lifeEnd(family: EndedState, now: Date): RefusalReason | undefined {
  if (family.endedAt !== null) return family.endReason as EndReason;
  if (family.consentExpiresAt !== null && family.consentExpiresAt <= now) return 'consent_expired';
  if (family.absoluteExpiresAt <= now) return 'absolute_expired';
  return family.idleExpiresAt <= now ? 'idle_expired' : undefined;
}

function isPrevious(secret: string, { previousHash }: FamilyState): boolean {
  return previousHash !== null && isSecret(secret, previousHash);
}
