// symbolon audit as a process: its filters, its cursor, and --since among many events.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { placeEvents } from '../../src/storage/audit/order.ts';
import { readEvents } from '../../src/storage/audit/read.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run } from '../support/process.ts';
import { person, secret } from '../support/provider.ts';

const MANY = process.env['TEST_LONG'] === undefined ? 20_000 : 1_000_000;

let database: TestDatabase;
let prisma: PrismaClient;
let ada: string;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  ({ id: ada } = await addAccount(prisma, person, { admin: false }));
});
beforeEach(async () => {
  await prisma.$executeRaw`TRUNCATE audit_event, audit_checkpoint, audit_head`;
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

const audit = (...args: string[]) =>
  run(['src/cli.ts', 'audit', ...args], { DATABASE_URL: database.url, SYMBOLON_SECRET: secret });

async function told(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await audit('--json', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => String((JSON.parse(line) as { detail: { n: number } }).detail.n));
}

describe('filters', { timeout: 120_000 }, () => {
  const at = (hoursAgo: number) => new Date(Date.now() - hoursAgo * 3_600_000);
  beforeEach(async () => {
    await prisma.auditEvent.createMany({
      data: [
        { type: 'sign_in', at: at(100), accountId: ada, actorKind: 'person', actorId: ada },
        { type: 'sign_in.failed', at: at(30), accountId: ada },
        {
          type: 'client.changed',
          at: at(20),
          clientId: 'web',
          actorKind: 'operator',
          actorId: 'eve',
        },
        {
          type: 'family.started',
          at: at(3),
          familyId: 'f1',
          clientId: 'web',
          actorKind: 'client',
          actorId: 'web',
        },
        { type: 'sign_in', at: at(1), accountId: 'bob', actorKind: 'person', actorId: 'bob' },
      ].map((event, n) => ({ ...event, detail: { n: n + 1 } })),
    });
  });

  test.each<[string, string[]]>([
    ['', ['1', '2', '3', '4', '5']],
    ['--limit 2', ['4', '5']], // the last
    ['--since 1d', ['3', '4', '5']],
    ['--since 31h --until 2h', ['2', '3', '4']],
    ['--since 2000-01-01 --limit 2', ['1', '2']], // the first since
    ['--after 3', ['4', '5']],
    ['--after 1 --limit 2', ['2', '3']],
    ['--after 5', []],
    ['--type sign_in client.changed', ['1', '3', '5']],
    [`--user ${person.email}`, ['1', '2']],
    ['--user bob', ['5']],
    ['--client web', ['3', '4']],
    ['--family symr_f1.3.secret', ['4']],
    ['--actor operator', ['3']],
    ['--actor client:web', ['4']],
    ['--actor person --since 2w', ['1', '5']],
    ['--type sign_in --follow --limit 2', ['1', '5']],
  ])('%s', async (args, expected) => {
    expect(await told(...args.split(' ').filter(Boolean))).toEqual(expected);
  });

  test.each([
    ['--type nothing', 'Allowed choices are'],
    ['--since yesterday', 'A time looks like'],
    ['--actor nobody', 'An actor is'],
    ['--after x', 'A cursor is'],
    ['--after 6', 'the audit ends at 5'],
    ['--limit 0', 'a number from 1'],
    ['--follow --until 1h', 'exclude each other'],
    ['--user nobody@example.com', 'There is no account'],
  ])('%s is refused', async (args, words) => {
    const { code, stdout, stderr } = await audit(...args.split(' '));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(words);
  });
});

test('a line for people; what came from outside neither moves the cursor nor looks like a member', async () => {
  await prisma.auditEvent.create({
    data: {
      type: 'name.changed',
      accountId: ada,
      ip: '192.0.2.7',
      detail: { name: 'A\u001b[2J by=operator:root' },
    },
  });
  const { stdout } = await audit();
  expect(stdout).toContain('name.changed');
  expect(stdout).toContain('ip=192.0.2.7');
  expect(stdout).toContain(String.raw`name="A\u001b[2J by=operator:root"`);
});

test(`--since among ${MANY.toLocaleString('en')} events`, { timeout: 600_000 }, async () => {
  for (let first = 1; first <= MANY; first += 20_000)
    await prisma.$executeRaw`
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent, actor_kind, actor_id, request_id, detail, position)
    SELECT now() - (${MANY} - n) * (interval '365 days' / ${MANY}), 'sign_in', 'person ' || n % 50000, 'client ' || n % 50,
           'family ' || n, '192.0.2.7', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', 'person', 'person ' || n % 50000,
           gen_random_uuid(), '{"amr": ["pwd"]}', n
    FROM generate_series(${first}::int, ${first + 19_999}::int) n`;
  await prisma.$executeRaw`INSERT INTO audit_head (position) VALUES (${MANY})`;
  await prisma.$executeRaw`ANALYZE audit_event`;
  const times: Record<string, string> = {};
  const count = async (name: string, filter: Parameters<typeof readEvents>[1]) => {
    const start = performance.now();
    const upTo = await placeEvents(prisma);
    let events = 0;
    for await (const { position } of readEvents(prisma, filter, { after: 0n, upTo }))
      if (position > 0n) events += 1;
    times[name] = `${(performance.now() - start).toFixed(0)} ms for ${events}`;
    return events;
  };
  const since = new Date(Date.now() - 86_400_000);
  const day = MANY / 365;
  expect(Math.abs((await count('1 day', { since })) - day)).toBeLessThan(3);
  const ofClient = { since, clientId: 'client 7' };
  expect(Math.abs((await count('1 day of a client', ofClient)) - day / 50)).toBeLessThan(3);
  expect(await count('a person', { accountId: 'person 7' })).toBe(Math.ceil(MANY / 50_000));
  const start = performance.now();
  const { code, stdout } = await audit('--since', '1d', '--json');
  times['the command, 1 day'] = `${(performance.now() - start).toFixed(0)} ms`;
  expect(code).toBe(0);
  expect(Math.abs(stdout.split('\n').length - 1 - day)).toBeLessThan(3);
  console.info(times);
});
