// The proxies of examples/proxy/, as they are written there, in front of two real processes: refreshes go on while one
// process after the other is restarted and killed, and none fails.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type TestContext,
  afterAll,
  beforeAll,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { rounds, until } from '../faults/locks.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/folder.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { tls } from '../support/tls.ts';
import { familyIdOf } from '../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const CHAINS = 8;
const REFRESHES = 16; // refreshes that are answered between two events
const examples = fileURLToPath(new URL('../../examples/proxy/', import.meta.url));
const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const issuer = 'https://id.example.com';

let database: TestDatabase;
let prisma: PrismaClient;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), client);
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

interface Proxy {
  readonly program: string;
  /** What installs it, in a sentence. */
  readonly install: string;
  readonly file: string;
  /** Changes the file where a test must: the user, the folder. */
  arrange?(text: string, folder: TemporaryFolder): string;
  args(file: string): string[];
  /** Whether this version sends a POST again that was sent already. */
  readonly repeats?: (program: string) => boolean;
}

const proxies: Record<string, Proxy> = {
  nginx: {
    program: 'nginx',
    install: '`apt-get install nginx-light` installs it',
    file: 'nginx/nginx.conf',
    arrange: (text, { path }) => `
      worker_processes 1; daemon off; pid ${path}/pid; error_log ${path}/error.log;
      ${process.getuid?.() === 0 ? 'user root;' : ''}
      events {}
      http {
        access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${path}/${one};`).join(' ')}
        ${text}
      }`,
    args: (file) => ['-c', file, '-e', 'stderr'],
  },
  haproxy: {
    program: 'haproxy',
    install: '`apt-get install haproxy` installs it',
    file: 'haproxy/haproxy.cfg',
    args: (file) => ['-db', '-f', file],
  },
  caddy: {
    program: 'caddy',
    install: '`apt-get install caddy` installs it',
    file: 'caddy/Caddyfile',
    // Neither an address of administration nor port 80 is taken by a test.
    arrange: (text, { path }) =>
      `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${path}\n}\n${
        knowsBuffers(programOf('caddy') ?? '') ? text : text.replace(/.*request_buffers.*\n/, '')
      }`,
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
    repeats: knowsBuffers,
  },
  traefik: {
    program: 'traefik',
    install: 'Debian does not have it; https://github.com/traefik/traefik/releases does',
    file: 'traefik/symbolon.yaml',
    args: (file) => [
      `--providers.file.filename=${file}`,
      `--entrypoints.websecure.address=127.0.0.1:${/websecure (\d+)/.exec(readFileSync(file, 'utf8'))?.[1] ?? ''}`,
    ],
  },
};

/** Debian 12 has Caddy 2.6.2, which keeps no bodies. */
function knowsBuffers(program: string): boolean {
  try {
    execFileSync(program, ['adapt', '--adapter', 'caddyfile', '--config', '-'], {
      input: ':1 {\n\treverse_proxy 127.0.0.1:2 {\n\t\trequest_buffers 64KiB\n\t}\n}\n',
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    return true;
  } catch {
    return false;
  }
}

function programOf(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/bin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

describe.for(Object.entries(proxies))('%s', ([, proxy]) => {
  test('no refresh fails while processes are restarted and killed', async (context: TestContext) => {
    const program = programOf(proxy.program);
    if (program === undefined)
      context.skip(`${proxy.program} is missing: ${proxy.install}, and this test runs`);
    const { processes, at, port } = await startBehind(proxy, program);

    const document = await ask(port, '/.well-known/openid-configuration');
    expect(JSON.parse(document.text)).toMatchObject({ token_endpoint: `${issuer}/token` });
    expect(document.headers['strict-transport-security']).toBeDefined();
    const tokens = [];
    for (let chain = 0; chain < CHAINS; chain++) tokens.push(await newFamily(port));
    // The address is the client's, whatever it says itself.
    const { ip } = await prisma.auditEvent.findFirstOrThrow({ orderBy: { id: 'desc' } });
    expect(ip).toBe('127.0.0.1');
    await expectKept(port, processes);

    const load = startLoad(port, tokens);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (signal === 'SIGKILL' && proxy.repeats?.(program) === false) {
        console.warn(
          `this ${proxy.program} sends no POST again: its killed processes are left out`,
        );
        continue;
      }
      for (let round = 0; round < rounds(2); round++) {
        const index = round % 2;
        const leaving = processes[index];
        if (!leaving) throw new Error('there are two');
        await load.more(REFRESHES);
        await leaving.end(signal);
        await load.more(REFRESHES);
        const back = (processes[index] = await at(index));
        await until(
          () => Promise.resolve(back.output().includes('"path":"/token"') || load.hasFailed()),
          'the process that is back gets requests again',
        );
      }
    }
    expect(await load.end()).toEqual([]);
    for (const token of tokens) {
      const family = await prisma.refreshFamily.findUniqueOrThrow({
        where: { id: familyIdOf(token) },
      });
      expect(family.endedAt ?? null).toBeNull();
    }
  });
});

test('each proxy’s file names what the others name', () => {
  for (const { file } of Object.values(proxies)) {
    const text = readFileSync(join(examples, file), 'utf8');
    expect(text, file).toMatch(/\/token\b/);
    expect(text, file).toContain('127.0.0.1:3001');
    expect(text, file).toContain('127.0.0.1:3002');
    expect(text, file).toContain('less than SYMBOLON_KEEP_ALIVE');
    if (!file.startsWith('nginx')) expect(text, file).toContain('/readyz');
  }
});

/** Two processes, and the proxy with the example's own file in front of them. */
async function startBehind(proxy: Proxy, program: string) {
  const folder = await temporaryFolder();
  const ports = [await freePort(), await freePort()];
  const at = async (index: number): Promise<ProviderProcess> => {
    const started = await startProcess({
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ISSUER: issuer,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_TRUST_PROXY: '127.0.0.1',
      HOST: '127.0.0.1',
      PORT: String(ports[index]),
      SYMBOLON_STOP_DELAY: '2',
    });
    onTestFinished(async () => {
      await started.end('SIGKILL');
    });
    return started;
  };
  const processes = await Promise.all([at(0), at(1)]);
  const port = await freePort();
  const cert = await folder.put('cert.pem', tls.serverCertificate);
  await folder.put('cert.pem.key', tls.serverKey);
  const key = await folder.put('key.pem', tls.serverKey);
  const text = readFileSync(join(examples, proxy.file), 'utf8')
    .replaceAll('/etc/symbolon/cert.pem', cert)
    .replaceAll('/etc/symbolon/key.pem', key)
    .replaceAll('127.0.0.1:3001', `127.0.0.1:${ports[0]}`)
    .replaceAll('127.0.0.1:3002', `127.0.0.1:${ports[1]}`)
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replace('bind :443 ', `bind 127.0.0.1:${port} `)
    .replace(/^id\.example\.com \{/m, `https://id.example.com:${port} {`)
    .replace(/^# For the file provider.*/, `# websecure ${port}`);
  const file = await folder.put('settings', proxy.arrange?.(text, folder) ?? text);
  const child: ChildProcess = spawn(program, proxy.args(file), {
    cwd: folder.path,
    env: { HOME: folder.path, PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => (said += String(chunk)));
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${proxy.program} ended: ${said}`);
    return ask(port, '/readyz').then(
      ({ statusCode }) => statusCode === 200,
      () => false,
    );
  }, `${proxy.program} answers`);
  return { processes, at, port };
}

/** Chains that refresh, each token once, until they are told to end. The tokens are followed. */
function startLoad(port: number, tokens: string[]) {
  const failures: string[] = [];
  let answered = 0;
  let ending = false;
  const chains = tokens.map(async (_, chain) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    while (!ending && failures.length === 0) {
      const form = { grant_type: 'refresh_token', refresh_token: tokens[chain] ?? '' };
      const { statusCode, text } = await post(port, form, agent).catch((error: unknown) => ({
        statusCode: undefined,
        text: String(error),
      }));
      if (statusCode !== 200) {
        failures.push(`${statusCode ?? ''} ${text}`);
        break;
      }
      tokens[chain] = (JSON.parse(text) as { refresh_token: string }).refresh_token;
      answered++;
    }
    agent.destroy();
  });
  return {
    hasFailed: () => failures.length > 0,
    /** Waits for so many answers from now on. */
    more(count: number) {
      const goal = answered + count;
      return until(
        () => Promise.resolve(answered >= goal || failures.length > 0),
        'refreshes are answered',
      );
    },
    async end() {
      ending = true;
      await Promise.all(chains);
      return failures;
    },
  };
}

/** The proxy's connections to the processes are fewer than the requests. */
async function expectKept(port: number, processes: readonly ProviderProcess[]): Promise<void> {
  const ports = processes.map(({ url }) => Number(new URL(url).port));
  const seen = new Set<string>();
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  for (let count = 0; count < 30; count++) {
    await ask(port, '/jwks', agent);
    // Linux lists a connection with both ends' ports in hexadecimal; 01 is an established one.
    for (const line of readFileSync('/proc/self/net/tcp', 'utf8').split('\n')) {
      const [, local = '', remote = '', state] = line.trim().split(/\s+/);
      if (state === '01' && ports.includes(parseInt(local.split(':')[1] ?? '', 16)))
        seen.add(remote);
    }
  }
  agent.destroy();
  expect(seen.size).toBeGreaterThan(0);
  expect(seen.size).toBeLessThan(15); // those of health checks among them
}

async function newFamily(port: number): Promise<string> {
  const { username, password } = { username: person.email, password: person.password };
  const scope = 'openid offline_access';
  const { text } = await post(port, { grant_type: 'password', username, password, scope });
  return (JSON.parse(text) as { refresh_token: string }).refresh_token;
}

interface Answered extends IncomingMessage {
  text: string;
}

const post = (port: number, form: Record<string, string>, agent?: Agent) =>
  ask(port, '/token', agent, new URLSearchParams(form).toString());

/** Over TLS, at the issuer's name; with headers by which somebody says that they are elsewhere. */
async function ask(port: number, path: string, agent?: Agent, form?: string): Promise<Answered> {
  const { client_id: id, client_secret: password } = webClient;
  const sent = request({
    ...{ host: '127.0.0.1', port, path, servername: 'id.example.com', rejectUnauthorized: false },
    ...(agent ? { agent } : { agent: false }),
    method: form === undefined ? 'GET' : 'POST',
    headers: {
      host: `id.example.com:${port}`,
      'x-forwarded-for': '203.0.113.9',
      forwarded: 'for=203.0.113.9',
      authorization: `Basic ${Buffer.from(`${id}:${encodeURIComponent(password)}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
  });
  sent.end(form);
  const [answer] = (await once(sent, 'response')) as [Answered];
  const chunks = (await answer.toArray()) as Buffer[];
  answer.text = Buffer.concat(chunks).toString();
  return answer;
}
