// symbolon user: adding and looking at people.
import type { Command } from 'commander';
import {
  AccountError,
  addAccount,
  findAccountByEmail,
  listAccounts,
} from '../accounts/accounts.ts';
import {
  type ChangeParts,
  changePassword,
  lockAccount,
  signOutEverywhere,
  unlockAccount,
} from '../accounts/changes.ts';
import type { Account } from '../generated/client.ts';
import { commandLine } from '../storage/revocation.ts';
import { audit } from '../operations/audit.ts';
import {
  CommandError,
  askSecret,
  date,
  print,
  secretFromStdin,
  table,
  withStorage,
} from './run.ts';

export function addUserCommands(symbolon: Command): void {
  const user = symbolon.command('user').description('people who can sign in');

  user
    .command('add')
    .description('add a person; the password is asked for')
    .argument('<email>')
    .option('--name <name>', 'what applications may call the person')
    .option('--admin', 'make the person an administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'print JSON for a program to read')
    .action(
      async (
        email: string,
        options: { name?: string; admin?: boolean; passwordStdin?: boolean; json?: boolean },
      ) => {
        const password = options.passwordStdin
          ? await secretFromStdin('password')
          : await askSecret('Password', '--password-stdin');
        await withStorage(async ({ storage: { prisma } }) => {
          try {
            const account = await addAccount(
              prisma,
              { email, name: options.name, password },
              { admin: options.admin ?? false },
            );
            await audit(
              prisma,
              {},
              { type: 'account.added', accountId: account.id, detail: { by: 'command line' } },
            );
            print(options.json, shown(account), `Added ${account.email}.`);
          } catch (error) {
            if (error instanceof AccountError)
              throw new CommandError(`${error.field}: ${error.message}`);
            throw error;
          }
        });
      },
    );

  user
    .command('list')
    .description('list everyone')
    .option('--json', 'print JSON for a program to read')
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const accounts = await listAccounts(prisma);
        const rows = accounts.map((account) => [
          account.email,
          account.name ?? '',
          account.admin ? 'yes' : '',
          date(account.createdAt),
        ]);
        print(json, accounts.map(shown), table(['E-MAIL', 'NAME', 'ADMIN', 'ADDED'], rows));
      }),
    );

  user
    .command('show')
    .description('show one person')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const account = await findAccountByEmail(prisma, email);
        if (!account)
          throw new CommandError(`There is no account with the e-mail address ${email}.`);
        const { admin, ...rest } = shown(account);
        const lines = Object.entries({ ...rest, admin: admin ? 'yes' : 'no' }).map(
          ([name, value]) => [name, String(value ?? '-')],
        );
        print(json, shown(account), table(['', ''], lines).trim());
      }),
    );

  user
    .command('password')
    .description('give a person another password; it is asked for')
    .argument('<email>')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'print JSON for a program to read')
    .action(async (email: string, options: { passwordStdin?: boolean; json?: boolean }) => {
      const password = options.passwordStdin
        ? await secretFromStdin('password')
        : await askSecret('Password', '--password-stdin');
      await withAccount(email, async (account, parts) => {
        const ended = await changePassword(parts, account.id, password);
        print(
          options.json,
          { ended },
          `Changed the password of ${account.email}; ${families(ended)} ended.`,
        );
      });
    });

  user
    .command('lock')
    .description('keep a person out: no sign-in, no refresh')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await lockAccount(parts, account.id);
        print(json, { ended }, `Locked ${account.email}; ${families(ended)} ended.`);
      }),
    );

  user
    .command('unlock')
    .description('let a locked person in again')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        await unlockAccount(parts, account.id);
        print(json, {}, `Unlocked ${account.email}.`);
      }),
    );

  user
    .command('sign-out')
    .description('sign a person out everywhere: every browser session, every refresh-token family')
    .argument('<email>')
    .option('--json', 'print JSON for a program to read')
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ended = await signOutEverywhere(parts, account.id, 'revoked_by_admin');
        print(json, { ended }, `Signed ${account.email} out everywhere; ${families(ended)} ended.`);
      }),
    );
}

/** Runs a command on one person's account. */
function withAccount(
  email: string,
  work: (account: Account, parts: ChangeParts) => Promise<void>,
): Promise<void> {
  return withStorage(async ({ storage, config }) => {
    const account = await findAccountByEmail(storage.prisma, email);
    if (!account) throw new CommandError(`There is no account with the e-mail address ${email}.`);
    try {
      await work(account, { storage, config, origin: commandLine });
    } catch (error) {
      if (error instanceof AccountError) throw new CommandError(`${error.field}: ${error.message}`);
      throw error;
    }
  });
}

function families(count: number): string {
  return count === 1 ? 'one refresh-token family' : `${count} refresh-token families`;
}

function shown({ id, email, emailVerified, name, admin, lockedAt, createdAt }: Account) {
  return {
    sub: id,
    email,
    email_verified: emailVerified,
    name,
    admin,
    locked_at: lockedAt,
    created_at: createdAt,
  };
}
