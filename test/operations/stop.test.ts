// Connections and the end of a process: real processes, a real nginx that keeps connections to them, npm and a process
// group, and the embedded PostgreSQL.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type TestContext,
  afterAll,
  beforeAll,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { holdFamily, queued, rounds } from '../faults/locks.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

let database: TestDatabase;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  };
  const prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), client);
  await prisma.$disconnect();
});
afterAll(() => database.drop());

const start = async (more: Record<string, string> = {}): Promise<ProviderProcess> => {
  const process = await startProcess({ ...environment, ...more });
  onTestFinished(async () => {
    await process.end('SIGKILL');
  });
  return process;
};

describe('an idle connection', () => {
  test('is kept for 75 seconds, longer than balancers keep theirs', async () => {
    const { url } = await start();
    const agent = pooled();
    const { headers } = await get(`${url}/jwks`, agent);
    expect(headers['keep-alive']).toBe('timeout=75');
  });

  test('is closed after SYMBOLON_KEEP_ALIVE', async () => {
    const { url } = await start({ SYMBOLON_KEEP_ALIVE: '1' });
    const { port } = new URL(url);
    const socket = dial(Number(port), 'localhost');
    socket.write('GET /jwks HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain('Keep-Alive: timeout=1\r\n');
    socket.resume();
    await once(socket, 'end');
  });
});

describe('a stop', () => {
  test('says goodbye first: readiness and every answer, on pooled connections and new ones', async () => {
    const leaving = await start({ SYMBOLON_STOP_DELAY: '60' });
    const agent = pooled();
    const ready = await get(`${leaving.url}/health/ready`, agent);
    expect({ status: ready.statusCode, body: ready.text }).toEqual({
      status: 200,
      body: '{"status":"ready"}',
    });
    leaving.child.kill('SIGTERM');
    await said(leaving, '"stopping"');
    const path = ['/jwks', '/health/ready', '/', '/nothing'];
    const answers = [];
    for (const one of path) answers.push(await get(`${leaving.url}${one}`, agent));
    expect(answers.map(({ statusCode, headers }) => [statusCode, headers.connection])).toEqual([
      [200, 'close'],
      [503, 'close'],
      [200, 'close'],
      [404, 'close'],
    ]);
    expect(answers[1]?.text).toBe('{"status":"stopping"}');
  });

  test('one signal and its copies are one: the request in flight is answered', async () => {
    const leaving = await start();
    const { release, answer } = await held(leaving);
    leaving.child.kill('SIGINT');
    await said(leaving, '"stopping"');
    leaving.child.kill('SIGINT');
    leaving.child.kill('SIGTERM');
    await release();
    expect((await answer).status).toBe(200);
    expect(await leaving.end()).toBe(0);
    expect(leaving.output()).not.toContain('at once');
  });

  test('who insists gets a forced stop, with a sentence', async () => {
    const leaving = await start();
    const { answer } = await held(leaving);
    const exited = once(leaving.child, 'exit');
    const cut = expect(answer).rejects.toThrow();
    const insisting = setInterval(() => leaving.child.kill('SIGINT'), 100);
    await exited;
    clearInterval(insisting);
    await cut;
    expect(leaving.child.exitCode).toBe(1);
    expect(leaving.output()).toContain('Stopping at once, since a signal came again');
  });
});

describe('npm start, with the embedded PostgreSQL', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`a ${signal} to the whole group, which npm hands on again, stops all in order`, async () => {
      const started = await npmStart();
      process.kill(-started.pid, signal);
      await once(started.npm, 'close'); // its output ends with the last process of the group
      expect(started.output()).toContain('"msg":"stopped"');
      expect(isAlive(await started.postgres())).toBe(false);
    });

  test('who insists: the embedded PostgreSQL is stopped nevertheless', async () => {
    const started = await npmStart({ SYMBOLON_STOP_DELAY: '60' });
    const postgres = await started.postgres();
    const insisting = setInterval(() => {
      if (isAlive(started.pid)) process.kill(-started.pid, 'SIGINT');
    }, 100);
    await once(started.npm, 'close');
    clearInterval(insisting);
    expect(started.output()).toContain('Stopping at once');
    expect(isAlive(postgres)).toBe(false);
  });
});

describe('behind nginx, which keeps connections', () => {
  test('one process after the other is replaced, and no pooled connection is reset', async (context) => {
    if (!nginx) missing(context);
    const ports = [await freePort(), await freePort()];
    const at = (port: number) => start({ PORT: String(port), SYMBOLON_STOP_DELAY: '5' });
    const processes = await Promise.all(ports.map(at));
    const { url, log } = await startNginx(ports);

    const clients = Array.from({ length: 12 }, pooled);
    const use = async () => {
      const statuses = await Promise.all(
        clients.map(async (agent) => {
          const met = new Set<number>();
          for (let count = 0; count < 20; count++) met.add(await newToken(url, agent));
          return [...met];
        }),
      );
      // To a process that has gone, nginx cannot connect; it asks the other one.
      const told = (await log()).split('\n').filter((text) => !text.includes('connect() failed'));
      expect(new Set(statuses.flat()), told.join('\n')).toEqual(new Set([401]));
    };
    for (let round = 0; round < rounds(4); round++) {
      const leaving = processes[round % 2];
      if (!leaving) throw new Error('there are two');
      await use();
      const ended = leaving.end();
      await said(leaving, '"stopping"');
      await use(); // every connection of the pool
      expect(await ended).toBe(0);
      await use();
      processes[round % 2] = await at(ports[round % 2] ?? 0);
    }
  });
});

const nginx = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/bin/nginx'].find((path) =>
  existsSync(path),
);

function missing(context: TestContext): never {
  context.skip('nginx is missing: `apt-get install nginx-light` installs it, and this test runs');
}

/** nginx in front of these ports, with a pool of connections to them. */
async function startNginx(ports: readonly number[]) {
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-nginx-'));
  const port = await freePort();
  const configuration = join(folder, 'nginx.conf');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await writeFile(
    configuration,
    `worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
    events {}
    http {
      access_log off;
      ${paths.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
      upstream symbolon { ${ports.map((one) => `server 127.0.0.1:${one} max_fails=0;`).join(' ')} keepalive 32; }
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://symbolon; proxy_http_version 1.1; proxy_set_header Connection ""; }
      }
    }`,
  );
  const child = spawn(nginx ?? '', ['-c', configuration, '-e', `${folder}/error.log`], {
    stdio: 'inherit',
  });
  onTestFinished(async () => {
    child.kill('SIGQUIT');
    if (child.exitCode === null) await once(child, 'exit');
    await rm(folder, { recursive: true });
  });
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(url).then(
      () => true,
      () => false,
    ))
  )
    if (child.exitCode !== null) throw new Error(await readFile(`${folder}/error.log`, 'utf8'));
  return { url, log: () => readFile(`${folder}/error.log`, 'utf8') };
}

/** A POST that is answered 401 by whoever gets it: nginx sends it once, since it may not be repeated. */
async function newToken(url: string, agent: Agent): Promise<number> {
  const { statusCode = 0 } = await ask(
    `${url}/token`,
    agent,
    'grant_type=refresh_token&client_id=web',
  );
  return statusCode;
}

interface Answered extends IncomingMessage {
  text: string;
}

const get = (url: string, agent: Agent) => ask(url, agent);

async function ask(url: string, agent: Agent, form?: string): Promise<Answered> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const sent = request(url, form === undefined ? { agent } : { agent, method: 'POST', headers });
  sent.end(form);
  const [answer] = (await once(sent, 'response')) as [Answered];
  const chunks = (await answer.toArray()) as Buffer[];
  answer.text = Buffer.concat(chunks).toString();
  return answer;
}

/** One connection, kept from request to request. */
function pooled(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => {
    agent.destroy();
  });
  return agent;
}

/** A refresh that waits for the database until it is released. */
async function held({ url }: ProviderProcess) {
  const token = await newFamily(url);
  const row = await holdFamily(database.url, token);
  const answer = refreshAt(url, token);
  answer.catch(() => undefined);
  await queued(row.holder, 1);
  return { answer, release: () => row.release() };
}

async function said({ child, output }: ProviderProcess, text: string): Promise<void> {
  while (!output().includes(text) && child.stdout) await once(child.stdout, 'data');
}

/** `npm start` in a process group of its own, as a terminal or a supervisor starts it. */
async function npmStart(more: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-npm-'));
  const { PATH = '', HOME = '' } = process.env;
  const npm: ChildProcess = spawn('npm', ['start'], {
    cwd: root,
    env: {
      PATH,
      HOME,
      PORT: String(await freePort()),
      SYMBOLON_DATA_DIR: folder,
      SYMBOLON_STOP_DELAY: '1',
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const pid = npm.pid ?? 0;
  let output = '';
  for (const stream of [npm.stdout, npm.stderr])
    stream?.on('data', (chunk) => (output += String(chunk)));
  onTestFinished(async () => {
    if (isAlive(pid)) process.kill(-pid, 'SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  while (!output.includes('Symbolon is running')) {
    if (npm.exitCode !== null) throw new Error(output);
    await pause(20);
  }
  const postgres = Number(
    (await readFile(join(folder, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0],
  );
  return { npm, pid, output: () => output, postgres: () => Promise.resolve(postgres) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that has ended and that nobody has asked about is none any more.
    return !/^\S+ \S+ Z/.test(execFileSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' }));
  } catch {
    return false;
  }
}
