// The verdict on a presented refresh token, and why it is refused: pure functions of its family's state and the time
// (RFC 9700 §4.14.2). The client gets invalid_grant, as RFC 6749 §5.2 requires; the reason goes to the log and, for a
// known family, to the audit.
import type { AdapterPayload } from 'oidc-provider';
import type { Keyring } from '../../keys/keyring.ts';
import type { FamilyRead } from '../fast/reads.ts';
import type { Occasion } from '../origin.ts';
import type { EndReason } from '../revocation.ts';
import { type RetryLimits, isInStep, withRetry } from './retries.ts';
import { type NewToken, type RefreshToken, isSealed, isSecret, successors } from './token.ts';

/** What the verdict depends on. */
export interface FamilyState {
  readonly id: string;
  readonly generation: number;
  readonly currentHash: Uint8Array;
  readonly previousHash: Uint8Array | null;
  readonly salt: Uint8Array;
  readonly rotatedAt: Date | null;
  readonly idleExpiresAt: Date;
  readonly absoluteExpiresAt: Date;
  readonly consentExpiresAt: Date | null;
  readonly endedAt: Date | null;
}

/**
 * - `unknown`: it was never issued; nothing ends, whatever else is known of the family
 * - `rotate`: the current token; it is replaced by its successor
 * - `catch_up`: it was issued after what the database remembers; the family goes on from there
 * - `retry`: the token just replaced, within the retry window; the same successor is given again
 * - `reuse`: any other token of this family; the family ends
 * - `ended`, `expired`: the family is no longer alive
 */
export type Verdict = 'unknown' | 'rotate' | 'catch_up' | 'retry' | 'reuse' | 'ended' | 'expired';

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
  /** Seconds after a rotation during which the former token is accepted again; 0: never. */
  readonly retryWindow: number;
  readonly retryLimits: RetryLimits;
  readonly onReuse: 'revoke_family' | 'revoke_grant' | 'refuse';
  /** Seconds that the family lives after this use. */
  readonly idleTtl: number;
  /** Whether the sign-in reaches the level that the client requires now. */
  readonly goesFarEnough: boolean;
  /** Whether the person may use the client now. */
  readonly isAllowed: boolean;
}

/** A token that may be used: its family, and its successor. */
export interface Presented {
  readonly verdict: 'rotate' | 'catch_up' | 'retry';
  readonly family: FamilyRead;
  readonly token: RefreshToken;
  /** The presented token's number in its family. */
  readonly generation: number;
  /** The successor's secret. */
  readonly successor: string;
  /** The number in the keyring of the secret that it was derived by. */
  readonly derivedBy: number;
  /** The successors that processes with another order of SYMBOLON_SECRET derive. */
  readonly otherSuccessors: readonly string[];
  /** The family's new idle expiry. */
  readonly idleExpiresAt: Date;
  readonly rules: FamilyRules;
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
  readonly token: NewToken;
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
 * - `drawn`: the first token of a new family has its value; `started`: and the engine has saved it
 */
export type FamilyUse =
  | Decision
  | ({ readonly kind: 'spent'; readonly next: AdapterPayload | undefined } & Presented)
  | { readonly kind: 'drawn'; readonly token: NewToken }
  | ({ readonly kind: 'started' } & Start);

/**
 * Judges a token presented to the token endpoint.
 *
 * @param retryWindow seconds after a rotation during which the former token is accepted again; 0: never
 */
export function judge(
  family: FamilyState,
  token: RefreshToken,
  now: Date,
  retryWindow: number,
): Verdict {
  const { generation, rotatedAt, endedAt } = family;
  const isCurrent = isSecret(token.secret, family.currentHash);
  const isPrevious = !isCurrent && hasPrevious(family, token);
  const proof = token.proof && isSealed(token.proof, family.salt) ? token.proof : undefined;
  if (!isCurrent && !isPrevious && !proof) return 'unknown';
  if (endedAt !== null) return 'ended';
  const isAhead = !isCurrent && proof !== undefined && proof.generation > generation;
  // Of a use that the database has forgotten it does not know when it was, so idle time cannot be told.
  if ((isAhead ? latestEnd(family) : expiresAt(family)) <= now) return 'expired';
  if (isCurrent) return 'rotate';
  if (isAhead) return 'catch_up';
  const isOpen = rotatedAt !== null && now.getTime() - rotatedAt.getTime() < retryWindow * 1000;
  return isPrevious && isOpen ? 'retry' : 'reuse';
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
  occasion: Occasion,
  keyring: Keyring,
): Decision {
  const { now } = occasion;
  const verdict = judge(family, token, now, rules.retryWindow);
  if (verdict === 'unknown') return refused(family, 'unknown');
  if (verdict === 'ended' || verdict === 'expired')
    return refused(family, lifeEnd(family, now) ?? 'unknown');
  if (verdict === 'reuse') return refused(family, reuseReason(family, token), reuseEnds(rules));
  if (!rules.isAllowed) return refused(family, 'access_withdrawn');
  if (!rules.goesFarEnough) return refused(family, 'level_too_low');
  const idleExpiresAt = new Date(now.getTime() + rules.idleTtl * 1000);
  const common = { kind: 'presented', family, token, idleExpiresAt, rules } as const;
  if (verdict !== 'retry') {
    const generation = verdict === 'rotate' ? family.generation : generationOf(token);
    const [successor, ...otherSuccessors] = successors(keyring, token, generation + 1);
    return { ...common, verdict, generation, successor, derivedBy: 0, otherSuccessors };
  }
  const { retryLimits } = rules;
  if (isInStep(withRetry(family, occasion, retryLimits), retryLimits))
    return refused(family, 'in_step', reuseEnds(rules));
  const all = successors(keyring, token, family.generation);
  const derivedBy = all.findIndex((secret) => isSecret(secret, family.currentHash));
  const successor = all[derivedBy];
  // None: the stored one was derived under a secret that this process no longer has.
  if (successor === undefined) return refused(family, 'rotated_beyond_window');
  const generation = family.generation - 1;
  return { ...common, verdict, generation, successor, derivedBy, otherSuccessors: [] };
}

/** What a used-up token ends. */
export function reuseEnds({ onReuse }: Pick<FamilyRules, 'onReuse'>): Refusal['ends'] {
  return ({ revoke_family: 'family', revoke_grant: 'grant', refuse: 'nothing' } as const)[onReuse];
}

/** A decision to refuse. */
export function refused(
  family: Refusal['family'],
  reason: RefusalReason,
  ends: Refusal['ends'] = 'nothing',
): Extract<Decision, { kind: 'refused' }> {
  return { kind: 'refused', family, reason, ends };
}

/** When a family expires: by idle time, absolutely or with the consent, whichever is first. */
export function expiresAt({
  idleExpiresAt,
  absoluteExpiresAt,
  consentExpiresAt,
}: Pick<FamilyState, 'idleExpiresAt' | 'absoluteExpiresAt' | 'consentExpiresAt'>): Date {
  const latest = latestEnd({ absoluteExpiresAt, consentExpiresAt });
  return idleExpiresAt < latest ? idleExpiresAt : latest;
}

/** When a family expires however much it is used: absolutely or with the consent. */
export function latestEnd({
  absoluteExpiresAt,
  consentExpiresAt,
}: Pick<FamilyState, 'absoluteExpiresAt' | 'consentExpiresAt'>): Date {
  return consentExpiresAt !== null && consentExpiresAt < absoluteExpiresAt
    ? consentExpiresAt
    : absoluteExpiresAt;
}

type EndedState = FamilyState & { readonly endReason: string | null };

/** Why a token that is used up is refused. */
export function reuseReason(family: FamilyState, token: RefreshToken): RefusalReason {
  return hasPrevious(family, token) ? 'rotated_beyond_window' : 'reuse';
}

/** Why a family is not alive any more. @returns undefined while it is */
export function lifeEnd(family: EndedState, now: Date): RefusalReason | undefined {
  if (family.endedAt !== null) return family.endReason as EndReason;
  if (family.consentExpiresAt !== null && family.consentExpiresAt <= now) return 'consent_expired';
  if (family.absoluteExpiresAt <= now) return 'absolute_expired';
  return family.idleExpiresAt <= now ? 'idle_expired' : undefined;
}

function hasPrevious({ previousHash }: FamilyState, { secret }: RefreshToken): boolean {
  return previousHash !== null && isSecret(secret, previousHash);
}

function generationOf({ proof }: RefreshToken): number {
  if (!proof) throw new TypeError('a token without a proof has no generation');
  return proof.generation;
}
