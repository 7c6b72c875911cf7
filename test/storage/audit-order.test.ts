// The audit's order: no event is lost to a reader, and none comes twice, whatever order transactions commit in.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { placeEvents } from '../../src/storage/audit/order.ts';
import { readEvents } from '../../src/storage/audit/read.ts';
import { sealEvents } from '../../src/storage/audit/seal.ts';
import { verifyEvents } from '../../src/storage/audit/verify.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run } from '../support/process.ts';
import { secret } from '../support/provider.ts';

const RUNS = process.env['TEST_LONG'] === undefined ? 2 : 50;

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  environment = { DATABASE_URL: database.url, SYMBOLON_SECRET: secret };
});
beforeEach(async () => {
  await prisma.auditEvent.deleteMany();
  await prisma.auditCheckpoint.deleteMany();
  await prisma.auditHead.deleteMany();
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

async function idsAfter(after: bigint): Promise<{ ids: bigint[]; upTo: bigint }> {
  const upTo = await placeEvents(prisma);
  const ids: bigint[] = [];
  for await (const { id } of readEvents(prisma, {}, { after, upTo })) ids.push(id);
  return { ids, upTo };
}

test('an event whose id is smaller and that commits later comes later', async () => {
  const insert = `INSERT INTO audit_event (type) VALUES ('sign_in') RETURNING id`;
  const [early, late] = await Promise.all(
    ['early', 'late'].map(async () => {
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      await client.query('BEGIN');
      return client;
    }),
  );
  const idOf = async (client: pg.Client | undefined) => {
    const { rows } = (await client?.query<{ id: string }>(insert)) ?? { rows: [] };
    return BigInt(rows[0]?.id ?? 0);
  };
  const [first, second] = [await idOf(late), await idOf(early)];
  expect(first).toBeLessThan(second);
  await early?.query('COMMIT');
  const one = await idsAfter(0n);
  expect(one.ids).toEqual([second]);
  expect((await idsAfter(one.upTo)).ids).toEqual([]);
  await late?.query('COMMIT'); // it was open all the while, and has held nobody up
  expect((await idsAfter(one.upTo)).ids).toEqual([first]);
  expect((await idsAfter(0n)).ids).toEqual([second, first]);
  await Promise.all([early?.end(), late?.end()]);
});

test.each(Array.from({ length: RUNS }, (_, run) => [run + 1]))(
  'processes that write, late and in any order; processes that follow; one that seals: run %i',
  { timeout: 120_000 },
  async () => {
    const followers = [1, 2].map(() => follow());
    const writers = ['a', 'b', 'c'].map((name) =>
      run(['test/storage/audit-writer.ts', database.url, '6', '10', name], environment),
    );
    const sealed = { prisma, keyring: new Keyring([secret]), now: () => new Date() };
    const writing = new AbortController();
    const until = async (work: () => Promise<unknown>) => {
      while (!writing.signal.aborted) await work();
    };
    const sealing = Promise.all([
      until(() => sealEvents(sealed)),
      ...[1, 2, 3].map(() => until(() => placeEvents(prisma))),
    ]);
    const ended = await Promise.all(writers);
    writing.abort();
    await sealing;
    const written = ended.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
    expect(written.length).toBeGreaterThan(100);

    for (const { cursors, wait, child } of followers) {
      await wait(written.length);
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
      expect(cursors).toEqual(written.map((_, index) => index + 1)); // all, once, in their order
    }
    const rows = await prisma.auditEvent.findMany({ orderBy: { position: 'asc' } });
    expect(rows.map(({ position }) => Number(position))).toEqual(rows.map((_, index) => index + 1));
    expect(rows.map(({ id }) => String(id)).sort()).toEqual(written.toSorted());
    await sealEvents(sealed);
    const found = await verifyEvents(sealed, 86_400);
    expect(found).toMatchObject({ problems: [], events: written.length, unsealed: 0 });
  },
);

/** `symbolon audit --follow` as a process. */
function follow() {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(
    process.execPath,
    ['src/cli.ts', 'audit', '--follow', '--json', '--after', '0'],
    {
      env: { PATH, HOME, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const cursors: number[] = [];
  const lines = createInterface(child.stdout);
  lines.on('line', (line) => cursors.push(Number((JSON.parse(line) as { cursor: string }).cursor)));
  const wait = async (count: number) => {
    while (cursors.length < count) await once(lines, 'line');
  };
  return { child, cursors, wait };
}
