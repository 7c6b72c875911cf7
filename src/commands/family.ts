// symbolon family: lists, explains and revokes refresh-token families.
import type { Command } from 'commander';
import type { AdapterPayload } from 'oidc-provider';
import type { AuditEvent, PrismaClient, RefreshFamily } from '../generated/client.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { findClient } from '../storage/clients.ts';
import { listFamilies } from '../storage/families/row.ts';
import { rulesFor } from '../storage/families/adapter.ts';
import { judge } from '../storage/families/verdict.ts';
import { parseRefreshToken } from '../storage/families/token.ts';
import { commandLine } from '../storage/origin.ts';
import { endLine, revokeAccount, revokeClient, revokeGrant } from '../storage/revocation.ts';
import { familyFacts, familyStory, verdictsInWords } from './family-story.ts';
import {
  CommandError,
  asJson,
  change,
  date,
  existingAccount,
  print,
  secretFromStdin,
  table,
  withStorage,
} from './run.ts';

export function addFamilyCommands(symbolon: Command): void {
  const family = symbolon
    .command('family')
    .description('refresh-token families: everything that descends from one authorization');

  family
    .command('list')
    .description('list families, the newest first')
    .option('--user <email>', 'only those of this person')
    .option('--client <client_id>', 'only those of this application')
    .option(...asJson)
    .action((options: { user?: string; client?: string; json?: boolean }) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const accountId =
          options.user === undefined ? undefined : (await existingAccount(prisma, options.user)).id;
        const families = await listFamilies(prisma, {
          ...(accountId === undefined ? {} : { accountId }),
          ...(options.client === undefined ? {} : { clientId: options.client }),
        });
        const emails = await emailsOf(prisma, families);
        const facts = families.map((row) => familyFacts(row, emails.get(row.accountId), now()));
        const rows = facts.map((row) => [
          row.id,
          row.client_id,
          row.user ?? '-',
          row.state,
          String(row.rotations),
          date(row.started_at),
          date(row.last_used_at),
        ]);
        const heading = ['ID', 'CLIENT', 'USER', 'STATE', 'ROTATIONS', 'STARTED', 'LAST USED'];
        print(options.json, facts, table(heading, rows));
      }),
    );

  family
    .command('show')
    .description('tell the story of one family')
    .argument('<id>', 'the part of a refresh token before its dot')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const { facts, story } = await factsAndStory(
          prisma,
          await existingFamily(prisma, id),
          now(),
        );
        print(json, facts, story);
      }),
    );

  family
    .command('explain')
    .description(
      'tell what would happen to a refresh token, and its family’s story; the token comes on standard input and is never printed',
    )
    .option(...asJson)
    .action(async ({ json }: { json?: boolean }) => {
      const text = (await secretFromStdin('refresh token')).trim();
      await withStorage(async ({ config, storage: { prisma, keyring, now } }) => {
        const token = parseRefreshToken(keyring, text);
        if (!token) throw new CommandError('This is not a refresh token of Symbolon.');
        const row = await existingFamily(prisma, token.familyId);
        const metadata = (await findClient(prisma, keyring, row.clientId)) ?? {};
        const rules = rulesFor(refreshPolicy(config), metadata, row.payload as AdapterPayload);
        const judged = judge(row, token, now(), rules.retryWindow);
        const account = await prisma.account.findUnique({ where: { id: row.accountId } });
        const works = judged === 'rotate' || judged === 'retry';
        const isLow = works && !rules.goesFarEnough;
        const verdict = works && account?.lockedAt ? 'locked' : isLow ? 'low' : judged;
        const { facts, story } = await factsAndStory(prisma, row, now());
        const isOnlyRefused = verdict === 'reuse' && rules.onReuse === 'refuse';
        const words = verdictsInWords[isOnlyRefused ? 'refused' : verdict];
        print(json, { verdict, ...facts }, `${words}\n\n${story}`);
      });
    });

  family
    .command('revoke')
    .description(
      'end one family with its grant and access tokens, or all of a person, a client or a grant',
    )
    .argument('[id]', 'the part of a refresh token before its dot')
    .option('--user <email>', 'everything issued for this person')
    .option('--client <client_id>', 'everything issued to this application')
    .option('--grant <grant_id>', 'everything issued from this grant')
    .option(...asJson)
    .action((id: string | undefined, options: RevokeOptions) =>
      withStorage(async ({ storage }) => {
        const { prisma, now } = storage;
        const { user, client, grant, json } = options;
        if ([id, user, client, grant].filter((given) => given !== undefined).length !== 1) {
          throw new CommandError('Name one: a family’s id, --user, --client or --grant.');
        }
        const revocation = { reason: 'revoked_by_admin', now: now(), origin: commandLine } as const;
        const accountId = user === undefined ? '' : (await existingAccount(prisma, user)).id;
        const row = id === undefined ? undefined : await existingFamily(prisma, id);
        if (row?.endedAt) {
          throw new CommandError(
            `Family ${row.id} ended already, on ${row.endedAt.toISOString()}: ${row.endReason ?? ''}.`,
          );
        }
        const ended = await change(storage, (database) => {
          if (row) return endLine(database, row, revocation);
          if (client !== undefined) return revokeClient(database, client, revocation);
          if (grant !== undefined) return revokeGrant(database, grant, revocation);
          return revokeAccount(database, accountId, revocation);
        });
        const text = row ? `Revoked ${row.id}.` : `Revoked; ${ended} refresh-token families ended.`;
        print(json, { ...(row ? { id: row.id } : {}), revoked: true, ended }, text);
      }),
    );
}

interface RevokeOptions {
  user?: string;
  client?: string;
  grant?: string;
  json?: boolean;
}

async function factsAndStory(prisma: PrismaClient, row: RefreshFamily, now: Date) {
  const events = await prisma.auditEvent.findMany({
    where: { familyId: row.id },
    orderBy: { id: 'asc' },
  });
  const email = (await emailsOf(prisma, [row])).get(row.accountId);
  return {
    facts: { ...familyFacts(row, email, now), events: events.map(eventFacts) },
    story: familyStory(row, email, events, now),
  };
}

function eventFacts({ at, type, ip, userAgent, detail }: AuditEvent) {
  return { at, type, ip, user_agent: userAgent, detail };
}

async function existingFamily(prisma: PrismaClient, given: string): Promise<RefreshFamily> {
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
