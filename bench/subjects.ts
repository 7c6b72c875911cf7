// The two that are compared: the bare engine in memory, and Symbolon as it is run, on a PostgreSQL that commits durably.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAccount } from '../src/accounts/accounts.ts';
import { readConfig } from '../src/config/config.ts';
import { insertClient } from '../src/storage/clients.ts';
import { openStorage } from '../src/storage/open.ts';
import { Agent } from '../test/support/agent.ts';
import { freePort } from '../test/support/process.ts';
import { Connection, authorizationPath, exchange, form } from './requests.ts';
import {
  type ClientId,
  PEOPLE,
  authorizationOf,
  client,
  clients,
  emailOf,
  person,
  resource,
} from './settings.ts';

const FAMILIES = 128;

/** CPU that was used so far, in milliseconds. */
export interface Usage {
  readonly provider: number;
  readonly postgres: number;
}

export interface Subject {
  readonly name: 'bare' | 'symbolon';
  /** Where its data is; the bare engine has none. */
  readonly dataDir: string;
  readonly port: number;
  /** Of a browser in which somebody is signed in. */
  readonly cookie: string;
  /** Refresh tokens, one for each connection. */
  readonly opaque: string[];
  /** The same, of a client whose ID tokens RS256 signs. */
  readonly rs256: string[];
  readonly jwt: string[];
  usage(): Usage;
  /** Resident memory, in bytes. */
  memory(): number;
  stop(): Promise<void>;
}

export async function startBare(): Promise<Subject> {
  const port = await freePort();
  const child = fork(new URL('./bare.ts', import.meta.url), {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  process.once('exit', () => child.kill()); // when seeding the other fails, neither is left
  const [seed] = (await once(child, 'message')) as [
    Pick<Subject, 'cookie' | 'opaque' | 'rs256' | 'jwt'>,
  ];
  return {
    name: 'bare',
    dataDir: '',
    port,
    ...seed,
    usage: () => ({ provider: cpuOf(child.pid ?? 0), postgres: 0 }),
    memory: () => memoryOf(child.pid ?? 0),
    stop: () => end(child),
  };
}

/** @param environment settings; with DATABASE_URL, the server's CPU is not counted */
export async function startSymbolon(environment: Record<string, string> = {}): Promise<Subject> {
  const port = await freePort();
  const dataDir = mkdtempSync(join(tmpdir(), 'symbolon-bench-'));
  const settings = {
    PORT: String(port),
    SYMBOLON_DATA_DIR: dataDir,
    LOG_LEVEL: 'warn',
    NODE_ENV: 'production',
    SYMBOLON_TRUST_PROXY: 'true',
    ...environment,
  };
  const child = await startProcess(settings);

  const { storage, close } = await openStorage(readConfig(settings), 'apply');
  const { id, ...like } = await addAccount(storage.prisma, person, { admin: false });
  await storage.prisma.account.createMany({
    data: Array.from({ length: PEOPLE }, (_, number) => ({
      ...like,
      id: `${id}-${number}`,
      email: emailOf(number),
      emailAscii: emailOf(number),
      claims: {},
    })),
  });
  for (const [client_id, id_token_signed_response_alg] of Object.entries(clients))
    await insertClient(storage.prisma, storage.keyring, {
      ...client,
      client_id,
      id_token_signed_response_alg,
      first_party: true, // nobody is asked for consent, but for offline access
    });
  await storage.prisma.resource.create({
    data: { id: resource, scopes: { read: '' }, alg: 'ES256' },
  });
  await close();

  const issuer = `http://localhost:${port}`;
  const agent = new Agent(issuer);
  const kinds = [
    { clientId: 'bench', isJwt: false },
    { clientId: 'bench-rs256', isJwt: false },
    { clientId: 'bench', isJwt: true },
  ] as const;
  for (const kind of kinds)
    await agent.authorize(`${issuer}${authorizationPath({ ...kind, offline: true })}`, person);
  const cookie = agent.cookies
    .filter(({ path }) => path === '/')
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ');
  const connection = new Connection(port);
  const families = async (clientId: ClientId, isJwt = false) => {
    const tokens: string[] = [];
    for (let count = 0; count < FAMILIES; count++) {
      const path = authorizationPath({ clientId, isJwt, offline: true, silent: true });
      const code = await connection.request('GET', path, `cookie: ${cookie}\r\n`);
      const answer = await connection.request(
        'POST',
        '/token',
        authorizationOf(clientId) + form,
        exchange(code),
      );
      tokens.push((JSON.parse(answer.body) as { refresh_token: string }).refresh_token);
    }
    return tokens;
  };
  const seed = {
    opaque: await families('bench'),
    rs256: await families('bench-rs256'),
    jwt: await families('bench', true),
  };
  connection.close();

  const postmaster = 'DATABASE_URL' in environment ? undefined : postmasterOf(dataDir);
  return {
    name: 'symbolon',
    dataDir,
    port,
    cookie,
    ...seed,
    usage: () => ({
      provider: cpuOf(child.pid ?? 0),
      postgres: postmaster === undefined ? 0 : cpuOfTree(postmaster),
    }),
    memory: () => memoryOf(child.pid ?? 0),
    async stop() {
      await end(child);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The process of the embedded PostgreSQL. */
function postmasterOf(dataDir: string): number {
  const [pid] = readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
  return Number(pid);
}

/** One process of Symbolon, once it listens. */
export async function startProcess(settings: Record<string, string>): Promise<ChildProcess> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: new URL('..', import.meta.url).pathname,
    env: { PATH, HOME, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill());
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  const ended = once(child, 'exit').then(() => {
    throw new Error('Symbolon has ended instead of starting');
  });
  ended.catch(() => undefined);
  while (!output.includes('is running')) await Promise.race([once(child.stdout, 'data'), ended]);
  return child;
}

export async function end(child: ChildProcess): Promise<void> {
  child.kill();
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

// /proc/PID/stat (proc(5)): fields 14 and 15 are ticks of a hundredth of a second, 16 and 17 those of ended children.
function stat(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  } catch {
    return [];
  }
}

function cpuOf(pid: number): number {
  const fields = stat(pid);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10;
}

function cpuOfTree(pid: number): number {
  const fields = stat(pid);
  const ended = (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * 10;
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && stat(Number(name))[1] === String(pid))
    .map((name) => cpuOf(Number(name)));
  return cpuOf(pid) + ended + children.reduce((sum, one) => sum + one, 0);
}

function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}
