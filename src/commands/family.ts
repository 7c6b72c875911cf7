// symbolon family: refresh-token families, each told so that a person can explain what happened to it.
import type { Command } from 'commander';
import { findAccountByEmail } from '../accounts/accounts.ts';
import type { PrismaClient, RefreshFamily } from '../generated/client.ts';
import { listFamilies } from '../storage/families.ts';
import { endFamily } from '../storage/revocation.ts';
import { CommandError, date, print, table, withStorage } from './run.ts';

export function addFamilyCommands(symbolon: Command): void {
  const family = symbolon
    .command('family')
    .description('refresh-token families: everything that descends from one authorization');

  family
    .command('list')
    .description('list families, the newest first')
    .option('--user <email>', 'only those of this person')
    .option('--client <client_id>', 'only those of this application')
    .option('--json', 'print JSON for a program to read')
    .action((options: { user?: string; client?: string; json?: boolean }) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const account =
          options.user === undefined ? undefined : await findAccountByEmail(prisma, options.user);
        if (account === null)
          throw new CommandError(
            `There is no account with the e-mail address ${String(options.user)}.`,
          );
        const families = await listFamilies(prisma, {
          ...(account ? { accountId: account.id } : {}),
          ...(options.client === undefined ? {} : { clientId: options.client }),
        });
        const emails = await emailsOf(prisma, families);
        const told = families.map((row) => tell(row, emails, now()));
        const rows = told.map((row) => [
          row.id,
          row.client_id,
          row.user ?? '-',
          row.state,
          String(row.rotations),
          date(row.started_at),
          date(row.last_used_at),
        ]);
        print(
          options.json,
          told,
          table(['ID', 'CLIENT', 'USER', 'STATE', 'ROTATIONS', 'STARTED', 'LAST USED'], rows),
        );
      }),
    );

  family
    .command('show')
    .description('show one family and what happened to it')
    .argument('<id>', 'the part of a refresh token before its dot')
    .option('--json', 'print JSON for a program to read')
    .action((given: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const row = await find(prisma, given);
        const events = await prisma.auditEvent.findMany({
          where: { familyId: row.id },
          orderBy: { id: 'asc' },
        });
        const told = {
          ...tell(row, await emailsOf(prisma, [row]), now()),
          events: events.map(({ at, type, ip, userAgent, detail }) => ({
            at,
            type,
            ip,
            user_agent: userAgent,
            detail,
          })),
        };
        const lines = Object.entries(told)
          .filter(([name]) => name !== 'events')
          .map(([name, value]) => [
            name,
            value instanceof Date
              ? value.toISOString()
              : String((value as string | number | null) ?? '-'),
          ]);
        const happened = told.events.map(
          ({ at, type, ip, detail }) =>
            `${at.toISOString()}  ${type}  ${JSON.stringify(detail)}  from ${ip ?? 'the command line'}`,
        );
        print(json, told, [table(['', ''], lines).trim(), ...happened].join('\n'));
      }),
    );

  family
    .command('revoke')
    .description('end one family, with its grant and access tokens')
    .argument('<id>', 'the part of a refresh token before its dot')
    .option('--json', 'print JSON for a program to read')
    .action((given: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const row = await find(prisma, given);
        if (row.endedAt)
          throw new CommandError(
            `Family ${row.id} ended already, on ${row.endedAt.toISOString()}: ${row.endReason ?? ''}.`,
          );
        await prisma.$transaction((database) =>
          endFamily(database, row.id, 'revoked_by_operator', now(), {
            ip: undefined,
            userAgent: undefined,
          }),
        );
        print(json, { id: row.id, revoked: true }, `Revoked ${row.id}.`);
      }),
    );
}

async function find(prisma: PrismaClient, given: string): Promise<RefreshFamily> {
  const [id = ''] = given.split('.'); // a whole token may have been pasted; its secret is not used
  const row = await prisma.refreshFamily.findUnique({ where: { id } });
  if (!row) throw new CommandError(`There is no family ${id}.`);
  return row;
}

async function emailsOf(
  prisma: PrismaClient,
  families: readonly RefreshFamily[],
): Promise<Map<string, string>> {
  const ids = [...new Set(families.map(({ accountId }) => accountId))];
  const accounts = await prisma.account.findMany({
    where: { id: { in: ids } },
    select: { id: true, email: true },
  });
  return new Map(accounts.map(({ id, email }) => [id, email]));
}

function tell(row: RefreshFamily, emails: Map<string, string>, now: Date) {
  const expiresAt =
    row.idleExpiresAt < row.absoluteExpiresAt ? row.idleExpiresAt : row.absoluteExpiresAt;
  return {
    id: row.id,
    client_id: row.clientId,
    user: emails.get(row.accountId) ?? null,
    sub: row.accountId,
    state: row.endedAt
      ? `ended: ${row.endReason ?? 'unknown'}`
      : expiresAt <= now
        ? 'expired'
        : 'active',
    scope: (row.payload as { scope?: string }).scope ?? null,
    rotations: row.generation,
    started_at: row.createdAt,
    rotated_at: row.rotatedAt,
    last_used_at: row.lastUsedAt,
    last_used_ip: row.lastUsedIp,
    last_used_user_agent: row.lastUsedUserAgent,
    expires_at: expiresAt,
    absolute_expires_at: row.absoluteExpiresAt,
    ended_at: row.endedAt,
    end_reason: row.endReason,
  };
}
