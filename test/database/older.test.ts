// A command of a newer build beside an older one that runs: only the provider's start and `symbolon migrate` change the
// tables, and what they have applied is told.
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';
import { makeFolder, query } from './processes.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const MIGRATIONS = join(import.meta.dirname, '../../prisma/migrations');
const entries = await readdir(MIGRATIONS, { withFileTypes: true });
const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
const last = names.sort().at(-1) ?? '';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase('template0');
});
afterEach(() => database.drop());

const settings = () => ({ DATABASE_URL: database.url, SYMBOLON_SECRET: secret });
const symbolon = (args: string) => run(['src/cli.ts', ...args.split(' ')], settings());
const applied = async () =>
  (
    await query<{ name: string }>(
      database.url,
      'SELECT migration_name AS name FROM _prisma_migrations ORDER BY 1',
    )
  ).map(({ name }) => name);

/** The database as the build before the last migration has left it. */
async function makeOlder(): Promise<void> {
  const folder = await makeFolder();
  await cp(MIGRATIONS, folder, { recursive: true });
  await rm(join(folder, last), { recursive: true });
  await migrate(database.url, folder);
  await rm(folder, { recursive: true });
}

test.each(['user list', 'client list', 'key rotate', 'sweep', 'secret reseal'])(
  'an older database: %s says so and changes nothing',
  async (command) => {
    await makeOlder();
    const { code, stderr } = await symbolon(command);
    expect(stderr).toMatch(/database is older.*lacks 1 of.*symbolon migrate/);
    expect(code).toBe(1);
    expect(await applied()).toEqual(names.slice(0, -1));
  },
);

test('a newer database: said, by commands and by the start', async () => {
  await migrate(database.url);
  await query(
    database.url,
    "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('x', 'x', '9_later', now())",
  );
  for (const args of [['src/cli.ts', 'user', 'list'], ['src/main.ts']]) {
    const { code, stderr } = await run(args, settings());
    expect(stderr).toMatch(/9_later.*newer Symbolon/);
    expect(code).toBe(1);
  }
});

test('an empty database: commands make no tables', async () => {
  const { code, stderr } = await symbolon('user list');
  expect(stderr).toMatch(/no tables yet.*symbolon migrate/);
  expect(code).toBe(1);
  expect(await query(database.url, "SELECT FROM pg_tables WHERE schemaname = 'public'")).toEqual(
    [],
  );
});

test('migrate applies what is missing, and prints it', async () => {
  await makeOlder();
  expect((await symbolon('migrate')).stdout).toContain(`Applied ${last}.`);
  expect(await applied()).toEqual(names);
  expect((await symbolon('user list')).code).toBe(0);
});

test('the start applies what is missing, and logs it', async () => {
  await makeOlder();
  const provider = await startProcess(settings());
  await provider.end();
  expect(provider.output()).toContain(`"migrations":["${last}"]`);
  expect(await applied()).toEqual(names);
});
