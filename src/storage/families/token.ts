// The refresh token's value: `<family id>.<secret>`, 128 and 256 random bits in base64url. A successor is derived from
// the secret that it replaces, so that a retry gets the same one (RFC 9700 §4.14.2).
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type Keyring, sha256 } from '../../keys/keyring.ts';

export interface RefreshToken {
  readonly familyId: string;
  readonly secret: string;
}

/** Whether a secret has this hash, compared in constant time. */
export function isSecret(secret: string, hash: Uint8Array): boolean {
  return timingSafeEqual(sha256(secret), hash);
}

/**
 * The first token of a new family. Its id never starts with a hyphen, which a command line would take for an option.
 */
export function newRefreshToken(): RefreshToken {
  const random = randomBytes(16 + 32);
  const familyId = random.toString('base64url', 0, 16);
  if (familyId.startsWith('-')) return newRefreshToken();
  return { familyId, secret: random.toString('base64url', 16) };
}

/**
 * The successors of a presented secret, one for each secret of the keyring, the current one first. Only the first is
 * issued; the others recognise what was issued before SYMBOLON_SECRET changed.
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

/** @returns undefined when the text is no refresh token */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const match = /^([\w-]{22})\.([\w-]{43})$/.exec(text);
  return match ? { familyId: match[1] as string, secret: match[2] as string } : undefined;
}
