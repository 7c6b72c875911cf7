// Usernames: another name to sign in with, for whoever has one.
import type { Prisma } from '../generated/client.ts';
import { AccountError } from './accounts.ts';

/**
 * A username as it is kept and compared. It is no e-mail address, or somebody could take another's for a username.
 *
 * @returns null for none
 * @throws {AccountError} when it will not do
 */
export function writtenUsername(given: string): string | null {
  const username = given.trim().toLowerCase();
  if (username === '') return null;
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(username))
    throw new AccountError('username', 'account.username-wrong');
  return username;
}

/**
 * The address of the account that somebody wants to sign in to.
 *
 * @param typed an address, or a username
 * @returns what was typed when nobody has that username
 */
export async function addressOf(
  database: Prisma.TransactionClient,
  typed: string,
): Promise<string> {
  if (typed.includes('@')) return typed;
  const username = typed.trim().toLowerCase();
  const account = await database.account.findUnique({
    where: { username },
    select: { email: true },
  });
  return account?.email ?? typed;
}
