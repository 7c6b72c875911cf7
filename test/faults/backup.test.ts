// The commands of docs/operate.md, Back it up, as they stand there, with a real PostgreSQL and a real provider: what is restored
// signs nobody out.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { Agent } from '../support/agent.ts';
import { temporaryFolder } from '../support/folder.ts';
import { familiesLike } from '../support/many-families.ts';
import { type OwnPostgres, ownPostgres, programs } from '../support/own-postgres.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, refreshAt } from '../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const root = join(import.meta.dirname, '../..');
const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

/** The commands below a heading of the section, block by block. */
function commands(heading: string): string[] {
  const [, section = ''] =
    /^## Back it up\n(.*?)^## /ms.exec(readFileSync(join(root, 'docs/operate.md'), 'utf8')) ?? [];
  const [, below = ''] = section.split(`### ${heading}\n`);
  const [own = ''] = below.split(/^### /m);
  return [...own.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
}

/** Runs commands as a script. A server that they start keeps their output open, so this goes to a file. */
async function shell(
  script: string,
  environment: Record<string, string>,
  more: { cwd: string; uid?: number; gid?: number },
): Promise<void> {
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH: `${programs ?? ''}:${PATH}`, HOME, ...environment };
  const log = join(mkdtempSync(join(tmpdir(), 'symbolon-shell-')), 'log');
  const output = openSync(log, 'w');
  const child = spawn('sh', ['-euc', script], { env, ...more, stdio: ['ignore', output, output] });
  const [code] = (await once(child, 'exit')) as [number | null];
  closeSync(output);
  expect({ code, said: readFileSync(log, 'utf8') }).toMatchObject({ code: 0 });
  rmSync(dirname(log), { recursive: true });
}

const common = (port: string) => ({
  SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  SYMBOLON_ISSUER: `http://localhost:${port}`,
  PORT: port,
});
const settings = (url: string, port: string) => ({
  ...common(port),
  ...{ DATABASE_URL: url, SYMBOLON_SECRET: secret },
});

describe.skipIf(!programs)('a server of one’s own', () => {
  let server: OwnPostgres;
  let port: string;
  let held: string[];
  let browser: Agent;
  /** Before the mistake. */
  let moment: string;
  const [dump = '', restoreDump = ''] = commands('A dump');
  const [archive = '', base = '', restoreBase = ''] = commands('A base backup and the log');

  const urlOf = (database: string) => server.urlOf(database).replace('postgres@', 'symbolon@');
  /** Runs a block as PostgreSQL's user, in folders of the test. */
  const asPostgres = async (block: string) => {
    const { uid, gid } = statSync(server.folder);
    const here = block
      .replaceAll('/backup/', `${server.folder}/backup/`)
      .replaceAll('/var/lib/postgresql/', `${server.folder}/`);
    await shell(
      here,
      {
        ...{ PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres' },
        ...{ PGDATA: server.data, DATABASE_URL: urlOf('symbolon') },
        NEW_DATABASE_URL: urlOf('restored'),
      },
      { cwd: server.folder, uid, gid },
    );
  };
  const goOn = async ({ url }: ProviderProcess) => {
    held = await Promise.all(
      held.map(async (token) => {
        const { status, body } = await refreshAt(url, token);
        expect({ status, error: body.error_description }).toEqual({
          status: 200,
          error: undefined,
        });
        return body.refresh_token ?? '';
      }),
    );
  };
  /** Nobody is signed out: no application, no browser; no alarm is given, and everything belongs together. */
  const nobodyIsSignedOut = async (database: string) => {
    const provider = await startProcess(settings(urlOf(database), port));
    onTestFinished(async () => {
      await provider.end('SIGKILL');
    });
    await goOn(provider);
    await goOn(provider);
    const account = await browser.clone().open('/account');
    expect(account.html.querySelector('main')?.text).toContain(person.email);
    await shell(commands('See that it works').join('\n'), settings(urlOf(database), port), {
      cwd: root,
    });
    const prisma = connect(urlOf(database));
    const wrong = { type: { in: ['refresh.refused', 'family.ended'] } };
    expect(await prisma.auditEvent.count({ where: wrong })).toBe(0);
    expect(await prisma.auditEvent.count({ where: { type: 'family.caught_up' } })).toBe(
      held.length,
    );
    await prisma.$disconnect();
    await provider.end();
  };

  beforeAll(async () => {
    server = await ownPostgres();
    const { uid, gid } = statSync(server.folder);
    mkdirSync(join(server.folder, 'backup'));
    chownSync(join(server.folder, 'backup'), uid, gid);
    const sql = (text: string) => server.run('psql', '-Atc', text);
    await sql('CREATE ROLE symbolon LOGIN');
    await sql('CREATE DATABASE symbolon OWNER symbolon');
    // Where the restored server, which is started without the test's options, has its socket.
    await sql(`ALTER SYSTEM SET unix_socket_directories = '${server.folder}'`);
    await asPostgres(archive);

    port = String(await freePort());
    const provider = await startProcess(settings(urlOf('symbolon'), port));
    const prisma = connect(urlOf('symbolon'));
    const keyring = new Keyring([secret]);
    await addAccount(prisma, person, { admin: false });
    await insertClient(prisma, keyring, web);
    const first = await newFamily(provider.url);
    const row = await prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(first) } });
    held = await familiesLike({ prisma, keyring }, row, 40);
    browser = new Agent(provider.url);
    await browser.walk('/account');
    await goOn(provider);
    await asPostgres(base);
    await goOn(provider);
    await asPostgres(dump);
    moment = (await sql('SELECT clock_timestamp()')).trim();
    await goOn(provider);
    await goOn(provider);
    await prisma.$disconnect();
    const mistake = ['src/cli.ts', 'client', 'remove', 'web'];
    expect((await run(mistake, settings(urlOf('symbolon'), port))).code).toBe(0);
    await provider.end();
    await server.stop(); // the rest of its log is archived
  });
  afterAll(() => server.remove());

  test('a base backup and the log, to the moment before a mistake', async () => {
    const [told = ''] = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/.exec(restoreBase) ?? [];
    try {
      await asPostgres(restoreBase.replace(told, moment));
      await nobodyIsSignedOut('symbolon');
    } finally {
      await asPostgres('pg_ctl stop --pgdata=/var/lib/postgresql/restored --mode=fast');
    }
  });

  test('a dump', async () => {
    await server.start();
    await asPostgres(restoreDump);
    await nobodyIsSignedOut('restored');
  });
});

test('the embedded database', async () => {
  const { path: cwd } = await temporaryFolder();
  const [keep = '', restore = ''] = commands('The embedded database');
  const port = String(await freePort());
  const embedded = { ...common(port), SYMBOLON_DATA_DIR: join(cwd, '.symbolon') };
  const start = async () => {
    const provider = await startProcess(embedded);
    onTestFinished(async () => {
      await provider.end();
    });
    return provider;
  };
  const first = await start();
  const cli = async (args: string[], input: string) => {
    const { code, stderr } = await run(['src/cli.ts', ...args], embedded, input);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };
  await cli(['user', 'add', person.email, '--password-stdin'], person.password);
  const grants = ['authorization_code', 'refresh_token', 'password'];
  const uri = ['--redirect-uri', 'https://app.example.com/callback'];
  await cli(
    ['client', 'add', 'web', ...uri, '--secret-stdin', '--grant', ...grants],
    webClient.client_secret,
  );
  const token = await newFamily(first.url);
  await first.end();
  await shell(keep, {}, { cwd });
  rmSync(join(cwd, '.symbolon'), { recursive: true });
  await shell(restore, {}, { cwd });
  const restored = await start();
  expect((await refreshAt(restored.url, token)).status).toBe(200);
});
