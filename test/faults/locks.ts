// How the tests of this folder make a race happen instead of hoping for it: a connection of their own holds a lock,
// they wait until PostgreSQL says who waits behind it, and let go. Nothing here sleeps to synchronise.
import { setImmediate as yieldNow } from 'node:timers/promises';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { familyIdOf } from '../support/token-endpoint.ts';

export const LONG = process.env['TEST_LONG'] !== undefined;

/** How often something is done: `TEST_ROUNDS=0.1` does a tenth of it, `TEST_LONG=1` ten times as much. */
export function rounds(usually: number): number {
  const factor = Number(process.env['TEST_ROUNDS'] ?? (LONG ? 10 : 1));
  return Math.max(1, Math.ceil(usually * factor));
}

/** A connection to this database that ends with the test, and with it every lock that it holds. */
export async function connection(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'test' });
  client.on('error', () => undefined); // its backend may be terminated by a test
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

export interface Hold {
  /** The one that holds; it may look around meanwhile. */
  readonly holder: pg.Client;
  release(): Promise<unknown>;
}

/** Runs a statement that takes a lock, and keeps it until it is released or the test has finished. */
export async function hold(url: string, sql: string, values: unknown[] = []): Promise<Hold> {
  const holder = await connection(url);
  await holder.query('BEGIN');
  await holder.query(sql, values);
  return { holder, release: () => holder.query('ROLLBACK') };
}

export const holdFamily = (url: string, token: string): Promise<Hold> =>
  hold(url, 'SELECT FROM refresh_family WHERE id = $1 FOR UPDATE', [familyIdOf(token)]);

/** The server's processes that wait for a lock in this connection's database. */
export async function waiting(client: pg.Client): Promise<number[]> {
  await client.query('SELECT pg_stat_clear_snapshot()'); // a transaction sees the activity of its first look
  const { rows } = await client.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
  );
  return rows.map(({ pid }) => pid);
}

/** Waits until so many wait for a lock. */
export function queued(client: pg.Client, count: number): Promise<void> {
  return until(
    async () => (await waiting(client)).length >= count,
    `${count} sessions wait for a lock`,
  );
}

/** Waits for a condition, five minutes at most: a hang. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 300_000; Date.now() < deadline;) {
    if (await condition()) return;
    await yieldNow();
  }
  throw new Error(`it did not come about that ${what}`);
}

/** How many deadlocks PostgreSQL has broken up in this database; exact once its other sessions have ended. */
export async function deadlocks(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ deadlocks: string }>(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  );
  return Number(rows[0]?.deadlocks);
}
