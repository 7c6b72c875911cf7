// A person's wish to have the account deleted: asked for, and withdrawn. Until its time comes everything works as before,
// since what is ended does not come back when the person has another mind; removal.ts does it then.
import type { Prisma } from '../generated/client.ts';
import { writeEvent } from '../storage/audit.ts';
import { saveNotice } from '../storage/notices.ts';
import type { Origin } from '../storage/origin.ts';
import type { Storage } from '../storage/storage.ts';
import { AccountError } from './accounts.ts';

type Database = Prisma.TransactionClient;

interface Parts {
  readonly storage: Pick<Storage, 'keyring' | 'now'>;
  readonly origin: Origin;
}

/**
 * Asks for an account to be deleted. The person gets a notice by mail. Asking again changes nothing.
 *
 * @param days from now
 * @throws {AccountError} when nobody else would administer
 */
export async function askForDeletion(
  database: Database,
  { storage: { keyring, now: clock }, origin }: Parts,
  accountId: string,
  days: number,
): Promise<void> {
  await assertAnotherAdministrator(database, accountId);
  const now = clock();
  const deleteAt = new Date(now.getTime() + days * 86_400_000);
  const where = { id: accountId, deleteAt: null, lockedAt: null };
  const { count } = await database.account.updateMany({ where, data: { deleteAt } });
  if (count === 0) return;
  const detail = { to: deleteAt.toISOString() };
  await writeEvent(
    database,
    { type: 'account.deletion_asked', accountId, detail },
    { now, origin },
  );
  const notice = { kind: 'deletion_asked', accountId, now, origin, until: deleteAt } as const;
  await saveNotice(database, keyring, notice);
}

/**
 * Keeps an account that was to be deleted. The person gets a notice by mail.
 *
 * @param reason why, if nobody wished it
 * @returns whether it was to be deleted
 */
export async function withdrawDeletion(
  database: Database,
  { storage: { keyring, now: clock }, origin }: Parts,
  accountId: string,
  reason?: 'last_administrator' | 'locked',
): Promise<boolean> {
  const now = clock();
  const where = { id: accountId, deleteAt: { not: null } };
  const { count } = await database.account.updateMany({ where, data: { deleteAt: null } });
  if (count === 0) return false;
  const detail = reason === undefined ? {} : { reason };
  const event = { type: 'account.deletion_withdrawn', accountId, detail } as const;
  await writeEvent(database, event, { now, origin });
  await saveNotice(database, keyring, { kind: 'deletion_withdrawn', accountId, now, origin });
  return true;
}

/** @throws {AccountError} when nobody else would administer */
export async function assertAnotherAdministrator(database: Database, id: string): Promise<void> {
  if (await isLastAdministrator(database, id))
    throw new AccountError('account', 'data.last-administrator');
}

/** Whether an account administers, and nobody else will, once all others have left who wish to. */
export async function isLastAdministrator(database: Database, id: string): Promise<boolean> {
  // Locked together, in one order: of two who leave at once the second sees that the first is leaving. Others lock nobody.
  const all = await database.$queryRaw<{ id: string; stays: boolean }[]>`
    SELECT id, delete_at IS NULL AND locked_at IS NULL AS stays FROM account
    WHERE admin AND EXISTS (SELECT FROM account WHERE id = ${id} AND admin) ORDER BY id FOR UPDATE`;
  return all.some((one) => one.id === id) && !all.some((one) => one.id !== id && one.stays);
}
