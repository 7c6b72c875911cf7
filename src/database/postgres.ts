// The server program of the embedded PostgreSQL: makes its data folder, starts it as a daemon, finds it again, stops
// it. Invariant: never two servers on one data folder (the kernel's lock on postgres.lock, besides PostgreSQL's own).
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Programs, loadPrograms } from './programs.ts';

/** A PostgreSQL in a data folder, running or not. */
export interface Server {
  readonly programs: Programs;
  /** The prefix of every command, so that it does not run as root. */
  readonly prefix: readonly string[];
  readonly home: string;
  readonly data: string;
  readonly log: string;
  readonly password: string;
}

/** flock's exit code when another server holds the data folder. */
export const LOCKED = 75;
/** Milliseconds that a server may take to answer or to stop. */
export const PATIENCE = 60_000;

/**
 * Makes the data of a server in this folder if there is none. Does not start it.
 *
 * @param directory created if missing, with mode 0700
 * @throws {Error} when the platform's package is missing or PostgreSQL cannot run here
 */
export async function prepare(directory: string): Promise<Server> {
  const programs = await loadPrograms();
  const prefix = await withoutRoot();
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  const home = await fs.realpath(directory);
  const server = {
    programs,
    prefix,
    home,
    data: join(home, 'postgres'),
    log: join(home, 'postgres.log'),
  };
  return { ...server, password: await initialise(server) };
}

/** Stops a server. Not by `pg_ctl stop`, which would also wait for a server that another process then starts. */
export async function stop(server: Server): Promise<void> {
  const postmaster = await readPostmaster(server);
  if (!postmaster?.port) return;
  process.kill(postmaster.pid, 'SIGINT'); // "Fast": rolls back open transactions, writes everything to disk.
  const deadline = Date.now() + PATIENCE;
  while (await isPostgres(server, postmaster.pid)) {
    if (Date.now() > deadline) {
      throw new Error(
        `PostgreSQL on ${server.data} (pid ${postmaster.pid}) did not stop within ${PATIENCE / 1000} s; ${server.log} tells why. The next start takes it over.`,
      );
    }
    await sleep(20);
  }
}

/**
 * Starts PostgreSQL as a daemon, which outlives this process and gets no Ctrl-C from its terminal. `stale` is the pid
 * in a postmaster.pid if that process is not PostgreSQL any more.
 */
export async function launch(server: Server, stale: number | undefined): Promise<ChildProcess> {
  // Every process of the server inherits the lock. It ends with the last of them, however that dies.
  const lockFile = join(server.home, 'postgres.lock');
  const lock = ['flock', '--nonblock', '--no-fork', `--conflict-exit-code=${LOCKED}`, lockFile];
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    // Keeps personal data out of the log.
    'log_error_verbosity=terse',
    'log_min_error_statement=panic',
    'log_checkpoints=off',
  ];
  const [command = '', ...args] = [
    ...server.prefix,
    ...(process.platform === 'linux' ? lock : []),
    server.programs.postgres,
    ...['-D', server.data, '-p', String(await freePort())],
    ...settings.flatMap((setting) => ['-c', setting]),
  ];
  const log = await fs.open(server.log, 'a', 0o600);
  try {
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      // Makes PostgreSQL take a postmaster.pid with this pid for a stale one, although the process lives.
      env: { ...environment(), ...(stale ? { PG_GRANDPARENT_PID: String(stale) } : {}) },
    });
    await once(child, 'spawn');
    child.unref();
    return child;
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL cannot be started: ${command} did not run. Install it (flock and unshare are in util-linux), or set DATABASE_URL.`,
      { cause },
    );
  } finally {
    await log.close();
  }
}

export const hasExited = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null;

/** The content of postmaster.pid; without a port if its pid is not a PostgreSQL on this folder. */
export async function readPostmaster(
  server: Server,
): Promise<{ pid: number; port?: number } | undefined> {
  const file = join(server.data, 'postmaster.pid');
  const [pid, , , port] = ((await fs.readFile(file, 'utf8').catch(passIf('ENOENT'))) ?? '').split(
    '\n',
  );
  if (!pid) return undefined;
  return {
    pid: Number(pid),
    ...(port && (await isPostgres(server, Number(pid))) ? { port: Number(port) } : {}),
  };
}

/**
 * Whether `pid` is a PostgreSQL on this data folder. After a crash of the machine it may be any program, and the port
 * may be that of another one, which must not get the password.
 */
async function isPostgres(server: Server, pid: number): Promise<boolean> {
  const owner = (await fs.stat(server.data)).uid;
  try {
    if (process.platform === 'linux') {
      const command = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8');
      return (
        (await fs.stat(`/proc/${pid}`)).uid === owner && command.includes(`\0${server.data}\0`)
      );
    }
    const { stdout } = await execute('ps', ['-ww', '-o', 'uid=,command=', '-p', String(pid)]);
    return Number.parseInt(stdout) === owner && stdout.includes(` -D ${server.data} `);
  } catch {
    return false;
  }
}

/**
 * Makes the data folder if there is none. All or nothing, even if killed half way; if two processes make it at once,
 * both go on with the winner's.
 *
 * @returns its password
 */
async function initialise(server: Omit<Server, 'password'>): Promise<string> {
  const password = passwordFile(server);
  const isMade = () =>
    fs.access(join(server.data, 'PG_VERSION')).then(
      () => true,
      () => false,
    );
  if (!(await isMade())) {
    const draft = await fs.mkdtemp(join(server.home, 'postgres-new-'));
    const random = randomBytes(32).toString('base64url');
    try {
      await fs.writeFile(join(draft, 'password'), random, { mode: 0o600, flush: true });
      await fs.link(join(draft, 'password'), password).catch(passIf('EEXIST'));
      const [command = '', ...args] = [
        ...[...server.prefix, server.programs.initdb, '-D', join(draft, 'data')],
        ...['-U', 'symbolon', `--pwfile=${password}`, '--auth=scram-sha-256'],
        ...['-E', 'UTF8', '--locale=C', '--data-checksums'],
      ];
      await execute(command, args, { env: environment() });
      await fs.rename(join(draft, 'data'), server.data);
      await sync(server.home);
    } catch (cause) {
      if (!(await isMade())) {
        throw new Error(
          `PostgreSQL's data folder ${server.data} could not be made: ${String(cause)}`,
          { cause },
        );
      }
    }
  }
  await removeDrafts(server);
  return (
    await fs.readFile(password, 'utf8').catch((cause: unknown) => {
      throw new Error(
        `${password} cannot be read, and PostgreSQL's data in ${server.data} cannot be opened without it. Restore it from where the data folder is backed up.`,
        { cause },
      );
    })
  ).trim();
}

/** Removes the drafts of processes that were killed while making the data folder, or that lost to us. */
async function removeDrafts(server: Pick<Server, 'home'>): Promise<void> {
  for (const name of await fs.readdir(server.home)) {
    if (!name.startsWith('postgres-new-')) continue;
    const draft = join(server.home, name);
    await fs.rm(draft, { recursive: true, force: true, maxRetries: 3 }).catch(passIf('ENOTEMPTY'));
  }
}

export const passwordFile = (server: Pick<Server, 'home'>): string =>
  join(server.home, 'postgres-password');

/** Makes a rename in `directory` durable. */
async function sync(directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  await handle.sync().finally(() => handle.close());
}

/** The prefix that runs a command in a user namespace: not as root, though root owns its files. */
async function withoutRoot(): Promise<string[]> {
  if (process.geteuid?.() !== 0) return [];
  const prefix = ['--user', '--map-user=65534', '--map-group=65534', '--'];
  await execute('unshare', [...prefix, 'true'], { env: environment() }).catch((cause: unknown) => {
    throw new Error(
      'PostgreSQL does not run as root, since whoever breaks into it would have the machine; and the user namespace in which it would not be root was refused. Run Symbolon as another user, or set DATABASE_URL.',
      { cause },
    );
  });
  return ['unshare', ...prefix];
}

const execute = promisify(execFile);

/** Without Symbolon's own environment, which has secrets, and variables meant for another PostgreSQL. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  LC_ALL: 'C',
  TZ: 'UTC',
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The last five lines of a file. */
export async function endOf(file: string): Promise<string> {
  return (await fs.readFile(file, 'utf8')).trimEnd().split('\n').slice(-5).join('\n');
}

/** Ignores errors with one of these codes. */
export function passIf(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes((error as { code?: string }).code ?? '')) throw error;
  };
}
