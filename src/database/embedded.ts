// The embedded PostgreSQL: a real server in the data folder, used when there is no DATABASE_URL. It is a daemon that
// Symbolon's processes share: the first process starts it, the last one stops it. Invariant: a server that a process
// still uses is never stopped (an advisory lock, held while using it).
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { locks } from './locks.ts';
import {
  LOCKED,
  PATIENCE,
  type Server,
  endOf,
  hasExited,
  launch,
  passIf,
  passwordFile,
  prepare,
  readPostmaster,
  stop,
} from './postgres.ts';

export interface Embedded {
  /** The postgresql:// URL of the database `symbolon`. It contains the password: do not log it. */
  readonly url: string;
  /** Ends this process's use, and stops the server if no other process uses it. May be called again. */
  readonly release: () => Promise<void>;
}

const LAUNCHES = 3;

/**
 * Starts using the embedded PostgreSQL in `directory`, which is created if missing (mode 0700): connects to the server
 * that already runs there, or makes its data and starts it on 127.0.0.1.
 *
 * @throws {Error} when the platform's package is missing, when PostgreSQL cannot run (as root without user namespaces,
 * or for a reason in its log), or when it does not answer within a minute
 */
export async function startEmbedded(directory: string): Promise<Embedded> {
  const server = await prepare(directory);
  const { client, port } = await use(server);
  let holding = client;
  let released: Promise<void> | undefined;
  const isReleased = () => released !== undefined;

  const keep = (held: Client): void => {
    holding = held;
    held.once('end', () => void holdAgain());
  };
  // A server that has restarted after a crash has lost the locks of its users.
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

/** Connects to the server that runs on the data folder. Starts one if there is none. */
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
      // A launch may fail because another process was first, or because the port was taken meanwhile: it is tried
      // again.
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
 * A connection that counts as a use of the server.
 *
 * @returns undefined when there is no server, or it is starting or stopping
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
    options: '-c lock_timeout=5s', // instead of PGOPTIONS, which is meant for another server
  });
  client.on('error', () => undefined); // The server has gone: the next query reports it.
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock_shared($1)', [locks.usingServer]);
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = 'symbolon'");
    if (rowCount === 0)
      await client.query('CREATE DATABASE symbolon').catch(passIf('42P04', '23505'));
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    // 57P: the server starts or stops; 55P03: its last user is about to stop it.
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
    // The exclusive lock is held until the server has stopped. New processes wait for it, and start the server again.
    if (await isLast(client)) await stop(server);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function isLast(client: Client): Promise<boolean> {
  try {
    await client.query('SELECT pg_advisory_unlock_shared($1)', [locks.usingServer]);
    const tried = 'SELECT pg_try_advisory_lock($1) AS last';
    return (
      (await client.query<{ last: boolean }>(tried, [locks.usingServer])).rows[0]?.last === true
    );
  } catch {
    return false; // The server has gone already.
  }
}
