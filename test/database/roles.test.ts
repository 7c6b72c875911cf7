// Two roles, as docs/operate.md has them: one owns the tables and migrates, the other serves and can only read and write
// rows. Neither is a superuser.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { openDatabase } from '../../src/database/open.ts';
import { migrate } from '../../src/database/migrate.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { asAdmin, createRole } from '../support/database.ts';
import { run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { makeFolder, query } from './processes.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const ROOT = join(import.meta.dirname, '../..');
const MIGRATIONS = join(ROOT, 'prisma/migrations');

let owner: Awaited<ReturnType<typeof createRole>>;
let serving: string;
let url: string;

/** The SQL of the documentation, with the roles and the schema of this test. */
async function documented(schema: string): Promise<string[]> {
  const docs = await readFile(join(ROOT, 'docs/operate.md'), 'utf8');
  const section = docs.split('**Two roles.**')[1]?.split('\n\n**')[0] ?? '';
  const blocks = [...section.matchAll(/```sql\n([^`]*)```/g)].map(([, sql = '']) => sql);
  return blocks.map((sql) =>
    sql
      .replaceAll('symbolon_owner', owner.role)
      .replaceAll(/\bsymbolon\b/g, serving)
      .replaceAll(/\bpublic\b/g, schema)
      .replaceAll('PUBLIC', 'public'),
  );
}

function inSchema(address: string, schema: string): string {
  const made = new URL(address);
  made.searchParams.set('schema', schema);
  return made.href;
}

const settings = (databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  SYMBOLON_SECRET: secret,
  SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
});

beforeAll(async () => {
  owner = await createRole();
  serving = `${owner.role}_serving`;
  await asAdmin(`CREATE ROLE ${serving} LOGIN PASSWORD 'its password'`);
  await query(owner.url, 'CREATE SCHEMA identity');
  // As it is since PostgreSQL 15.
  const admin = new URL(inject('postgres'));
  admin.pathname = new URL(owner.url).pathname;
  await query(admin.href, `ALTER SCHEMA public OWNER TO ${owner.role}`);
  const served = new URL(owner.url);
  served.username = serving;
  url = served.href;
});
afterAll(async () => {
  await query(owner.url, `DROP OWNED BY ${serving}`).catch(() => undefined);
  await owner.drop();
  await asAdmin(`DROP ROLE ${serving}`);
});

test('before the tables are made, the role that serves says who must', async () => {
  const { code, stderr } = await run(['src/main.ts'], settings(inSchema(url, 'identity')));
  expect(code).toBe(1);
  expect(stderr).toMatch(/symbolon migrate.*with the role that owns/);
});

test.each(['public', 'identity'])(
  'the tables in %s: made by one, used by the other',
  async (schema) => {
    const [owners, theirs] = [owner.url, url].map((one) => inSchema(one, schema)) as [
      string,
      string,
    ];
    const migrated = await run(['src/cli.ts', 'migrate'], settings(owners));
    expect(migrated).toMatchObject({ code: 0, stderr: '' });

    // Without the GRANT the start tells it.
    await query(owner.url, `GRANT USAGE ON SCHEMA ${schema} TO ${serving}`);
    await query(owner.url, `GRANT SELECT ON ${schema}._prisma_migrations TO ${serving}`);
    const refused = await run(['src/main.ts'], settings(theirs));
    expect(refused.stderr).toMatch(
      /may not use account, .*\n *GRANT SELECT, INSERT, UPDATE, DELETE/,
    );
    expect(refused.code).toBe(1);

    for (const sql of await documented(schema)) await query(owner.url, sql);
    const database = await openDatabase(
      { databaseUrl: theirs, dataDir: '' },
      { migrations: 'expect' },
    );
    await addAccount(database.prisma, person, { admin: false });
    const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(database.prisma, new Keyring([secret]), web);
    const provider = await startProcess(settings(theirs));
    try {
      const token = await newFamily(provider.url);
      const { status, body } = await refreshAt(provider.url, token);
      expect(status).toBe(200);
      expect((await refreshAt(provider.url, body.refresh_token ?? '')).status).toBe(200);
      expect(await run(['src/cli.ts', 'sweep'], settings(theirs))).toMatchObject({ code: 0 });
      expect(await run(['src/cli.ts', 'audit', 'verify'], settings(theirs))).toMatchObject({
        code: 0,
      });
    } finally {
      await provider.end();
      await database.close();
    }
    expect(provider.output()).not.toMatch(/permission denied/);
    await expect(query(url, `CREATE TABLE ${schema}.mine (id int)`)).rejects.toThrow(
      'permission denied',
    );
    await expect(query(url, `ALTER TABLE ${schema}.account ADD x int`)).rejects.toThrow(
      'must be owner',
    );
    await expect(query(url, `TRUNCATE ${schema}.audit_event`)).rejects.toThrow('permission denied');
    await expect(query(url, `DELETE FROM ${schema}._prisma_migrations`)).rejects.toThrow(
      'permission denied',
    );
  },
);

test('a table of a later version is the serving role’s too, and only the owner brings it', async () => {
  const folder = await makeFolder();
  await cp(MIGRATIONS, folder, { recursive: true });
  await mkdir(join(folder, '9_later'));
  const sql = 'CREATE TABLE later (id bigserial PRIMARY KEY)';
  await writeFile(join(folder, '9_later/migration.sql'), sql);
  await expect(migrate(url, folder)).rejects.toThrow(/older.*symbolon migrate.*the role that owns/);
  expect(await migrate(owner.url, folder)).toEqual(['9_later']);
  await query(url, 'INSERT INTO later DEFAULT VALUES');
  await query(
    owner.url,
    "DROP TABLE later; DELETE FROM _prisma_migrations WHERE migration_name = '9_later'",
  );
  await rm(folder, { recursive: true });
});
