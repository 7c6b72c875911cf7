// symbolon user list, show: print accounts.
import type { Command } from 'commander';
import { listAccounts } from '../../accounts/accounts.ts';
import { asJson, date, print, table, withStorage } from '../run.ts';
import { accountFacts, withAccount } from './account.ts';

export function listCommand(user: Command): void {
  user
    .command('list')
    .description('list everyone')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const accounts = await listAccounts(prisma);
        const rows = accounts.map((account) => [
          account.email,
          account.name ?? '',
          account.admin ? 'yes' : '',
          date(account.createdAt),
        ]);
        print(json, accounts.map(accountFacts), table(['E-MAIL', 'NAME', 'ADMIN', 'ADDED'], rows));
      }),
    );
}

export function showCommand(user: Command): void {
  user
    .command('show')
    .description('show one person')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, (account) => {
        const { admin, ...rest } = accountFacts(account);
        const lines = Object.entries({ ...rest, admin: admin ? 'yes' : 'no' }).map(
          ([name, value]) => [name, String(value ?? '-')],
        );
        print(json, accountFacts(account), table(['', ''], lines).trim());
      }),
    );
}
