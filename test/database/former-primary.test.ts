// Connections of a pool to a server that is not the primary any more, or that does not answer: they are not used again,
// and nothing that was told to have failed is committed by whoever would get the connection next.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { PrismaPg } from '@prisma/adapter-pg';
import type { ClientBase, PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { parseDatabaseUrl } from '../../src/config/database-url.ts';
import { HostPool } from '../../src/database/hosts.ts';
import { prepareSession } from '../../src/database/session.ts';
import { PrismaClient } from '../../src/generated/client.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';

let database: TestDatabase;
/** A pool that nothing breaks. */
let other: HostPool;

beforeAll(async () => {
  database = await createDatabase();
  other = poolAt(database.url, 1);
  await other.query('CREATE TABLE written (what text)');
});
beforeEach(() => other.query('TRUNCATE written'));
afterAll(async () => {
  await other.end();
  await database.drop();
});

function poolAt(url: string, max: number): HostPool {
  const read = parseDatabaseUrl(url);
  const { user = '', password = '', database: name = '' } = read;
  return new HostPool(
    read,
    { user, password, database: name, max, connectionTimeoutMillis: 600_000 },
    (client) => prepareSession(client, { pooling: 'none', attributes: read.sessionAttributes }),
  );
}

function poolFor(url: string, max: number): HostPool {
  const pool = poolAt(url, max);
  onTestFinished(() => pool.end());
  return pool;
}

/** Prisma on this pool, as the provider has it. */
function prismaOn(pool: HostPool): PrismaClient {
  return new PrismaClient({
    adapter: new PrismaPg(pool, { schema: 'public' }),
    transactionOptions: { timeout: 600_000 },
  });
}

/** One URL of these servers. */
function urlOf(urls: readonly string[]): string {
  const [first = ''] = urls;
  const hosts = urls.map((url) => new URL(url).host).join(',');
  return first.replace(new URL(first).host, hosts).replace(/\?.*|$/, '?sslmode=disable');
}

/** A query for whose answer nobody waits long. */
const impatient = { text: 'SELECT 1', query_timeout: 200 };

const pidOf = async (client: Pick<ClientBase, 'query'>): Promise<number> =>
  (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;

const written = async () =>
  (await other.query<{ what: string }>('SELECT what FROM written ORDER BY 1')).rows.map(
    ({ what }) => what,
  );

/** In a transaction whose server is frozen: what Prisma's adapter does then. */
async function rollBackFrozen(client: PoolClient, frozen: number): Promise<void> {
  try {
    process.kill(frozen, 'SIGSTOP');
    await expect(client.query(impatient)).rejects.toThrow('Query read timeout');
    await expect(client.query({ ...impatient, text: 'ROLLBACK' })).rejects.toThrow();
    client.release();
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
}

test('a connection that breaks while somebody has it, between two queries, ends no process', async () => {
  const pool = poolFor(database.url, 1);
  const client = await pool.connect();
  const ended = new Promise((resolve) => client.once('end', resolve)); // events' once would listen for errors
  await other.query('SELECT pg_terminate_backend($1)', [await pidOf(client)]);
  await ended;
  await expect(client.query('SELECT 1')).rejects.toThrow('not queryable');
  client.release();
  expect((await pool.query<{ one: number }>('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});

test('a server that is frozen in the middle of a transaction: it is rolled back', async () => {
  const pool = poolFor(database.url, 1);
  const client = await pool.connect();
  await client.query("BEGIN; INSERT INTO written VALUES ('told to have failed')");
  await rollBackFrozen(client, await pidOf(client));
  await prismaOn(pool).$transaction(async (tx) => {
    await tx.$executeRaw`INSERT INTO written VALUES ('told to have succeeded')`;
  });
  expect(await written()).toEqual(['told to have succeeded']);
});

test('its ROLLBACK does not wait for the answer once more', async () => {
  const pool = poolFor(database.url, 1);
  const client = await pool.connect();
  const frozen = await pidOf(client);
  try {
    process.kill(frozen, 'SIGSTOP');
    await expect(client.query(impatient)).rejects.toThrow('Query read timeout');
    await expect(client.query('ROLLBACK')).rejects.toThrow(/closed|not queryable/);
    client.release();
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
});

test('a server that has become read-only behind its connections: they are made anew', async () => {
  const pool = poolFor(database.url, 2);
  const prisma = prismaOn(pool);
  const two = await Promise.all([pool.connect(), pool.connect()]);
  for (const client of two) {
    await client.query('SET default_transaction_read_only = on');
    client.release();
  }
  const insert = (what: string) =>
    prisma.$transaction((tx) => tx.$executeRaw`INSERT INTO written VALUES (${what})`);
  await expect(insert('refused')).rejects.toThrow(/read-only/);
  await insert('first');
  await insert('second');
  expect(await written()).toEqual(['first', 'second']);
});

test('a host that does not answer any more: one waits for it, and nobody after', async () => {
  const former = await startDoor(database.url);
  const pool = poolFor(urlOf([former.url, database.url]), 3);
  const three = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
  for (const client of three) client.release();
  former.shut();
  former.freeze();
  await expect(pool.query(impatient)).rejects.toThrow('Query read timeout');
  for (let turn = 0; turn < 3; turn++) await pool.query("INSERT INTO written VALUES ('next')");
  expect(await written()).toEqual(['next', 'next', 'next']);
});

test('once another host has taken over, connections to the former are not used again', async () => {
  const former = await startDoor(database.url);
  const pool = poolFor(urlOf([former.url, database.url]), 2);
  const early = await pool.connect();
  const pid = await pidOf(early);
  former.shut();
  (await pool.connect()).release();
  expect(await pidOf(early)).toBe(pid);
  early.release();
  const two = await Promise.all([pool.connect(), pool.connect()]);
  const pids = await Promise.all(two.map(pidOf));
  for (const client of two) client.release();
  expect(pids).not.toContain(pid);
});

/** A way to PostgreSQL that can be shut to those who come, and lets nothing through once it is frozen. */
async function startDoor(databaseUrl: string) {
  const { hostname, port } = new URL(databaseUrl);
  let isFrozen = false;
  const server = createServer((client) => {
    const target = connect(Number(port), hostname);
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const)
      from
        .on('data', (chunk) => isFrozen || to.write(chunk))
        .on('error', () => undefined)
        .on('close', () => to.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const shut = () => void server.close();
  onTestFinished(shut);
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    shut,
    freeze() {
      isFrozen = true;
    },
  };
}
