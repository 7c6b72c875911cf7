// symbolon user list, show: print accounts.
import type { Command } from 'commander';
import { listAccounts } from '../../accounts/accounts.ts';
import { existingGroup } from '../../accounts/groups.ts';
import { factorsOf } from '../../accounts/factors.ts';
import type { Account } from '../../generated/client.ts';
import { aliveAtTime } from '../../storage/revocation.ts';
import { clientsOf } from '../../storage/sign-outs.ts';
import type { Storage } from '../../storage/storage.ts';
import { asJson, countOption, date, print, table, withStorage } from '../run.ts';
import { accountFacts, withAccount } from './account.ts';

export function listCommand(user: Command): void {
  user
    .command('list')
    .description('list people, by address')
    .option('--search <text>', 'those whose address or name has it, or whose sub it is')
    .option('--group <name>', 'those who are in this group')
    .option('--limit <number>', 'at most so many', countOption, 50)
    .option('--after <email>', 'go on after this address, the last of the page before')
    .option(...asJson)
    .action(({ search, group, after, limit, json }: ListOptions) =>
      withStorage(async ({ storage: { prisma } }) => {
        if (group !== undefined) await existingGroup(prisma, group);
        const found = await listAccounts(prisma, { search, group, after, limit: limit + 1 });
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
    .description('show what an administrator may know of one person')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, { storage }) => {
        const facts = { ...accountFacts(account), ...(await more(account, storage)) };
        const lines = Object.entries(facts).map(([name, value]) => [name, inWords(value)]);
        print(json, facts, table(['', ''], lines).trim());
      }),
    );
}

async function more(
  { id: accountId, locale, claims, passwordHash, pictureId, signedOutAt }: Account,
  { prisma, now }: Pick<Storage, 'prisma' | 'now'>,
) {
  const { totp, passkeys, recoveryCodes } = await factorsOf(prisma, accountId);
  const alive = { accountId, expiresAt: { gt: now() } };
  const last = await prisma.auditEvent.findFirst({
    ...{ where: { accountId, type: 'sign_in' }, orderBy: { id: 'desc' }, select: { at: true } },
  });
  return {
    language: locale,
    claims: claims as object,
    picture: pictureId !== null,
    password: passwordHash !== null,
    ...{ passkeys, totp, recovery_codes: recoveryCodes },
    last_sign_in: last?.at ?? null,
    signed_out_at: signedOutAt,
    sessions: await prisma.artifact.count({ where: { ...alive, model: 'Session' } }),
    families: await prisma.refreshFamily.count({ where: { accountId, ...aliveAtTime(now()) } }),
    applications: await clientsOf(prisma, accountId),
  };
}

function inWords(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (value instanceof Date) return date(value);
  if (Array.isArray(value)) return value.join(', ') || '-';
  if (typeof value === 'object' && value !== null)
    return Object.keys(value).length === 0 ? '-' : JSON.stringify(value);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '-';
}

interface ListOptions {
  search?: string;
  group?: string;
  after?: string;
  limit: number;
  json?: boolean;
}
