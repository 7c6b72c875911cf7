// A PostgreSQL as people have it: whatever the role's settings and the schema are, the provider starts, refreshes, and
// reads the times that it has written.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { createRole } from '../support/database.ts';
import { type ProviderProcess, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { query } from './processes.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

type Role = Awaited<ReturnType<typeof createRole>>;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function role(settings: Record<string, string> = {}): Promise<Role> {
  const made = await createRole(settings);
  undo.push(() => made.drop());
  return made;
}

async function open(databaseUrl: string): Promise<Database> {
  const database = await openDatabase({ databaseUrl, dataDir: '' });
  undo.push(() => database.close());
  return database;
}

async function serve(databaseUrl: string): Promise<ProviderProcess> {
  const provider = await startProcess({
    DATABASE_URL: databaseUrl,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  });
  undo.push(() => provider.end());
  return provider;
}

/** Starts, signs in and refreshes, several at once. */
async function works(databaseUrl: string): Promise<Database> {
  const database = await open(databaseUrl);
  await addAccount(database.prisma, person, { admin: false });
  const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
  await insertClient(database.prisma, new Keyring([secret]), web);
  const provider = await serve(databaseUrl);
  const token = await newFamily(provider.url);
  const answers = await Promise.all([1, 2, 3, 4].map(() => refreshAt(provider.url, token)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
  return database;
}

/** The schemas that have a table of ours, with how many. */
async function schemas(url: string): Promise<Record<string, number>> {
  const rows = await query<{ schema: string; tables: number }>(
    url,
    "SELECT schemaname AS schema, count(*)::int AS tables FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1",
  );
  return Object.fromEntries(rows.map(({ schema, tables }) => [schema, tables]));
}

describe("a role's settings", () => {
  let database: Database;
  let url: string;
  let made: Role;
  beforeAll(async () => {
    made = await createRole({
      DateStyle: "'German, DMY'",
      IntervalStyle: 'iso_8601',
      TimeZone: "'Asia/Kathmandu'",
      bytea_output: 'escape',
      standard_conforming_strings: 'on',
      extra_float_digits: '-15',
      client_encoding: 'LATIN1',
      default_transaction_isolation: 'serializable',
      default_transaction_deferrable: 'on',
      statement_timeout: "'30s'",
      lock_timeout: '1',
      idle_in_transaction_session_timeout: "'8s'",
      idle_session_timeout: "'8s'",
      transaction_timeout: "'8s'",
      lc_time: "'C'",
      lc_numeric: "'C'",
      plan_cache_mode: 'force_custom_plan',
    });
    url = made.url;
  });
  afterAll(() => made.drop());

  test('do not matter', { timeout: 120_000 }, async () => {
    database = await works(url);
    const before = Date.now();
    const account = await database.prisma.account.create({
      data: {
        id: 'x',
        email: 'x@example.com',
        emailAscii: 'x@example.com',
        name: 'Zoë 🌍 \\ Ł',
        passwordHash: 'x',
      },
    });
    const { createdAt, name } = await database.prisma.account.findUniqueOrThrow({
      where: { id: account.id },
    });
    expect(name).toBe('Zoë 🌍 \\ Ł');
    // Within the milliseconds of this test, not hours away as another time zone would have it.
    expect(createdAt.getTime()).toBeGreaterThanOrEqual(before - 1000);
    expect(createdAt.getTime()).toBeLessThanOrEqual(Date.now() + 1000);
    const { rows } = await database.pool.query<Record<string, string>>(
      "SELECT current_setting('default_transaction_isolation') AS isolation, current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement",
    );
    expect(rows).toEqual([{ isolation: 'read committed', lock: '0', statement: '10s' }]);
  });
});

describe('the schema', () => {
  test('"$user" first in the search path', async () => {
    const { role: name, url } = await role();
    await query(url, `CREATE SCHEMA ${name}`);
    await works(url);
    expect(Object.keys(await schemas(url))).toEqual([name]);
  });

  test('options=-c search_path', async () => {
    const { url } = await role();
    await query(url, 'CREATE SCHEMA "My schema"');
    const options = encodeURIComponent('-c search_path="My\\ schema"');
    await works(`${url}&options=${options}`);
    expect(Object.keys(await schemas(url))).toEqual(['My schema']);
  });

  test("Prisma's ?schema=, made if it is missing", async () => {
    const { url } = await role();
    await works(`${url}&schema=identity`);
    expect(Object.keys(await schemas(url))).toEqual(['identity']);
  });

  test('tables stay where they are, when a schema of the role comes later', async () => {
    const { role: name, url } = await role();
    await (await openDatabase({ databaseUrl: url, dataDir: '' })).close();
    await query(url, `CREATE SCHEMA ${name}`);
    expect((await open(url)).applied).toEqual([]);
    expect(Object.keys(await schemas(url))).toEqual(['public']);
  });

  test('a search path that leads nowhere is said', async () => {
    const { url } = await role({ search_path: 'nowhere' });
    await expect(open(url)).rejects.toThrow(/search path.*nowhere.*CREATE SCHEMA.*\?schema=/);
  });
});

test('a role that may not make tables is told what to grant', async () => {
  const { url } = await role();
  const admin = new URL(url);
  const other = await role();
  admin.username = other.role;
  admin.password = 'its password';
  await expect(open(admin.href)).rejects.toThrow(/DATABASE_URL.*GRANT CREATE ON SCHEMA/);
});

test('a database that is read-only stops the start with a sentence', async () => {
  const { url } = await role({ default_transaction_read_only: 'on' });
  const { code, stderr } = await run(['src/main.ts'], {
    DATABASE_URL: url,
    SYMBOLON_SECRET: secret,
  });
  expect(stderr).toMatch(/read-only.*default_transaction_read_only/);
  expect(code).toBe(1);
});
