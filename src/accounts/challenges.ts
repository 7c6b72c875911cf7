// Challenges of WebAuthn (§13.4.3): random, for one purpose and one browser session or interaction, valid for five
// minutes and one answer. None is stored: each carries its expiry and a MAC, and only a spent one is remembered.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { isFirstUse } from '../storage/replay.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { FactorError } from './factors.ts';

const LIFE = 300; // seconds
const HEAD = 20; // bytes: 16 random ones, then the expiry in 4

/** What a challenge is for. */
export interface ChallengePurpose {
  readonly kind: 'registration' | 'authentication';
  /** The id of the interaction or the browser session that it was given to. */
  readonly binding: string;
}

/** Makes a challenge. It is valid for five minutes; {@link spendChallenge} takes it back. */
export function createChallenge(
  { keyring, now }: Storage,
  purpose: ChallengePurpose,
): Uint8Array<ArrayBuffer> {
  const head = Buffer.concat([randomBytes(HEAD - 4), Buffer.alloc(4)]);
  head.writeUInt32BE(epoch(now()) + LIFE, HEAD - 4);
  const [mac] = keyring.macs('webauthn', signed(purpose, head));
  return new Uint8Array(Buffer.concat([head, mac]));
}

/**
 * Spends a challenge that came back. Within a unit of work.
 *
 * @throws {FactorError} when it was made for another purpose, is too old, or was spent before
 */
export async function spendChallenge(
  { keyring, now }: Storage,
  purpose: ChallengePurpose,
  challenge: string,
): Promise<void> {
  const given = Buffer.from(challenge, 'base64url');
  const head = given.subarray(0, HEAD);
  const mac = given.subarray(HEAD);
  const isOurs = keyring
    .macs('webauthn', signed(purpose, head))
    .some((one) => one.length === mac.length && timingSafeEqual(one, mac));
  if (!isOurs) throw new FactorError('factor.passkey-refused');
  const end = head.readUInt32BE(HEAD - 4);
  if (end <= epoch(now())) throw new FactorError('factor.too-late');
  if (!(await isFirstUse('webauthn', given.toString('base64url'), end)))
    throw new FactorError('factor.too-late');
}

function signed({ kind, binding }: ChallengePurpose, head: Buffer): string {
  return JSON.stringify([kind, binding, head.toString('base64url')]);
}
