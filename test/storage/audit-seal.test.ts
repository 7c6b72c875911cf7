// The seals of the audit: what was removed, altered or added shows, also after the sweep has removed what is old.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { sweep } from '../../src/database/sweep.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { writeEvents } from '../../src/storage/audit.ts';
import { erasePerson, sealEvents } from '../../src/storage/audit/seal.ts';
import { verifyEvents } from '../../src/storage/audit/verify.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run } from '../support/process.ts';
import { secret } from '../support/provider.ts';

const DAY = 86_400;
const START = new Date('2026-11-01T12:00:00.000Z').getTime();

let database: TestDatabase;
let prisma: PrismaClient;
let time = START;
const now = () => new Date(time);
const keyring = new Keyring([secret]);
const parts = () => ({ prisma, keyring, now });
const problems = async (retention = 30 * DAY, expected?: string[]) =>
  (await verifyEvents(parts(), retention, expected)).problems;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
});
beforeEach(async () => {
  await prisma.auditEvent.deleteMany();
  await prisma.auditCheckpoint.deleteMany();
  await prisma.auditHead.deleteMany();
  time = START;
  for (let day = 1; day <= 4; day++) {
    await record(`ada`, 5);
    await sealEvents(parts());
    time += DAY * 1000;
  }
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

async function record(accountId: string, count: number): Promise<void> {
  const origin = {
    ip: '192.0.2.7',
    userAgent: 'Browser',
    actor: { kind: 'person', id: accountId },
    requestId: 'r-1',
  } as const;
  const events = Array.from({ length: count }, (_, n) => ({
    type: 'name.changed' as const,
    accountId,
    detail: { changed: { name: { from: 'Ada', to: `Ada ${n}` } }, by: 'test' },
  }));
  await writeEvents(prisma, events, { now: now(), origin });
}

test('what was sealed is intact; what comes later is not sealed yet', async () => {
  await record('ada', 2);
  expect(await verifyEvents(parts(), 30 * DAY)).toMatchObject({
    ...{ problems: [], checkpoints: 4, events: 20, unsealed: 2 },
  });
});

describe('shows:', () => {
  test.each([
    ['a type', `UPDATE audit_event SET type = 'consent' WHERE position = 7`],
    ['a time', `UPDATE audit_event SET at = at + interval '1 ms' WHERE position = 7`],
    ['an address', `UPDATE audit_event SET ip = '192.0.2.8' WHERE position = 7`],
    ['an address that is none', `UPDATE audit_event SET ip = NULL WHERE position = 7`],
    ['an actor', `UPDATE audit_event SET actor_id = 'bob' WHERE position = 7`],
    ['a request', `UPDATE audit_event SET request_id = NULL WHERE position = 7`],
    ['a detail', `UPDATE audit_event SET detail = '{"by": "test"}' WHERE position = 7`],
    ['an account', `UPDATE audit_event SET account_id = 'bob' WHERE position = 7`],
    ['an id', `UPDATE audit_event SET id = id + 1000000 WHERE position = 7`],
    [
      'an erasure that was none',
      `UPDATE audit_event SET ip = NULL, erased = '' WHERE position = 7`,
    ],
  ])('%s that was altered', async (_what, sql) => {
    expect(await prisma.$executeRawUnsafe(sql)).toBe(1);
    const at = new Date(START + DAY * 1000).toISOString();
    expect(await problems()).toEqual([`events 6 to 10 (checkpoint 2, ${at}): altered`]);
  });

  test('two events that have changed places', async () => {
    await prisma.$executeRaw`
      UPDATE audit_event SET position = 15 - position WHERE position IN (7, 8)`;
    expect(await problems()).toEqual([expect.stringContaining('(checkpoint 2, ')]);
  });

  test('an event that was removed, one that was added, and one before all', async () => {
    await prisma.$executeRaw`DELETE FROM audit_event WHERE position IN (7, 8)`;
    await prisma.$executeRaw`INSERT INTO audit_event (type, position) VALUES ('sign_in', 12)`;
    await prisma.$executeRaw`INSERT INTO audit_event (type, position) VALUES ('sign_in', -1)`;
    expect(await problems()).toEqual([
      expect.stringMatching(/^events 6 to 10 .*: 2 removed, the first is 7$/),
      expect.stringMatching(/^events 11 to 15 .*: 1 added$/),
      '1 events belong to no checkpoint that there is',
    ]);
  });

  test('an event that was removed before it was sealed, once it has its place', async () => {
    await record('ada', 3);
    await sealEvents(parts());
    await prisma.$executeRaw`DELETE FROM audit_event WHERE position = 22`;
    expect(await problems()).toEqual([expect.stringMatching(/1 removed, the first is 22$/)]);
  });

  test.each([
    [1n, /^the checkpoints before 2 are missing, with events until 2026-11-01/],
    [3n, /^checkpoint 3 is missing$/],
    [4n, /^checkpoint 4 is missing$/],
  ])('checkpoint %i that was removed', async (number, problem) => {
    await prisma.auditCheckpoint.delete({ where: { number } });
    const [first] = await problems();
    expect(first).toMatch(problem);
    // Nor does the next seal cover it up.
    await record('ada', 1);
    await sealEvents(parts());
    expect((await problems())[0]).toMatch(problem);
  });

  test('a checkpoint that was removed with its events', async () => {
    await prisma.$executeRaw`DELETE FROM audit_event WHERE position > 15`;
    await prisma.auditCheckpoint.delete({ where: { number: 4n } });
    expect(await problems()).toEqual([
      'checkpoint 4 is missing',
      'the last checkpoint is not 4, as it was made',
    ]);
  });

  test('all of it gone', async () => {
    await prisma.auditEvent.deleteMany();
    await prisma.auditCheckpoint.deleteMany();
    expect(await problems()).toEqual(['the last checkpoint is not 4, as it was made']);
  });

  test('a state of before, by a hash that was told in the log', async () => {
    const [state, told] = [
      await prisma.auditHead.findFirstOrThrow(),
      await prisma.auditCheckpoint.findMany({ orderBy: { number: 'asc' } }),
    ];
    await record('ada', 5);
    const [made] = await sealEvents(parts());
    await prisma.$executeRaw`DELETE FROM audit_event WHERE position > 20`;
    await prisma.auditCheckpoint.delete({ where: { number: 5n } });
    await prisma.auditHead.update({ where: { id: 1 }, data: { ...state, position: 20n } });
    expect(await problems(30 * DAY, [told[2]?.hash ?? ''])).toEqual([]);
    expect(await problems(30 * DAY, [made?.hash ?? ''])).toEqual([
      `there is no checkpoint with the hash ${made?.hash ?? ''}`,
    ]);
  });

  test('a checkpoint of somebody who has the database but not the secret', async () => {
    const forger = {
      ...parts(),
      keyring: new Keyring(['another secret that is long enough, too']),
    };
    await record('ada', 1);
    await expect(sealEvents(forger)).rejects.toThrow();
    await prisma.$executeRaw`UPDATE audit_checkpoint SET digest = 'another' WHERE number = 2`;
    expect((await problems())[0]).toBe('checkpoint 2 was altered');
  });
});

test('processes that seal at once make one chain; one that comes soon after another does nothing', async () => {
  for (let n = 0; n < 10; n++) {
    await record('ada', 3);
    await Promise.all(Array.from({ length: 4 }, () => sealEvents(parts())));
  }
  expect(await verifyEvents(parts(), 30 * DAY)).toMatchObject({ problems: [], events: 50 });
  await record('ada', 1);
  expect(await sealEvents(parts(), 30_000)).toEqual([]);
  time += 30_000;
  expect(await sealEvents(parts(), 30_000)).toHaveLength(1);
});

test('many events at once are several checkpoints', async () => {
  await prisma.$executeRaw`
    INSERT INTO audit_event (type) SELECT 'sign_in' FROM generate_series(1, 25000)`;
  expect(await sealEvents(parts())).toHaveLength(3);
  expect(await verifyEvents(parts(), 30 * DAY)).toMatchObject({ problems: [], events: 25_020 });
});

test('a person’s data go, what happened stays, and the seals hold', async () => {
  await record('bob', 1);
  await erasePerson(prisma, keyring, 'ada');
  await sealEvents(parts());
  expect(await problems()).toEqual([]);
  const rows = await prisma.auditEvent.findMany({ orderBy: { position: 'asc' } });
  expect(rows[0]).toMatchObject({
    ...{ ip: null, userAgent: null, detail: { by: 'test' }, accountId: 'ada' },
  });
  expect(rows.at(-1)).toMatchObject({ ip: '192.0.2.7', accountId: 'bob' });
  await prisma.$executeRaw`UPDATE audit_event SET ip = '192.0.2.9' WHERE position = 3`;
  expect(await problems()).toEqual([expect.stringContaining('(checkpoint 1, ')]);
});

describe('the retention', () => {
  const swept = (auditRetention: number) => sweep({ prisma, now, retention: 0, auditRetention });

  test('takes whole checkpoints, the oldest first, and what is left can be checked', async () => {
    expect(await swept(2.5 * DAY)).toBe(10);
    expect(await prisma.auditCheckpoint.count()).toBe(2);
    expect(await verifyEvents(parts(), 2.5 * DAY)).toMatchObject({ problems: [], events: 10 });
    // A longer retention would not have taken them.
    expect(await problems(30 * DAY)).toEqual([
      expect.stringMatching(/^the checkpoints before 3 are missing/),
    ]);
    await prisma.$executeRaw`DELETE FROM audit_event WHERE position = 12`;
    expect(await problems(2.5 * DAY)).toEqual([expect.stringMatching(/1 removed/)]);
  });

  test('keeps the last checkpoint, and what is not sealed', async () => {
    time += 100 * DAY * 1000;
    await prisma.auditEvent.create({ data: { type: 'sign_in', at: new Date(START) } });
    expect(await swept(DAY)).toBe(15);
    expect(await problems(DAY)).toEqual([]);
    await sealEvents(parts());
    expect(await problems(DAY)).toEqual([]);
    expect(await swept(DAY)).toBe(5);
    expect(await problems(DAY)).toEqual([]);
  });
});

test('symbolon audit verify', { timeout: 60_000 }, async () => {
  const environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_AUDIT_RETENTION_DAYS: '36500',
  };
  const verify = (...args: string[]) =>
    run(['src/cli.ts', 'audit', 'verify', ...args], environment);
  const intact = await verify('--json');
  expect(intact).toMatchObject({ code: 0, stderr: '' });
  const told = JSON.parse(intact.stdout) as { head: { hash: string } };
  expect(told).toMatchObject({ intact: true, checkpoints: 4, events: 20, head: { number: 4 } });
  expect(await verify('--expect', told.head.hash)).toMatchObject({ code: 0 });
  await prisma.$executeRaw`DELETE FROM audit_event WHERE position = 7`;
  const { code, stdout } = await verify();
  expect(code).toBe(1);
  expect(stdout).toMatch(/^events 6 to 10/);
});
