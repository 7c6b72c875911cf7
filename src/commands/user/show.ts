// symbolon user list, show: print accounts.
import type { Command } from 'commander';
import { listAccounts } from '../../accounts/accounts.ts';
import { asJson, countOption, date, print, table, withStorage } from '../run.ts';
import { accountFacts, withAccount } from './account.ts';

export function listCommand(user: Command): void {
  user
    .command('list')
    .description('list people, by address')
    .option('--search <text>', 'those whose address or name has it, or whose sub it is')
    .option('--limit <number>', 'at most so many', countOption, 50)
    .option('--after <email>', 'go on after this address, the last of the page before')
    .option(...asJson)
    .action(({ search, after, limit, json }: ListOptions) =>
      withStorage(async ({ storage: { prisma } }) => {
        const found = await listAccounts(prisma, { search, after, limit: limit + 1 });
        const accounts = found.slice(0, limit);
        const more =
          found.length > limit ? `\n\nThere are more: --after ${accounts.at(-1)?.email ?? ''}` : '';
        const rows = accounts.map((account) => [
          account.email,
          account.name ?? '',
          account.admin ? 'yes' : '',
          date(account.createdAt),
        ]);
        print(
          json,
          accounts.map(accountFacts),
          `${table(['E-MAIL', 'NAME', 'ADMIN', 'ADDED'], rows)}${more}`,
        );
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

interface ListOptions {
  search?: string;
  after?: string;
  limit: number;
  json?: boolean;
}
