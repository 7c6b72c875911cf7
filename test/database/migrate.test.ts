// The migrations: each once, whole or not at all, and in agreement with Prisma's own commands.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withSchemaEngine } from '../../scripts/migration.ts';
import { startEmbedded, type Embedded } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrate.ts';
import {
  databaseOn,
  firstLine,
  makeFolder,
  query,
  start,
  temporaryFolder,
  until,
} from './processes.ts';

let folder: string;
let embedded: Embedded;

beforeAll(async () => {
  folder = await makeFolder();
  embedded = await startEmbedded(folder);
});

afterAll(async () => {
  await embedded.release();
  await rm(folder, { recursive: true });
});

const database = () => databaseOn(embedded.url);

/** A folder with these migrations, whose names are numbered. */
async function migrations(...scripts: string[]): Promise<string> {
  const directory = await temporaryFolder();
  for (const [index, sql] of scripts.entries()) await write(directory, index + 1, sql);
  return directory;
}

async function write(directory: string, number: number, sql: string): Promise<void> {
  await mkdir(join(directory, `${number}_test`), { recursive: true });
  await writeFile(join(directory, `${number}_test`, 'migration.sql'), sql);
}

const recorded = async (url: string): Promise<string[]> => {
  const rows = await query<{ migration_name: string }>(
    url,
    'SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY started_at',
  );
  return rows.map((row) => row.migration_name);
};

const ADD = 'CREATE TABLE t (n int); INSERT INTO t VALUES (1);';
const ADD_MORE = 'ALTER TABLE t ADD COLUMN m int; INSERT INTO t VALUES (2, 2);';

test('applies what is missing, in order, and then nothing', async () => {
  const url = await database();
  const directory = await migrations(ADD);
  expect(await migrate(url, directory)).toEqual(['1_test']);
  await write(directory, 2, ADD_MORE);
  await write(directory, 3, 'UPDATE t SET m = 3 WHERE m IS NULL;');
  expect(await migrate(url, directory)).toEqual(['2_test', '3_test']);
  expect(await migrate(url, directory)).toEqual([]);
  expect(await query(url, 'SELECT * FROM t ORDER BY n')).toEqual([
    { n: 1, m: 3 },
    { n: 2, m: 2 },
  ]);
  expect(await recorded(url)).toEqual(['1_test', '2_test', '3_test']);
});

test("three processes that start together apply each of Symbolon's own once", async () => {
  const url = await database();
  const children = [1, 2, 3].map(() => start(['migrate', url]));
  const applied = (await Promise.all(children.map(firstLine))).flatMap(
    (line) => JSON.parse(line) as string[],
  );
  const names = await recorded(url);
  expect(names.length).toBeGreaterThan(0);
  expect(applied.sort()).toEqual([...names].sort());
});

test('processes that start together do not run a migration twice at once', async () => {
  const url = await database();
  const directory = await migrations(ADD, `SELECT pg_sleep(0.3); ${ADD_MORE}`, 'SELECT 1;');
  const children = [1, 2, 3].map(() => start(['migrate', url, directory]));
  const applied = (await Promise.all(children.map(firstLine))).flatMap(
    (line) => JSON.parse(line) as string[],
  );
  expect(applied.sort()).toEqual(['1_test', '2_test', '3_test']);
  expect(await query(url, 'SELECT n FROM t ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
});

test("waits for Prisma's own lock", async () => {
  const url = await database();
  const prisma = new Client({ connectionString: url });
  await prisma.connect();
  await prisma.query('SELECT pg_advisory_lock(72707369)');
  const migrating = migrate(url, await migrations(ADD));
  await until(async () => {
    const waiting = await prisma.query(
      "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 72707369 AND NOT granted",
    );
    return waiting.rowCount === 1;
  });
  await prisma.end();
  expect(await migrating).toEqual(['1_test']);
});

test('a migration that fails leaves nothing behind, those before it stay', async () => {
  const url = await database();
  const directory = await migrations(ADD, 'CREATE TABLE half (n int); SELECT 1/0;');
  await expect(migrate(url, directory)).rejects.toThrow(/2_test failed.*division by zero/);
  expect(await recorded(url)).toEqual(['1_test']);
  expect(await query(url, "SELECT to_regclass('half')::text AS half")).toEqual([{ half: null }]);
  await write(directory, 2, 'CREATE TABLE half (n int);');
  expect(await migrate(url, directory)).toEqual(['2_test']);
});

test('a migration that cannot be recorded is not kept either', async () => {
  const url = await database();
  const directory = await migrations(ADD, 'DROP TABLE t; DROP TABLE _prisma_migrations;');
  await expect(migrate(url, directory)).rejects.toThrow('_prisma_migrations');
  expect(await query(url, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
  expect(await recorded(url)).toEqual(['1_test']);
});

test('refuses a migration that was changed after it was applied', async () => {
  const url = await database();
  const directory = await migrations(ADD);
  await migrate(url, directory);
  await write(directory, 1, `${ADD} `);
  await write(directory, 2, ADD_MORE);
  await expect(migrate(url, directory)).rejects.toThrow(/1_test.*has changed.*Restore/);
  expect(await recorded(url)).toEqual(['1_test']);
});

test('refuses a database on which a newer version has run', async () => {
  const url = await database();
  const directory = await migrations(ADD, ADD_MORE);
  await migrate(url, directory);
  await rm(join(directory, '2_test'), { recursive: true });
  await write(directory, 3, 'SELECT 1;');
  await expect(migrate(url, directory)).rejects.toThrow(/2_test.*newer Symbolon/);
  expect(await recorded(url)).toEqual(['1_test', '2_test']);
});

test('refuses after a failed migration, until it is resolved', async () => {
  const url = await database();
  const directory = await migrations(ADD);
  await migrate(url, directory);
  await write(directory, 2, ADD_MORE);
  await query(
    url,
    "INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('x', 'x', '2_test')",
  );
  await expect(migrate(url, directory)).rejects.toThrow(/2_test has failed.*migrate resolve/);
  await query(
    url,
    'UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL',
  );
  expect(await migrate(url, directory)).toEqual(['2_test']);
});

test("agrees with Prisma's engine, whichever of them applied what", async () => {
  const scripts = [ADD, ADD_MORE];
  const migrationsList = (count: number) => ({
    baseDir: '/migrations',
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: scripts.slice(0, count).map((value, index) => ({
      path: `${index + 1}_test`,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } },
    })),
  });
  const filters = { externalTables: [], externalEnums: [] };
  const url = await database();
  expect(await migrate(url, await migrations(ADD))).toEqual(['1_test']);
  await withSchemaEngine(url, async (engine) => {
    const status = (count: number) =>
      engine.diagnoseMigrationHistory({
        migrationsList: migrationsList(count),
        optInToShadowDatabase: false,
        filters,
      });
    expect(await status(1)).toMatchObject({
      history: null,
      editedMigrationNames: [],
      failedMigrationNames: [],
      hasMigrationsTable: true,
    });
    expect(await engine.applyMigrations({ migrationsList: migrationsList(2), filters })).toEqual({
      appliedMigrationNames: ['2_test'],
    });
  });
  expect(await migrate(url, await migrations(...scripts))).toEqual([]);
});
