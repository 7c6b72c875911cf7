// The end of an account: everything that is kept about the person goes; the audit keeps what happened, without the
// person's data.
import type { Account, Prisma } from '../generated/client.ts';
import { writeEvent } from '../storage/audit.ts';
import { erasePerson } from '../storage/audit/seal.ts';
import { removeMailsTo } from '../storage/deliveries.ts';
import { type AccessEnd, endAccess } from '../storage/revocation.ts';
import type { ChangeParts } from './changes.ts';
import { forgetGuesses } from './limits.ts';

/**
 * Deletes an account, in the caller's transaction. Families end with `account_deleted` and stay explainable by their ids,
 * without addresses and browsers. Applications are told.
 */
export async function deleteAccount(
  database: Prisma.TransactionClient,
  { storage, origin }: Omit<ChangeParts, 'config'>,
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
