// Nobody can remove the last way into their account: a person without a password keeps a passkey.
import { FactorError, factorsOf } from '../../accounts/factors.ts';
import type { Prisma } from '../../generated/client.ts';

/**
 * Belongs in the transaction that removes a factor. Of two simultaneous removals the second waits for the first.
 *
 * @throws {FactorError} when no factor would be left to sign in with
 */
export async function assertWayIn(
  database: Prisma.TransactionClient,
  accountId: string,
): Promise<void> {
  await database.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR UPDATE`;
  const { password, passkeys } = await factorsOf(database, accountId);
  if (!password && passkeys === 0) throw new FactorError('factor.last-way');
}
