// The end of an account: everything that is kept about the person goes; the audit keeps what happened, without the
// person's data. Who has asked for it (deletion.ts) is deleted once the time has come: each in a transaction, which locks
// the account, so that of any processes one does it.
import type { Account, Prisma } from '../generated/client.ts';
import { repeat } from '../operations/repeat.ts';
import { writeEvent } from '../storage/audit.ts';
import { erasePerson } from '../storage/audit/seal.ts';
import { removeMailsTo, saveMail } from '../storage/deliveries.ts';
import { LostRace } from '../storage/errors.ts';
import { bySystem } from '../storage/origin.ts';
import { type AccessEnd, endAccess } from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';
import type { ChangeParts } from './changes.ts';
import { assertAnotherAdministrator, isLastAdministrator, withdrawDeletion } from './deletion.ts';
import { forgetGuesses } from './limits.ts';

const EVERY = 60_000; // milliseconds between two looks for whose time has come
const BATCH = 100; // accounts

type Database = Prisma.TransactionClient;
type Parts = Omit<ChangeParts, 'config'>;
type Leaving = Pick<Account, 'id' | 'email' | 'locale'>;

/**
 * Deletes an account, in the caller's transaction. Families end with `account_deleted` and stay explainable by their ids,
 * without addresses and browsers. Applications are told.
 */
export async function deleteAccount(
  database: Database,
  { storage, origin }: Parts,
  { id, email }: Pick<Account, 'id' | 'email'>,
): Promise<AccessEnd> {
  const { keyring } = storage;
  const occasion = { now: storage.now(), origin };
  // Locks the account: whoever is signing in waits, and finds none.
  await database.account.update({ where: { id }, data: { signedOutAt: occasion.now } });
  const revocation = { reason: 'account_deleted', ...occasion, keyring } as const;
  const ended = await endAccess(database, id, 'all', revocation);
  await database.artifact.deleteMany({ where: { accountId: id } });
  await database.refreshFamily.updateMany({
    where: { accountId: id },
    data: { lastUsedIp: null, lastUsedUserAgent: null, retries: {} },
  });
  await database.link.deleteMany({ where: { email } });
  await removeMailsTo(database, keyring, email);
  await forgetGuesses(database, keyring, { password: email, code: id });
  await database.account.delete({ where: { id } });
  await writeEvent(database, { type: 'account.deleted', accountId: id }, occasion);
  await erasePerson(database, keyring, id);
  return ended;
}

/**
 * Deletes an account at once, as its person wishes, and tells them by mail.
 *
 * @param account as it was when its person was found to be signed in
 * @throws {AccountError} when nobody else would administer; {@link LostRace} when it was locked, signed out or removed since
 */
export async function deleteAtOnce(
  database: Database,
  parts: Parts,
  { id, signedOutAt }: Pick<Account, 'id' | 'signedOutAt'>,
): Promise<void> {
  await assertAnotherAdministrator(database, id);
  const [account] = await database.$queryRaw<Leaving[]>`
    SELECT id, email, locale FROM account
    WHERE id = ${id} AND locked_at IS NULL AND signed_out_at IS NOT DISTINCT FROM ${signedOutAt}
    FOR UPDATE`;
  if (!account) throw new LostRace('the account was locked, signed out or removed meanwhile');
  await deleteAndTell(database, parts, account);
}

/** Deletes accounts whose time has come, now and every minute until stopped. */
export function startDeleting(
  storage: Storage,
  report: { readonly onError: (error: unknown) => void; readonly onDone?: () => void },
): { stop(): Promise<void> } {
  const turns = repeat((signal) => deleteDue(storage, signal), { every: EVERY, ...report });
  void turns.wake();
  return turns.start();
}

/**
 * Deletes the accounts whose time has come. One that cannot be deleted keeps no other from it, and is tried again.
 *
 * @throws the first error, after the others were tried
 */
export async function deleteDue(storage: Storage, signal?: AbortSignal): Promise<void> {
  const due = await storage.prisma.account.findMany({
    where: { deleteAt: { lte: storage.now() }, lockedAt: null },
    ...{ orderBy: { deleteAt: 'asc' }, take: BATCH, select: { id: true } },
  });
  const failures: unknown[] = [];
  for (const { id } of due) {
    if (signal?.aborted) break;
    await deleteOne(storage, id).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

async function deleteOne(storage: Storage, id: string): Promise<void> {
  const parts = { storage, origin: bySystem('deletion') };
  await storage.prisma.$transaction(async (database) => {
    const isNeeded = await isLastAdministrator(database, id); // others were, when it was asked for
    const [account] = await database.$queryRaw<Leaving[]>`
      SELECT id, email, locale FROM account
      WHERE id = ${id} AND delete_at <= ${storage.now()} AND locked_at IS NULL
      FOR UPDATE SKIP LOCKED`;
    if (!account) return; // another process has it, or the person has another mind
    if (isNeeded) await withdrawDeletion(database, parts, id, 'last_administrator');
    else await deleteAndTell(database, parts, account);
  });
}

async function deleteAndTell(database: Database, parts: Parts, account: Leaving): Promise<void> {
  const { keyring, now } = parts.storage;
  await deleteAccount(database, parts, account);
  const { email: to, locale } = account;
  const mail = { to, locale, template: 'account-deleted', values: { account: to } } as const;
  await saveMail(database, keyring, mail, now());
}
