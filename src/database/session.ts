// What a connection to the database is like, whatever the server's, the database's or the role's defaults are: its
// settings, and the schema of the tables. Each connection gets them once, when it is made. A pooler in transaction mode
// gives each transaction another connection: there, what we set would not stay but reach other clients of the role, so
// only what such poolers keep with the client is set, and the rest must be the role's.
import type { ClientBase } from 'pg';
import type { SessionAttributes } from '../config/database-url.ts';
import { WrongServer } from './hosts.ts';

/** How the server, or the pooler before it, keeps what a connection was given. */
export type Pooling = 'none' | 'session' | 'transaction';

// Milliseconds. When the server does not answer, a request must soon get a 503 instead of hanging.
export const STATEMENT_TIMEOUT = 10_000;

// The drivers read and write texts in these forms only; Prisma's takes every time for UTC. PgBouncer keeps these with
// its client.
const tracked = {
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

// Whoever waits for a lock must see, when it is their turn, what the one before has written.
const wanted = { bytea_output: 'hex', default_transaction_isolation: 'read committed' };

const forms = { ...tracked, ...wanted, IntervalStyle: 'postgres', extra_float_digits: '1' };

// The time-outs of a role are meant for people. Some exist in newer versions only.
const timeouts = {
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
};

// A prepared statement is planned once. Its plan must use the indexes, since tables that are empty then become large.
// Planning every execution would take longer than the execution.
const planned = { plan_cache_mode: 'force_generic_plan', enable_seqscan: 'off' };

type Settings = Readonly<Record<string, string>>;

/** The settings of a transaction of ours on any connection, to be sent behind BEGIN. @param schema of the tables */
export function transactionSettings(schema: string): string {
  const isolation = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED';
  const settings = { ...forms, ...timeouts, statement_timeout: '0' };
  return `${isolation}; SELECT ${setAll({ ...settings, ...only(schema) }, true)}`;
}

interface SessionOptions {
  readonly pooling: Pooling;
  /** The schema of the tables; not set: whatever the role's search path says. */
  readonly schema?: string | undefined;
  /** Whether the connection is for statements that are prepared by name. */
  readonly isPlanned?: boolean;
  readonly attributes: SessionAttributes;
}

/**
 * Prepares a new connection.
 *
 * @throws {WrongServer} when the server is not what the URL asks for
 */
export async function prepareSession(client: ClientBase, options: SessionOptions): Promise<void> {
  const { pooling, schema, isPlanned = false, attributes } = options;
  const settings: Settings =
    pooling === 'transaction'
      ? tracked
      : {
          ...forms,
          ...timeouts,
          statement_timeout: String(STATEMENT_TIMEOUT),
          ...(isPlanned ? planned : {}),
          ...(schema === undefined ? {} : only(schema)),
        };
  const { rows } = await client.query<{ readOnly: boolean; standby: boolean }>(`
    SELECT current_setting('transaction_read_only') = 'on' AS "readOnly", pg_is_in_recovery() AS standby,
           ${setAll(settings, false)}`);
  const [{ readOnly, standby } = { readOnly: true, standby: true }] = rows;
  if ((attributes === 'read-write' && readOnly) || (attributes === 'primary' && standby))
    throw new WrongServer(standby ? 'it is a standby' : 'it is read-only');
}

/** Settings that a role must have by itself behind a pooler in transaction mode, with the values that are needed. */
export const settingsOfRole: Settings = wanted;

/** SQL that changes a role's setting. */
export function alterRole(role: string, database: string, setting: string, value: string): string {
  return `ALTER ROLE ${identifier(role)} IN DATABASE ${identifier(database)} SET ${setting} = ${value};`;
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  // Also where standard_conforming_strings is off.
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

// Only our own schema: whatever else is found by name is PostgreSQL's.
const only = (schema: string): Settings => ({ search_path: identifier(schema) });

function setAll(settings: Settings, isLocal: boolean): string {
  return Object.entries(settings)
    .map(([name, value]) => {
      const set = `set_config('${name}', ${literal(value)}, ${String(isLocal)})`;
      return name in timeouts
        ? `CASE WHEN current_setting('${name}', true) IS NOT NULL THEN ${set} END`
        : set;
    })
    .join(', ');
}
