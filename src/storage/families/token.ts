// The refresh token's value: `symr_<family id>.<generation>.<secret and tag>`. The tag shows that it was issued here,
// whatever the database remembers. A successor is derived from the secret that it replaces, so that a retry gets the
// same one (RFC 9700 §4.14.2). Tokens of the first form, `<family id>.<secret>`, are read and not issued any more.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Keyring, sha256 } from '../../keys/keyring.ts';

const SECRET = 32; // bytes
// The tag's halves, in bytes. The first needs the server's secret and is checked before anything is read, so that a
// made-up token is like an unknown one in its time too. The second needs the salt in the family's row as well.
const CHECK = 8;
const SEAL = 8;
const SALT = 16;

/** What a token says of itself, and how it shows that. */
export interface RefreshToken {
  readonly familyId: string;
  /** 256 bits in base64url. */
  readonly secret: string;
  /** Undefined for a token that shows nothing by itself: of the first form, made up, or of a SYMBOLON_SECRET that is gone. */
  readonly proof: Proof | undefined;
}

export interface Proof {
  readonly generation: number;
  /** The MAC of family, generation and secret. */
  readonly mac: Uint8Array;
  readonly seal: Uint8Array;
}

/** The token that is about to be issued. */
export interface NewToken {
  readonly familyId: string;
  readonly generation: number;
  readonly secret: string;
  readonly salt: Uint8Array;
}

/** Whether a secret has this hash, compared in constant time. */
export function isSecret(secret: string, hash: Uint8Array): boolean {
  return timingSafeEqual(sha256(secret), hash);
}

/** Whether a proof was made with this salt: then its token was issued by us, for this family. */
export function isSealed({ mac, seal }: Proof, salt: Uint8Array): boolean {
  return timingSafeEqual(sealOf(mac, salt), seal);
}

/** The first token of a new family. @param familyId the line that it begins (lineOf in artifacts.ts) */
export function newRefreshToken(familyId: string): NewToken {
  const random = randomBytes(SECRET + SALT);
  return {
    familyId,
    generation: 0,
    secret: random.toString('base64url', 0, SECRET),
    salt: random.subarray(SECRET),
  };
}

/**
 * The successors of a presented secret, one for each secret of the keyring, the current one first. Only the first is
 * issued; the others recognise what was issued before SYMBOLON_SECRET changed.
 *
 * @param generation the successor's number in its family; a family starts with 0
 */
export function successors(
  keyring: Keyring,
  token: Pick<RefreshToken, 'familyId' | 'secret'>,
  generation: number,
): [string, ...string[]] {
  return keyring
    .macs('refresh', `${token.familyId}.${generation}.${token.secret}`)
    .map((mac) => mac.toString('base64url')) as [string, ...string[]];
}

/**
 * A token's value. The same token has the same value, whoever makes it.
 *
 * @param derivedBy the number in the keyring of the secret that it was derived by
 */
export function formatRefreshToken(keyring: Keyring, token: NewToken, derivedBy = 0): string {
  const { familyId, generation, secret, salt } = token;
  const mac = keyring.mac('refresh-tag', tagged(token), derivedBy);
  const value = Buffer.concat([
    Buffer.from(secret, 'base64url'),
    mac.subarray(0, CHECK),
    sealOf(mac, salt),
  ]);
  return `symr_${familyId}.${generation}.${value.toString('base64url')}`;
}

/** A token's value in the first form, which processes of the former build understand. */
export function formatFirstForm({ familyId, secret }: NewToken): string {
  return `${familyId}.${secret}`;
}

/** @returns undefined when the text has neither form */
export function parseRefreshToken(keyring: Keyring, text: string): RefreshToken | undefined {
  const first = /^([\w-]{22})\.([\w-]{43})$/.exec(text);
  if (first) return { familyId: first[1] as string, secret: first[2] as string, proof: undefined };
  const match = /^symr_([\w-]{22})\.(0|[1-9]\d{0,8})\.([\w-]{64})$/.exec(text);
  if (!match) return undefined;
  const familyId = match[1] as string;
  const generation = Number(match[2]);
  const value = Buffer.from(match[3] as string, 'base64url');
  const secret = value.toString('base64url', 0, SECRET);
  const check = value.subarray(SECRET, SECRET + CHECK);
  const mac = keyring
    .macs('refresh-tag', tagged({ familyId, generation, secret }))
    .find((one) => timingSafeEqual(one.subarray(0, CHECK), check));
  const proof = mac && { generation, mac, seal: value.subarray(SECRET + CHECK) };
  return { familyId, secret, proof };
}

function tagged({ familyId, generation, secret }: Omit<NewToken, 'salt'>): string {
  return `${familyId}.${generation}.${secret}`;
}

function sealOf(mac: Uint8Array, salt: Uint8Array): Uint8Array {
  return createHash('sha256').update(mac).update(salt).digest().subarray(0, SEAL);
}
