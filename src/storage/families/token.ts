// The refresh token's value and the verdict on one that is presented: pure functions of a family's state and
// the time. A token is `<family id>.<secret>`: 128 random bits, then 256, both base64url. Successors are
// derived from the secret that they replace, so that a retry gets the very same one (RFC 9700 §4.14.2).
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type Keyring, sha256 } from '../../keys/keyring.ts';

export interface RefreshToken {
  readonly familyId: string;
  readonly secret: string;
}

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

/**
 * Judges a secret presented to the token endpoint.
 *
 * @param retryWindow seconds since the last rotation in which the former secret is answered again; 0 is never
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
  return open && family.previousHash !== null && isSecret(secret, family.previousHash)
    ? 'retry'
    : 'reuse';
}

/** When a family ends by itself: idle, absolutely, or with the consent, whichever is first. */
export function expiresAt({
  idleExpiresAt,
  absoluteExpiresAt,
  consentExpiresAt,
}: Pick<FamilyState, 'idleExpiresAt' | 'absoluteExpiresAt' | 'consentExpiresAt'>): Date {
  const ends = [idleExpiresAt, absoluteExpiresAt, consentExpiresAt ?? absoluteExpiresAt];
  return new Date(Math.min(...ends.map((end) => end.getTime())));
}

/** Whether a secret is the one that a hash was made of; in constant time. */
export function isSecret(secret: string, hash: Uint8Array): boolean {
  return timingSafeEqual(sha256(secret), hash);
}

/** The first token of a new family. Its id never starts with a hyphen, to be no option on a command line. */
export function newRefreshToken(): RefreshToken {
  const random = randomBytes(16 + 32);
  const familyId = random.toString('base64url', 0, 16);
  if (familyId.startsWith('-')) return newRefreshToken();
  return { familyId, secret: random.toString('base64url', 16) };
}

/**
 * The secrets that may follow a presented one, derived under the keyring's current secret first. Only the
 * first is ever issued; the others tell what was issued before SYMBOLON_SECRET changed.
 *
 * @param generation the successor's number in its family; a family starts with 0
 */
export function successors(
  keyring: Keyring,
  token: RefreshToken,
  generation: number,
): [string, ...string[]] {
  return keyring
    .macs('refresh', `${token.familyId}.${generation}.${token.secret}`)
    .map((mac) => mac.toString('base64url')) as [string, ...string[]];
}

export function formatRefreshToken({ familyId, secret }: RefreshToken): string {
  return `${familyId}.${secret}`;
}

/** @returns undefined for a text that is no refresh token */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const match = /^([\w-]{22})\.([\w-]{43})$/.exec(text);
  return match ? { familyId: match[1] as string, secret: match[2] as string } : undefined;
}
