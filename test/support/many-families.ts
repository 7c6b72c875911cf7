// Many families at once: rows like that of one family, each with a token of its own.
import { randomBytes } from 'node:crypto';
import type { Prisma, RefreshFamily } from '../../src/generated/client.ts';
import { sha256 } from '../../src/keys/keyring.ts';
import { lineOf } from '../../src/storage/artifacts.ts';
import { formatRefreshToken, newRefreshToken } from '../../src/storage/families/token.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** @returns the current token of each of the new families */
export async function familiesLike(
  { prisma, keyring }: Pick<Storage, 'prisma' | 'keyring'>,
  { retries: _retries, ...row }: RefreshFamily,
  count: number,
): Promise<string[]> {
  const tokens = Array.from({ length: count }, () =>
    newRefreshToken(lineOf('test', randomBytes(32).toString('base64url'))),
  );
  await prisma.refreshFamily.createMany({
    data: tokens.map(({ familyId: id, secret, salt }) => ({
      ...{ ...row, id, currentHash: sha256(secret), salt: new Uint8Array(salt) },
      ...{ generation: 0, previousHash: null, rotatedAt: null },
      payload: row.payload as Prisma.InputJsonObject,
    })),
  });
  return tokens.map((token) => formatRefreshToken(keyring, token));
}
