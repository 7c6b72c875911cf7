// What the commands on people share: finding the account, and printing it.
import type { ChangeParts } from '../../accounts/changes.ts';
import type { Config } from '../../config/config.ts';
import type { Account } from '../../generated/client.ts';
import { commandLine } from '../../storage/origin.ts';
import { askSecret, existingAccount, secretFromStdin, withStorage } from '../run.ts';

/** Runs a command on one person's account. */
export function withAccount(
  email: string,
  work: (account: Account, parts: ChangeParts & { config: Config }) => Promise<void> | void,
): Promise<void> {
  return withStorage(async ({ storage, config }) => {
    const account = await existingAccount(storage.prisma, email);
    await work(account, { storage, config, origin: commandLine });
  });
}

/** Reads a new password from standard input, or asks for it on the terminal. */
export function givenPassword({ passwordStdin }: { passwordStdin?: boolean }): Promise<string> {
  return passwordStdin ? secretFromStdin('password') : askSecret('Password', '--password-stdin');
}

/** An account's facts, for a program. */
export function accountFacts({
  id,
  email,
  emailVerified,
  name,
  username,
  groups,
  admin,
  lockedAt,
  deleteAt,
  createdAt,
}: Account) {
  return {
    sub: id,
    email,
    email_verified: emailVerified,
    name,
    username,
    groups,
    admin,
    locked_at: lockedAt,
    delete_at: deleteAt,
    created_at: createdAt,
  };
}
