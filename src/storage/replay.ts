// Replay detection for DPoP proofs and client assertions (RFC 9449 §11.1, RFC 7523 §3). A `jti` is inserted at once;
// a conflict is a replay. Finding first and saving later would let two simultaneous uses through.
import type { Prisma } from '../generated/client.ts';
import { artifactId } from './artifacts.ts';
import { answered } from './errors.ts';
import { currentUnit } from './unit-of-work.ts';

// Milliseconds for which a `jti` is remembered beyond the time that is asked for. A DPoP proof may be dated up to 300 s
// ahead, and is accepted until 300 s after its date; the engine asks for 300 s from now.
const MARGIN = 300_000;

/**
 * Remembers a `jti` of an issuer until it expires. The engine's `ReplayDetection.unique`.
 *
 * @param exp seconds since the epoch
 * @param database the transaction that it belongs to; when not set, it is remembered whatever becomes of the request
 * @returns whether this is its first use
 */
export async function isFirstUse(
  iss: string,
  jti: string,
  exp: number,
  database?: Prisma.TransactionClient,
): Promise<boolean> {
  const { prisma, now, shift } = currentUnit().storage;
  const id = artifactId('ReplayDetection', JSON.stringify([iss, jti]));
  const data = {
    id,
    model: 'ReplayDetection',
    sealed: new Uint8Array(0),
    expiresAt: new Date(Math.max((exp + shift()) * 1000, now().getTime()) + MARGIN),
  };
  const { count } = await answered(() =>
    (database ?? prisma).artifact.createMany({ data: [data], skipDuplicates: true }),
  );
  return count === 1;
}
