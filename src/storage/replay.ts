// Replay detection for DPoP proofs and client assertions (RFC 9449 §11.1, RFC 7523 §3). A `jti` is inserted at once;
// a conflict is a replay. Finding first and saving later would let two simultaneous uses through.
import type { Prisma } from '../generated/client.ts';
import { artifactId } from './artifacts.ts';
import { answered } from './errors.ts';
import { currentUnit } from './unit-of-work.ts';

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
  database: Prisma.TransactionClient = currentUnit().storage.prisma,
): Promise<boolean> {
  const id = artifactId('ReplayDetection', JSON.stringify([iss, jti]));
  const data = {
    id,
    model: 'ReplayDetection',
    sealed: new Uint8Array(0),
    expiresAt: new Date(exp * 1000),
  };
  const { count } = await answered(() =>
    database.artifact.createMany({ data: [data], skipDuplicates: true }),
  );
  return count === 1;
}
