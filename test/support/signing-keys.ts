// The signing keys of a database, made when there are none.
import { signingAlgorithms } from '../../src/config/signing-algorithms.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import { type SigningKeys, loadSigningKeys, maintainKeys } from '../../src/keys/signing-keys.ts';

/** Times in milliseconds. */
export const schedule = {
  rotateEvery: 90 * 86_400_000,
  keptFor: 14 * 86_400_000,
  algorithms: [...signingAlgorithms],
};

export async function signingKeys(prisma: PrismaClient, keyring: Keyring): Promise<SigningKeys> {
  const now = new Date();
  await maintainKeys(prisma, keyring, now, schedule);
  return loadSigningKeys(prisma, keyring, now, schedule);
}
