// Several hosts in DATABASE_URL: a primary and its standby, real ones. The provider finds the one that can be written,
// and the other when that has taken over.
import { appendFile, cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { type Embedded, startEmbedded } from '../../src/database/embedded.ts';
import { openDatabase } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { makeFolder, postmaster, query, until } from './processes.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let folders: [string, string];
let primary: Embedded;
let standby: Embedded;

beforeAll(async () => {
  folders = [await makeFolder(), await makeFolder()];
  const [first, second] = folders;
  const made = await startEmbedded(first);
  const database = await openDatabase({ databaseUrl: made.url, dataDir: '' });
  await addAccount(database.prisma, person, { admin: false });
  const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
  await insertClient(database.prisma, new Keyring([secret]), web);
  await database.close();
  await made.release();
  await cp(first, second, { recursive: true, force: true });
  primary = await startEmbedded(first);
  const { hostname, port, username, password } = new URL(primary.url);
  const source = `host=${hostname} port=${port} user=${username} password=${password}`;
  const data = join(second, 'postgres');
  await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`);
  await writeFile(join(data, 'standby.signal'), '');
  standby = await startEmbedded(second);
});
afterAll(async () => {
  await standby.release();
  await primary.release();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A URL of these hosts. */
function urlOf(servers: readonly Embedded[], parameters = ''): string {
  const { username, password, pathname } = new URL(primary.url);
  const hosts = servers.map(({ url }) => new URL(url).host).join(',');
  return `postgresql://${username}:${password}@${hosts}${pathname}?sslmode=disable${parameters}`;
}

const settings = (databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  SYMBOLON_SECRET: secret,
  SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
});

test('a standby alone stops the start, which says what to name', async () => {
  const alone = await run(['src/main.ts'], settings(urlOf([standby])));
  expect(alone.code).toBe(1);
  expect(alone.stderr).toMatch(/DATABASE_URL is a standby.*Name the primary, or all hosts/);
  const asked = await run(
    ['src/main.ts'],
    settings(urlOf([standby], '&target_session_attrs=primary')),
  );
  expect(asked.stderr).toMatch(/is not what target_session_attrs asks for: it is a standby/);
});

test('commands read from a standby', async () => {
  const { code, stdout } = await run(['src/cli.ts', 'user', 'list'], settings(urlOf([standby])));
  expect(code).toBe(0);
  expect(stdout).toContain(person.email);
});

test('a failover: the pools go on with the new primary', { timeout: 180_000 }, async () => {
  const provider = await startProcess(settings(urlOf([standby, primary])));
  try {
    const token = await newFamily(provider.url);
    const first = await refreshAt(provider.url, token);
    expect(first.status).toBe(200);

    const [position] = await query<{ lsn: string }>(
      primary.url,
      'SELECT pg_current_wal_lsn()::text AS lsn',
    );
    await until(async () => {
      const [replayed] = await query<{ there: boolean }>(
        standby.url,
        'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
        [position?.lsn],
      );
      return replayed?.there === true;
    });
    const pid = await postmaster(folders[0]);
    if (pid === undefined) throw new Error('the primary does not run');
    process.kill(pid, 'SIGQUIT');
    await until(async () => !(await answers(primary.url)));
    const between = await refreshAt(provider.url, first.body.refresh_token ?? '');
    expect(between.status).toBe(503);

    await query(standby.url, 'SELECT pg_promote()');
    let next = first.body.refresh_token ?? '';
    for (let turn = 0; turn < 3; turn++) {
      const after = await refreshAt(provider.url, next);
      expect(after).toMatchObject({ status: 200 });
      next = after.body.refresh_token ?? '';
    }
    // Prisma's pool, too.
    expect((await refreshAt(provider.url, await newFamily(provider.url))).status).toBe(200);
  } finally {
    await provider.end();
  }
});

const answers = (url: string): Promise<boolean> =>
  query(url, 'SELECT 1').then(
    () => true,
    () => false,
  );
