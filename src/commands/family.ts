// symbolon family: lists, explains and revokes refresh-token families.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AdapterPayload } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { AuditEvent, PrismaClient, RefreshFamily } from '../generated/client.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { findClient } from '../storage/clients.ts';
import { type FamilyFilter, listFamilies } from '../storage/families/list.ts';
import { rulesFor } from '../storage/families/adapter.ts';
import { type FamilyRules, judge } from '../storage/families/verdict.ts';
import { type RefreshToken, parseRefreshToken } from '../storage/families/token.ts';
import { commandLine } from '../storage/origin.ts';
import {
  type EndReason,
  type Revocation,
  endAccess,
  endLine,
  endReasons,
  revokeClient,
  revokeGrant,
} from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';
import {
  oneTooMany,
  familyFacts,
  familyStory,
  formerUntil,
  verdictsInWords,
} from './family-story.ts';
import {
  CommandError,
  asJson,
  countOption,
  change,
  date,
  existingAccount,
  print,
  secretFromStdin,
  table,
  withStorage,
} from './run.ts';

export function addFamilyCommands(family: Command): void {
  family
    .command('list')
    .description('list families, the newest first')
    .option('--user <email>', 'only those of this person')
    .option('--client <client_id>', 'only those of this application')
    .addOption(
      new Option('--reason <reason>', 'only those that ended for this reason').choices(endReasons),
    )
    .option('--since <time>', 'only those started, used or ended since', timeOption)
    .option('--alive', 'only those that are alive')
    .option('--limit <number>', 'at most so many', countOption, 50)
    .option('--after <id>', 'go on after this family, the last of the page before')
    .option(...asJson)
    .action((options: ListOptions) =>
      withStorage(async ({ storage: { prisma, now } }) => {
        const { user, client: clientId, reason, since, alive, limit, after, json } = options;
        const accountId = user === undefined ? undefined : (await existingAccount(prisma, user)).id;
        const aliveAt = alive ? now() : undefined;
        const last = after === undefined ? undefined : await existingFamily(prisma, after);
        const families = await listFamilies(
          prisma,
          { accountId, clientId, reason, since, aliveAt },
          { limit: limit + 1, after: last?.id },
        );
        const shown = families.slice(0, limit);
        const emails = await emailsOf(prisma, shown);
        const facts = shown.map((row) => familyFacts(row, emails.get(row.accountId), now()));
        const rows = facts.map((row) => [
          row.id,
          row.client_id,
          row.user ?? '-',
          row.state,
          String(row.rotations),
          String(row.retries),
          date(row.started_at),
          date(row.last_used_at),
        ]);
        const heading = [
          ...['ID', 'CLIENT', 'USER', 'STATE', 'ROTATIONS', 'RETRIES', 'STARTED', 'LAST USED'],
        ];
        const more =
          families.length > limit ? `\n\nThere are more: --after ${shown.at(-1)?.id ?? ''}` : '';
        print(json, facts, table(heading, rows) + more);
      }),
    );

  family
    .command('show')
    .description('tell the story of one family')
    .argument('<id>', 'its id: of a refresh token the part between symr_ and the first dot')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const row = await existingFamily(storage.prisma, id);
        const { facts, story } = await factsAndStory(config, storage, row);
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
      await withStorage(async ({ config, storage }) => {
        const token = parseRefreshToken(storage.keyring, text);
        if (!token) throw new CommandError('This is not a refresh token of Symbolon.');
        const row = await existingFamily(storage.prisma, token.familyId);
        const { rules } = await rulesOf(config, storage, row);
        const verdict = await verdictOf(storage, row, token, rules);
        const { facts, story } = await factsAndStory(config, storage, row);
        const isOnlyRefused =
          (verdict === 'reuse' || verdict === 'in_step') && rules.onReuse === 'refuse';
        const words = verdictsInWords[isOnlyRefused ? 'refused' : verdict];
        const generation = token.proof?.generation;
        print(
          json,
          { verdict, token_generation: generation ?? null, ...facts },
          `${words}\n\n${story}`,
        );
      });
    });

  family
    .command('revoke')
    .description(
      'end one family with its access tokens, or all of a person, a client or a grant, or those of a time',
    )
    .argument('[id]', 'its id: of a refresh token the part between symr_ and the first dot')
    .option('--user <email>', 'everything issued for this person')
    .option('--client <client_id>', 'everything issued to this application')
    .option('--grant <grant_id>', 'everything issued from this grant')
    .option('--used-before <time>', 'families last used before this time', timeOption)
    .option('--issued-after <time>', 'families started after this time', timeOption)
    .option(...asJson)
    .action((id: string | undefined, options: RevokeOptions) =>
      withStorage(async ({ storage }) => {
        const { prisma, now } = storage;
        const { user, client, grant, usedBefore, issuedAfter, json } = options;
        const ofTime = usedBefore ?? issuedAfter;
        if ([id, user, client, grant, ofTime].filter((given) => given !== undefined).length !== 1)
          throw new CommandError(
            'Name one: a family’s id, --user, --client, --grant, or a time with --used-before or --issued-after.',
          );
        const revocation = { reason: 'revoked_by_admin', now: now(), origin: commandLine } as const;
        const accountId = user === undefined ? '' : (await existingAccount(prisma, user)).id;
        const row = id === undefined ? undefined : await existingFamily(prisma, id);
        if (row?.endedAt) {
          throw new CommandError(
            `Family ${row.id} ended already, on ${row.endedAt.toISOString()}: ${row.endReason ?? ''}.`,
          );
        }
        if (ofTime) {
          const ended = await endAll(storage, { usedBefore, issuedAfter }, revocation);
          print(json, { revoked: true, ended }, `Revoked; ${ended} refresh-token families ended.`);
          return;
        }
        const ended = await change(storage, async (database, record) => {
          const about = { accountId: accountId || undefined, clientId: client };
          const detail = { by: 'command line', ...(grant === undefined ? {} : { grant }) };
          if (!row) await record({ type: 'access.removed', ...about, detail });
          if (row) return endLine(database, row, revocation);
          if (client !== undefined) return revokeClient(database, client, revocation);
          if (grant !== undefined) return revokeGrant(database, grant, revocation);
          const telling = { ...revocation, keyring: storage.keyring };
          return (await endAccess(database, accountId, 'issued', telling)).families;
        });
        const text = row ? `Revoked ${row.id}.` : `Revoked; ${ended} refresh-token families ended.`;
        print(json, { ...(row ? { id: row.id } : {}), revoked: true, ended }, text);
      }),
    );
}

interface ListOptions {
  user?: string;
  client?: string;
  reason?: EndReason;
  since?: Date;
  alive?: boolean;
  limit: number;
  after?: string;
  json?: boolean;
}

interface RevokeOptions {
  user?: string;
  client?: string;
  grant?: string;
  usedBefore?: Date;
  issuedAfter?: Date;
  json?: boolean;
}

const AT_ONCE = 500; // families that one transaction ends

/** Ends all living families of a time, some at once. @returns how many */
async function endAll(
  storage: Storage,
  filter: FamilyFilter,
  revocation: Revocation,
): Promise<number> {
  for (let all = 0; ;) {
    const ended = await change(storage, async (database) => {
      const alive = { ...filter, aliveAt: revocation.now };
      const families = await listFamilies(database, alive, { limit: AT_ONCE });
      for (const line of families) await endLine(database, line, revocation);
      return families.length;
    });
    all += ended;
    if (ended < AT_ONCE) return all;
  }
}

/** What would happen to a token that its client presented now. */
async function verdictOf(
  { prisma, now }: Storage,
  row: RefreshFamily,
  token: RefreshToken,
  rules: FamilyRules,
): Promise<Exclude<keyof typeof verdictsInWords, 'refused'>> {
  const verdict = judge(row, token, now(), rules.retryWindow);
  if (!['rotate', 'catch_up', 'retry'].includes(verdict)) return verdict;
  const account = await prisma.account.findUnique({ where: { id: row.accountId } });
  if (account?.lockedAt) return 'locked';
  if (!rules.isAllowed) return 'withdrawn';
  if (!rules.goesFarEnough) return 'low';
  const late = oneTooMany(row, rules);
  return verdict === 'retry' && late?.by === 'anybody' && late.from < now() ? 'in_step' : verdict;
}

/** The rules for a family's client, as they are now. */
async function rulesOf(config: Config, { prisma, keyring }: Storage, row: RefreshFamily) {
  const metadata = (await findClient(prisma, keyring, row.clientId)) ?? {};
  const policy = refreshPolicy(config);
  const account = await prisma.account.findUnique({ where: { id: row.accountId } });
  const rules = rulesFor(policy, metadata, row.payload as AdapterPayload, account?.groups);
  const inEffect = { ...policy.inEffect(metadata), refresh_token_retry_window: rules.retryWindow };
  return { rules, inEffect };
}

async function factsAndStory(config: Config, storage: Storage, row: RefreshFamily) {
  const { prisma } = storage;
  const events = await prisma.auditEvent.findMany({
    where: { familyId: row.id },
    orderBy: { id: 'asc' },
  });
  const email = (await emailsOf(prisma, [row])).get(row.accountId);
  const { rules, inEffect } = await rulesOf(config, storage, row);
  const now = storage.now();
  const facts = {
    ...familyFacts(row, email, now),
    former_token_until: formerUntil(row, rules) ?? null,
    one_too_many: oneTooMany(row, rules) ?? null,
    rules: inEffect,
    events: events.map(eventFacts),
  };
  return { facts, story: familyStory(row, email, events, { now, rules, inEffect }) };
}

function eventFacts({ at, type, ip, userAgent, detail }: AuditEvent) {
  return { at, type, ip, user_agent: userAgent, detail };
}

async function existingFamily(prisma: PrismaClient, given: string): Promise<RefreshFamily> {
  // A whole token may have been pasted; its secret is not used.
  const [id = ''] = given.replace(/^symr_/, '').split('.');
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

function timeOption(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('A time looks like 2026-11-28T14:30:00Z.');
  return time;
}
