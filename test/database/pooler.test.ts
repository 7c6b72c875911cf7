// PgBouncer between the provider and PostgreSQL, in each of its modes. PGBOUNCER may name another build than the PATH's.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { openDatabase } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { createRole } from '../support/database.ts';
import { freePort, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { query } from './processes.ts';

const program = process.env['PGBOUNCER'] ?? 'pgbouncer';
const version = /(\d+)\.(\d+)/.exec(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout);
const isMissing = version === null;
const keeps = Number(version?.[1]) > 1 || Number(version?.[2]) >= 21;
if (isMissing)
  console.warn('PgBouncer is not installed (apt-get install pgbouncer): its tests are skipped.');

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function role(settings: Record<string, string> = {}) {
  const made = await createRole(settings);
  undo.push(() => made.drop());
  return made;
}

/** Starts PgBouncer before this database. @returns the database's URL through it */
async function pooled(url: string, mode: string, more: readonly string[] = []): Promise<string> {
  const { hostname, port, pathname, username, password } = new URL(url);
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-pgbouncer-'));
  await chmod(folder, 0o755);
  const listening = await freePort();
  const server = `host=${hostname} port=${port} dbname=${pathname.slice(1)}`;
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `pooled = ${server} user=${username} password='${decodeURIComponent(password)}'`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${listening}`,
      'unix_socket_dir =',
      'auth_type = any',
      `pool_mode = ${mode}`,
      ...more,
    ].join('\n'),
  );
  const user = process.geteuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(program, [...user, join(folder, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  undo.push(async () => {
    await end(child);
    await rm(folder, { recursive: true });
  });
  let said = '';
  while (!said.includes('process up')) {
    const [chunk] = (await once(child.stderr, 'data')) as [Buffer];
    said += String(chunk);
  }
  return `postgresql://anybody@127.0.0.1:${listening}/pooled?sslmode=disable`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const settings = (databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  SYMBOLON_SECRET: secret,
  SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
});

/** Starts two processes, one after the other, signs in and refreshes. @returns their output */
async function works(databaseUrl: string): Promise<string> {
  const database = await openDatabase({ databaseUrl, dataDir: '' });
  await addAccount(database.prisma, person, { admin: false });
  const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
  await insertClient(database.prisma, new Keyring([secret]), web);
  await database.close();
  let output = '';
  for (let start = 0; start < 2; start++) {
    const provider = await startProcess(settings(databaseUrl));
    undo.push(() => provider.end());
    const tokens: string[] = [];
    for (let family = 0; family < 3; family++) tokens.push(await newFamily(provider.url));
    for (let turn = 0; turn < 4; turn++) {
      const answers = await Promise.all(
        tokens.flatMap((token) => [refreshAt(provider.url, token), refreshAt(provider.url, token)]),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      answers.forEach(({ body }, index) => {
        tokens[Math.floor(index / 2)] = body.refresh_token ?? '';
      });
    }
    await provider.end();
    output += provider.output();
  }
  return output;
}

describe.skipIf(isMissing)('PgBouncer', { timeout: 180_000 }, () => {
  test('in session mode: connections are ours, and have our settings', async () => {
    const { url } = await role({ default_transaction_isolation: 'serializable' });
    const through = await pooled(url, 'session', ['default_pool_size = 60']);
    expect(await works(through)).not.toContain('pooler');
  });

  test('in transaction mode: few connections for all', async () => {
    const { url } = await role({ DateStyle: "'German, DMY'", TimeZone: "'Asia/Kathmandu'" });
    const few = ['default_pool_size = 3', ...(keeps ? ['max_prepared_statements = 50'] : [])];
    const through = await pooled(url, 'transaction', few);
    const output = await works(through);
    if (keeps) expect(output).not.toContain('pooler');
    else expect(output).toMatch(/transaction mode and does not keep prepared statements/);
    // Other clients of the role get connections whose plans are their own.
    expect(await query(through, 'SHOW enable_seqscan')).toEqual([{ enable_seqscan: 'on' }]);
    expect(await query(through, 'SHOW search_path')).toEqual([{ search_path: '"$user", public' }]);
  });

  test.runIf(keeps)('in transaction mode, with prepared statements switched off', async () => {
    const { url } = await role();
    const none = ['default_pool_size = 3', 'max_prepared_statements = 0'];
    const output = await works(await pooled(url, 'transaction', none));
    expect(output).toMatch(/transaction mode and does not keep prepared statements/);
  });

  test('in transaction mode, settings that must be the role’s own are asked for', async () => {
    const { role: name, url } = await role({ default_transaction_isolation: 'serializable' });
    const through = await pooled(url, 'transaction');
    const { code, stderr } = await run(['src/main.ts'], settings(`${through}&schema=identity`));
    expect(code).toBe(1);
    const alter = `ALTER ROLE "${name}" IN DATABASE "${name}" SET`;
    expect(stderr).toContain(`${alter} default_transaction_isolation = 'read committed';`);
    expect(stderr).toContain(`${alter} search_path = "identity";`);
  });

  test('in statement mode, the start says what to use instead', async () => {
    const { url } = await role();
    const { code, stderr } = await run(['src/main.ts'], settings(await pooled(url, 'statement')));
    expect(code).toBe(1);
    expect(stderr).toMatch(/DATABASE_URL.*transaction mode or its session mode/);
  });

  test('refuses `options` in the URL: the start says what to do', async () => {
    const { url } = await role();
    const through = await pooled(url, 'session');
    const { code, stderr } = await run(
      ['src/main.ts'],
      settings(`${through}&options=-c%20search_path%3Dx`),
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/DATABASE_URL.*\?schema=NAME/);
  });
});
