// Recovery codes, for a person who has lost the second factor: ten, made together, shown once, each valid once. The
// database has a keyed hash of account and code; its key outlives every SYMBOLON_SECRET, since codes lie in drawers for
// years.
import { createHmac, randomBytes } from 'node:crypto';
import type { Prisma } from '../generated/client.ts';
import { installationSecret } from '../keys/installation-secrets.ts';
import type { Keyring } from '../keys/keyring.ts';
import { writeEvent } from '../storage/audit.ts';
import { answered } from '../storage/errors.ts';
import { type FactorParts, recordChange } from './factors.ts';

const COUNT = 10;
const LENGTH = 16; // characters of 5 bits: 80 bits
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'; // Crockford's base 32: no two look alike

/** Makes ten codes, which replace the older ones. @returns the codes, to be shown this once */
export async function makeRecoveryCodes(
  database: Prisma.TransactionClient,
  parts: FactorParts,
  accountId: string,
): Promise<string[]> {
  const key = await recoveryKey(database, parts.storage.keyring);
  const codes = Array.from({ length: COUNT }, randomCode);
  await database.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR UPDATE`;
  await database.recoveryCode.deleteMany({ where: { accountId } });
  await database.recoveryCode.createMany({
    data: codes.map((code) => ({ id: hashOf(key, accountId, code), accountId })),
  });
  await recordChange(database, parts, { type: 'recovery_codes.made', accountId });
  return codes.map((code) => code.match(/.{4}/g)?.join('-') ?? code);
}

/** Spends a code at once. @returns whether it was one of the person's unused codes */
export async function useRecoveryCode(
  parts: FactorParts,
  accountId: string,
  typed: string,
): Promise<boolean> {
  const { prisma, keyring, now } = parts.storage;
  const code = normalized(typed);
  if (code.length !== LENGTH) return false;
  return answered(async () => {
    const id = hashOf(await recoveryKey(prisma, keyring), accountId, code);
    return prisma.$transaction(async (database) => {
      const { count } = await database.recoveryCode.updateMany({
        where: { id, accountId, usedAt: null },
        data: { usedAt: now() },
      });
      if (count === 0) return false;
      const left = await database.recoveryCode.count({ where: { accountId, usedAt: null } });
      const event = { type: 'recovery_codes.used', accountId, detail: { left } } as const;
      await writeEvent(database, event, { now: now(), origin: parts.origin });
      return true;
    });
  });
}

/** Whether the text can be a recovery code, not a code of an app. */
export function looksLikeRecoveryCode(typed: string): boolean {
  return normalized(typed).length > 8;
}

function recoveryKey(database: Prisma.TransactionClient, keyring: Keyring): Promise<Buffer> {
  return installationSecret(database, keyring, 'recovery');
}

function hashOf(key: Buffer, accountId: string, code: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHmac('sha256', key).update(`${accountId} ${code}`).digest());
}

function randomCode(): string {
  return [...randomBytes(LENGTH)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

// As Crockford's base 32 is read: in any case, with o for 0, i and l for 1.
function normalized(typed: string): string {
  return typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
}
