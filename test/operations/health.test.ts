// Health as balancers and people ask for it: real processes; a database that goes and comes back, keys that cannot be
// opened, a clock that is off, a stop under load.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { createHealth } from '../../src/operations/health.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { startDatabaseProxy } from '../faults/database-proxy.ts';
import { hold, holdFamily, queued, until } from '../faults/locks.ts';
import { type TestDatabase, asAdmin, createDatabase } from '../support/database.ts';
import { freePort, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { tls } from '../support/tls.ts';
import { temporaryFolder } from '../support/folder.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const skewedClock = fileURLToPath(new URL('../support/skewed-clock.mjs', import.meta.url));
const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  };
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), client);
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

/** A provider with an operations listener. */
async function start(more: Record<string, string> = {}) {
  const port = await freePort();
  const settings = {
    ...environment,
    PORT: String(await freePort()),
    SYMBOLON_OPERATIONS_PORT: String(port),
    ...more,
  };
  const provider = await startProcess(settings);
  onTestFinished(async () => {
    await provider.end('SIGKILL');
  });
  return { ...provider, settings, operations: `http://127.0.0.1:${port}` };
}

interface Health {
  status: string;
  checks?: Record<string, { status: string; reason?: string }>;
}

async function health(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  const text = await response.text();
  return { code: response.status, text, body: JSON.parse(text) as Health };
}

const becomes = (url: string, code: number) =>
  until(async () => (await fetch(url)).status === code, `${url} is answered ${code}`);

const statusOf = (settings: Record<string, string>, ...options: string[]) =>
  run(['src/cli.ts', 'status', ...options], settings);

const allWell = {
  status: 'ready',
  checks: { database: { status: 'ok' }, keys: { status: 'ok' }, clock: { status: 'ok' } },
};

test('a process that is well says so: bare, and each check on request', async () => {
  const { url, operations, settings } = await start();
  for (const bare of [`${url}/readyz`, `${url}/readyz?verbose`, `${operations}/readyz`])
    expect(await health(bare)).toMatchObject({ code: 200, text: '{"status":"ready"}' });
  expect(await health(`${operations}/livez`)).toMatchObject({ text: '{"status":"live"}' });
  expect((await health(`${operations}/readyz?verbose`)).body).toEqual(allWell);
  const asked = await health(`${operations}/readyz`, { accept: 'application/json' });
  expect(asked.body).toEqual(allWell);
  // Nobody who reaches the public port is told more.
  const stranger = await health(`${url}/readyz`, { accept: 'application/json' });
  expect(stranger.body).toEqual({ status: 'ready' });

  const head = await fetch(`${operations}/readyz`, { method: 'HEAD' });
  expect([head.status, head.headers.get('cache-control')]).toEqual([200, 'no-store']);
  expect((await fetch(`${operations}/`)).status).toBe(404);
  expect((await fetch(`${operations}/token`, { method: 'POST' })).status).toBe(404);
  const post = await fetch(`${operations}/livez`, { method: 'POST' });
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);

  const shown = await statusOf(settings);
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toMatch(/^ready\b[^]*database +ok[^]*keys +ok[^]*clock +ok/);
  const told = await statusOf(settings, '--json');
  expect(told.code).toBe(0);
  expect(JSON.parse(told.stdout)).toEqual({ url: `${operations}/readyz`, ...allWell });
});

test('off by default, and on loopback only: the status is asked of the public port then', async () => {
  const { url, output, settings } = await start({ SYMBOLON_OPERATIONS_PORT: '' });
  expect((await fetch(`${url}/livez`)).status).toBe(404);
  const told = await statusOf(settings, '--json');
  expect(JSON.parse(told.stdout)).toEqual({ url: `${url}/readyz`, status: 'ready' });
  expect(output()).not.toContain('Operations');
});

test('the database goes and comes back', async () => {
  const proxy = await startDatabaseProxy(database.url);
  onTestFinished(() => proxy.close());
  const { url, operations, settings } = await start({ DATABASE_URL: proxy.url });
  await proxy.refuse();
  await becomes(`${operations}/readyz`, 503);
  const { code, body } = await health(`${operations}/readyz?verbose`);
  expect(code).toBe(503);
  expect(body.status).toBe('unavailable');
  expect(body.checks?.['database']).toMatchObject({
    status: 'failing',
    reason: expect.stringMatching(/ECONNREFUSED|ECONNRESET/) as string,
  });
  expect(await health(`${url}/readyz`)).toMatchObject({
    code: 503,
    text: '{"status":"unavailable"}',
  });
  // Who restarts it for that mends nothing.
  expect((await health(`${operations}/livez`)).code).toBe(200);
  // It is asked of the process: no database is needed for the answer.
  const shown = await statusOf(settings);
  expect(shown.code).toBe(1);
  expect(shown.stdout).toMatch(/^unavailable\b[^]*database +failing/);
  await proxy.mend();
  await becomes(`${operations}/readyz`, 200);

  proxy.swallow();
  expect((await health(`${operations}/readyz?verbose`)).body.checks?.['database']).toEqual({
    status: 'failing',
    reason: 'no answer within 5 s',
  });
  await proxy.mend();
  await becomes(`${operations}/readyz`, 200);
});

test('however many ask at once, a check runs once', async () => {
  let runs = 0;
  const gate = Promise.withResolvers<undefined>();
  const ask = createHealth({ database: () => (runs++, gate.promise) }, undefined);
  const asked = Promise.all(Array.from({ length: 50 }, ask));
  gate.resolve(undefined);
  expect(new Set((await asked).map(({ status }) => status))).toEqual(new Set(['ready']));
  expect(runs).toBe(1);
  await ask();
  expect(runs).toBe(2);
});

test('a database that takes no writes is not well', async () => {
  const own = await createDatabase();
  onTestFinished(() => own.drop());
  const name = new URL(own.url).pathname.slice(1);
  const { operations } = await start({ DATABASE_URL: own.url });
  const restart = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;
  await asAdmin(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
  await asAdmin(restart);
  await until(async () => {
    const { body } = await health(`${operations}/readyz?verbose`);
    return body.checks?.['database']?.reason === 'it is read-only';
  }, 'readiness tells that the database is read-only');
  await asAdmin(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
  await asAdmin(restart);
  await becomes(`${operations}/readyz`, 200);
});

test('keys that cannot be opened are not well, until they can', async () => {
  const own = await createDatabase();
  onTestFinished(() => own.drop());
  const { operations } = await start({ DATABASE_URL: own.url });
  const keys = connect(own.url);
  onTestFinished(() => keys.$disconnect());
  const [key] = await keys.signingKey.findMany({ where: { signsFrom: { not: null } } });
  if (!key) throw new Error('there is one');
  const { kid, alg, createdAt } = key;
  // As a process with another SYMBOLON_SECRET leaves it.
  const strange = { alg, createdAt, signsFrom: new Date(), sealed: Buffer.from('no key') };
  await keys.signingKey.create({ data: { ...strange, kid: `strange-${kid}` } });
  await becomes(`${operations}/readyz`, 503);
  const { body } = await health(`${operations}/readyz?verbose`);
  expect(body.checks).toMatchObject({ database: { status: 'ok' }, keys: { status: 'failing' } });
  await keys.signingKey.delete({ where: { kid: `strange-${kid}` } });
  await becomes(`${operations}/readyz`, 200);
});

test('a process whose clock is off is not well', async () => {
  const skewed = {
    NODE_OPTIONS: `--import=${skewedClock}`,
    TEST_CLOCK_SKEW: '-90000',
  };
  const { operations, url, settings } = await start(skewed);
  expect(await health(`${url}/readyz`)).toMatchObject({ code: 503 });
  const { body } = await health(`${operations}/readyz?verbose`);
  expect(body.checks?.['clock']?.reason).toMatch(/^(89|90|91)\.0 s behind the database's/);
  const { NODE_OPTIONS, ...rest } = settings as Record<string, string>;
  expect(NODE_OPTIONS).toBeDefined();
  const shown = await statusOf(rest);
  expect(shown.code).toBe(1);
  expect(shown.stdout).toMatch(/clock +failing +.*behind/);
});

test('a stop under load: 503 from its first moment, and the operations listener is the last to close', async () => {
  const leaving = await start({ SYMBOLON_STOP_DELAY: '0' });
  const token = await newFamily(leaving.url);
  const row = await holdFamily(database.url, token);
  const answer = refreshAt(leaving.url, token);
  await queued(row.holder, 1);
  leaving.child.kill('SIGTERM');
  await becomes(`${leaving.operations}/readyz`, 503);
  // The public listener takes nobody any more; the refresh is still being answered.
  await until(
    () =>
      fetch(leaving.url).then(
        () => false,
        () => true,
      ),
    'the public listener is closed',
  );
  const { code, body } = await health(`${leaving.operations}/readyz?verbose`);
  expect([code, body.status]).toEqual([503, 'stopping']);
  expect((await health(`${leaving.operations}/livez`)).code).toBe(200);
  const told = await statusOf(leaving.settings, '--json');
  expect([told.code, (JSON.parse(told.stdout) as Health).status]).toEqual([1, 'stopping']);
  await row.release();
  expect((await answer).status).toBe(200);
  expect(await leaving.end()).toBe(0);
  const gone = await statusOf(leaving.settings);
  expect(gone.code).toBe(1);
  expect(gone.stdout).toMatch(/^unreachable\b[^]*Nothing answers/);
});

test('a start that waits for the database is live, and not ready', async () => {
  const lock = await hold(database.url, 'LOCK TABLE signing_key');
  const ports = { own: String(await freePort()), operations: String(await freePort()) };
  const settings = { PORT: ports.own, SYMBOLON_OPERATIONS_PORT: ports.operations };
  const starting = startProcess({ ...environment, ...settings });
  onTestFinished(async () => {
    await (await starting).end('SIGKILL');
  });
  await queued(lock.holder, 1);
  const operations = `http://127.0.0.1:${ports.operations}`;
  expect((await health(`${operations}/livez`)).code).toBe(200);
  expect(await health(`${operations}/readyz`)).toMatchObject({
    code: 503,
    text: '{"status":"starting"}',
  });
  await lock.release();
  await starting;
  await becomes(`${operations}/readyz`, 200);
});

test('the status is asked of the own TLS listener too, below the path of the issuer', async () => {
  const folder = await temporaryFolder();
  const cert = await folder.put('cert.pem', tls.serverCertificate);
  const key = await folder.put('key.pem', tls.serverKey);
  const port = String(await freePort());
  const own = await start({
    PORT: port,
    SYMBOLON_OPERATIONS_PORT: '',
    SYMBOLON_ISSUER: `https://id.example.com/op`,
    SYMBOLON_TLS_CERT: cert,
    SYMBOLON_TLS_KEY: key,
    HOST: '0.0.0.0',
  });
  const told = await statusOf(own.settings, '--json');
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(told.stdout)).toEqual({
    url: `https://127.0.0.1:${port}/op/readyz`,
    status: 'ready',
  });
});

test('a port that is taken is named with its setting', async () => {
  const taken = createServer().listen(await freePort(), '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => {
    taken.close();
  });
  const { port } = taken.address() as { port: number };
  await expect(start({ SYMBOLON_OPERATIONS_PORT: String(port) })).rejects.toThrow(
    `Port ${port} on 127.0.0.1 is in use. Stop what listens there, or set SYMBOLON_OPERATIONS_PORT.`,
  );
});

test('a start that fails ends, whatever listens already', async () => {
  const unknown = new URL(database.url);
  unknown.pathname = '/no_such_database';
  await expect(start({ DATABASE_URL: unknown.href })).rejects.toThrow('no_such_database');
});

test('the status command loads no database', async () => {
  const folder = await temporaryFolder();
  const listed = `import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (process.stderr.write(url + '\\n'), next(url, context)) });`;
  const { code, stdout, stderr } = await run(
    ['--import', await folder.put('listed.mjs', listed), 'src/cli.ts', 'status'],
    { ...environment, PORT: String(await freePort()) },
  );
  expect(stdout).toMatch(/^unreachable/);
  expect(code).toBe(1);
  expect(stderr).toContain('src/commands/status.ts');
  expect(stderr).not.toMatch(/@prisma|node_modules\/pg\/|src\/storage|oidc-provider/);
});
