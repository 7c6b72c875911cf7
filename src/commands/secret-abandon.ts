// symbolon secret abandon: SYMBOLON_SECRET is lost. What can be opened without it is kept, the rest is told and cleared.
import type { Command } from 'commander';
import { recordChange } from '../accounts/factors.ts';
import { APPLICATION, FORMER_APPLICATION } from '../database/inspect.ts';
import type { Prisma } from '../generated/client.ts';
import { clearLost } from '../keys/lost.ts';
import { writeEvent } from '../storage/audit.ts';
import { beginSealsAnew } from '../storage/audit/seal.ts';
import { commandLine } from '../storage/origin.ts';
import { revokeClient } from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';
import { CommandError, asJson, confirm, print, table, withStorage } from './run.ts';
import { sealedTables } from './sealed-tables.ts';

const LONGEST = 3_600_000; // milliseconds for clearing, and for the answer of the person at the terminal

/** What was cleared, by what it is: how often each name occurs. */
type Lost = Readonly<Record<string, Readonly<Record<string, number>>>>;

export function addAbandonCommand(secret: Command): void {
  secret
    .command('abandon')
    .description(
      'SYMBOLON_SECRET is lost: list what cannot be opened any more, and clear it after a confirmation',
    )
    .option('--yes', 'do not ask')
    .option(...asJson)
    .action(({ yes, json }: { yes?: boolean; json?: boolean }) =>
      withStorage(async ({ storage }) => {
        await assertAlone(storage);
        // The question is asked within the transaction: what is listed is what is cleared.
        const lost = await storage.prisma.$transaction(
          async (database) => {
            const cleared = await clear(database, storage);
            if (Object.keys(cleared).length === 0) return cleared;
            if (!yes) {
              process.stderr.write(`${inWords(cleared)}\n\n`);
              const ask = 'This cannot be undone. Write abandon to clear it: ';
              await confirm(ask, 'abandon', 'Nothing was cleared.');
            }
            return cleared;
          },
          { timeout: LONGEST },
        );
        const isNothing = Object.keys(lost).length === 0;
        const told = yes ? `${inWords(lost)}\n\nCleared.` : 'Cleared.';
        print(
          json,
          lost,
          isNothing ? 'SYMBOLON_SECRET opens everything: nothing is lost, nothing changed.' : told,
        );
      }),
    );
}

/** A process that runs has the secret that is lost, and would go on sealing with it. */
async function assertAlone({ prisma, now }: Storage): Promise<void> {
  const begun = new Date(now().getTime() - process.uptime() * 1000);
  const others = await prisma.$queryRaw<{ pid: number; client: string | null }[]>`
    SELECT pid, host(client_addr) AS client FROM pg_stat_activity
    WHERE datname = current_database() AND application_name IN (${APPLICATION}, ${FORMER_APPLICATION})
      AND pid <> pg_backend_pid() AND backend_start < ${begun}`;
  if (others.length === 0) return;
  const from = [...new Set(others.map(({ client }) => client ?? 'this machine'))].join(', ');
  throw new CommandError(
    `A process of Symbolon uses the database, from ${from}. It has the secret: read it there (docs/operate.md), or stop every process first. If none runs, connect without a pooler. Nothing was cleared.`,
  );
}

/** Clears what cannot be opened, and what follows from it. */
async function clear(database: Prisma.TransactionClient, storage: Storage): Promise<Lost> {
  const { keyring, now } = storage;
  const occasion = { now: now(), origin: commandLine };
  const lost: Record<string, Record<string, number>> = {};
  const note = (what: string, names: Iterable<readonly [string, number]>) => {
    const counts = Object.fromEntries(names);
    if (Object.keys(counts).length > 0) lost[what] = counts;
  };
  for (const sealed of sealedTables) note(sealed.name, await clearLost(database, keyring, sealed));
  const secrets = lost['installation_secrets'] ?? {};
  if ('recovery' in secrets) {
    const codes = await database.recoveryCode.groupBy({ by: ['accountId'], _count: true });
    await database.recoveryCode.deleteMany();
    note(
      'recovery_codes',
      codes.map(({ accountId, _count: count }) => [accountId, count]),
    );
  }
  if ('pairwise' in secrets) {
    const where = { metadata: { path: ['subject_type'], equals: 'pairwise' } };
    const clients = await database.client.findMany({ where, select: { id: true } });
    for (const { id } of clients)
      await revokeClient(database, id, { ...occasion, reason: 'revoked_by_admin' });
    note(
      'pairwise_subjects',
      clients.map(({ id }) => [id, 1]),
    );
  }
  if ('audit' in secrets) note('audit_seals', [['', await beginSealsAnew(database)]]);
  const people = Object.keys(lost['one_time_codes'] ?? {});
  for (const accountId of people)
    await recordChange(
      database,
      { storage, origin: commandLine },
      { type: 'totp.removed', accountId },
    );
  for (const what of ['one_time_codes', 'recovery_codes'])
    if (lost[what]) note(what, await byAddress(database, lost[what]));
  if (Object.keys(lost).length > 0) {
    const detail = Object.fromEntries(
      Object.entries(lost).map(([what, names]) => [what, sum(names)]),
    );
    await writeEvent(database, { type: 'secret.abandoned', detail }, occasion);
  }
  return lost;
}

/** The same with e-mail addresses instead of accounts' ids. */
async function byAddress(
  database: Prisma.TransactionClient,
  ofIds: Readonly<Record<string, number>>,
): Promise<[string, number][]> {
  const where = { id: { in: Object.keys(ofIds) } };
  const accounts = await database.account.findMany({ where, orderBy: { email: 'asc' } });
  return accounts.map(({ id, email }) => [email, ofIds[id] ?? 0]);
}

const sum = (names: Readonly<Record<string, number>>) =>
  Object.values(names).reduce((all, count) => all + count, 0);

/** What each means, and what to do. */
const meanings: Readonly<Record<string, readonly [what: string, so: string]>> = {
  signing_keys: [
    'signing keys',
    'new ones are made at the start; ID tokens and JWTs signed by them end',
  ],
  installation_secrets: ['secrets of the installation', 'new ones are made when they are needed'],
  client_secrets: [
    'client secrets',
    'each application needs another: symbolon client secret replace CLIENT_ID',
  ],
  artifacts: [
    'sessions, codes, opaque tokens',
    'people sign in to the provider again; clients that registered themselves register again',
  ],
  deliveries: ['messages that wait to be sent', 'they are not sent'],
  one_time_codes: [
    'apps for one-time codes',
    'without a passkey, the password alone is asked for until another is set up; a mail tells them',
  ],
  links: ['sign-ups that wait for their confirmation', 'they sign up again'],
  recovery_codes: ['recovery codes', 'these people make new ones'],
  pairwise_subjects: [
    'applications with pairwise subjects',
    'each person has another sub there; their refresh tokens end',
  ],
  audit_seals: [
    'seals of the audit',
    'what is there is sealed anew; what was altered before cannot be told any more',
  ],
};

function inWords(lost: Lost): string {
  const rows = Object.entries(lost).map(([what, names]) => {
    const [title, so] = meanings[what] ?? [what, ''];
    return [String(sum(names)), title, so];
  });
  const lists = Object.entries(lost)
    .map(([what, names]) => [meanings[what]?.[0] ?? what, inRow(names)] as const)
    .filter(([, names]) => names !== '')
    .map(([title, names]) => `${title}: ${names}`);
  return [
    'SYMBOLON_SECRET does not open these, which are lost if the secret that does is:',
    table(['', 'WHAT', 'SO'], rows),
    lists.join('\n'),
    'Kept: people with their passwords and passkeys, applications, what was allowed to them, refresh tokens, the audit.',
  ].join('\n\n');
}

function inRow(names: Readonly<Record<string, number>>): string {
  return Object.entries(names)
    .filter(([name]) => name !== '')
    .map(([name, count]) => (count === 1 ? name : `${name} (${count})`))
    .join(', ');
}
