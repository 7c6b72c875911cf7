// What the database and the way to it are like, before anything is written there: the schema of the tables, and whether
// a pooler stands between, which keeps a client's connection for its session or for a transaction only.
import { randomBytes } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { DatabaseUrl } from '../config/database-url.ts';
import { HostPool } from './hosts.ts';
import { type Pooling, alterRole, identifier, prepareSession, settingsOfRole } from './session.ts';

/** What connections are called in pg_stat_activity, and those of builds before refresh tokens of the second form. */
export const APPLICATION = 'symbolon 2';
export const FORMER_APPLICATION = 'symbolon';

export interface Inspected {
  /** The schema of the tables. */
  readonly schema: string;
  readonly schemaExists: boolean;
  readonly pooling: Pooling;
  /** Whether statements that are prepared by name are there when they are executed. */
  readonly keepsStatements: boolean;
  readonly isReadOnly: boolean;
  readonly isStandby: boolean;
  readonly role: string;
  readonly database: string;
}

const CONNECT_TIMEOUT = 5; // seconds
const POOLER_TIMEOUT = 5_000; // milliseconds for a pooler to find a second connection
const ROUNDS = 3; // a pooler in transaction mode would have to give other connections this often by chance

/** A few connections for the start, prepared only as far as a pooler keeps it. The caller ends it. */
export function startPool(url: DatabaseUrl): HostPool {
  return new HostPool(url, { ...connectionOptions(url), max: 2 }, (client) =>
    prepareSession(client, { pooling: 'transaction', attributes: url.sessionAttributes }),
  );
}

/** What every connection is made with. */
export function connectionOptions({
  user,
  password,
  database,
  connectTimeout,
  parameters,
}: DatabaseUrl) {
  return {
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    ...(parameters.has('options') ? { options: parameters.get('options') } : {}),
    // Binds the password's proof to the TLS connection, where the server can.
    enableChannelBinding: /^(prefer|require)$/.test(parameters.get('channel_binding') ?? ''),
    application_name: parameters.get('application_name') ?? APPLICATION,
    connectionTimeoutMillis: (connectTimeout ?? CONNECT_TIMEOUT) * 1000,
  };
}

/**
 * Looks at the database.
 *
 * @throws {Error} when it cannot be used as it is set up: there is no schema, or the role's settings do not fit
 */
export async function inspect(url: DatabaseUrl, pool: HostPool): Promise<Inspected> {
  const client = await pool.connect();
  try {
    const [facts] = (await client.query<Facts>(FACTS)).rows;
    if (!facts) throw new Error('The database does not answer what it is like.');
    const { pid, usual, current, path, settings, schemas, ...rest } = facts;
    const schema = url.schema ?? current ?? usual;
    if (schema === null)
      throw new Error(
        `The search path of the role ${rest.role}, ${path}, names no schema that exists, so there is no place for tables. Make one (CREATE SCHEMA), or name one in DATABASE_URL: ?schema=NAME.`,
      );
    const between = await lookBetween(pool, client, pid);
    if (between.pooling === 'transaction') {
      const wrong = Object.entries(settingsOfRole)
        .filter(([name, value]) => settings[name] !== value)
        .map(([name, value]) => alterRole(rest.role, rest.database, name, `'${value}'`));
      if (schema !== (current ?? usual))
        wrong.push(alterRole(rest.role, rest.database, 'search_path', identifier(schema)));
      if (wrong.length > 0)
        throw new Error(
          `The pooler at DATABASE_URL gives each transaction another connection (transaction mode), so that settings must be the role's own. Run\n  ${wrong.join('\n  ')}\nand have the pooler connect again (PgBouncer: RECONNECT), or use its session mode.`,
        );
    }
    return { schema, schemaExists: schemas.includes(schema), ...between, ...rest };
  } finally {
    client.release(true);
  }
}

interface Facts {
  pid: number;
  role: string;
  database: string;
  /** Where there are tables of ours already. */
  current: string | null;
  /** Where tables would be made. */
  usual: string | null;
  path: string;
  schemas: string[];
  settings: Record<string, string>;
  isReadOnly: boolean;
  isStandby: boolean;
}

// The values that the role has by itself: a pooled connection may have been given others.
const FACTS = `
  SELECT pg_backend_pid() AS pid, current_user::text AS role, current_database()::text AS database,
         (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = to_regclass('_prisma_migrations')) AS current,
         current_schema()::text AS usual, current_setting('search_path') AS path,
         (SELECT array_agg(nspname::text) FROM pg_namespace) AS schemas,
         (SELECT json_object_agg(name, reset_val) FROM pg_settings
          WHERE name = ANY ('{${Object.keys(settingsOfRole).join(',')}}')) AS settings,
         current_setting('transaction_read_only') = 'on' AS "isReadOnly", pg_is_in_recovery() AS "isStandby"`;

type Between = Pick<Inspected, 'pooling' | 'keepsStatements'>;

/** @param pid of the server's process that has answered the client */
async function lookBetween(pool: HostPool, client: PoolClient, pid: number): Promise<Between> {
  // A pooler gives its clients numbers of its own.
  if ((client as { processID?: number | null }).processID === pid)
    return { pooling: 'none', keepsStatements: true };
  if (await renamesStatements(client)) return { pooling: 'transaction', keepsStatements: true };
  return (await sharesConnections(pool, client))
    ? { pooling: 'transaction', keepsStatements: false }
    : { pooling: 'session', keepsStatements: true };
}

// PgBouncer since 1.21 keeps prepared statements across connections, under names of its own.
async function renamesStatements(client: PoolClient): Promise<boolean> {
  const name = `symbolon_${randomBytes(8).toString('hex')}`;
  const text = `SELECT name FROM pg_prepared_statements WHERE statement LIKE '%${name}%'`;
  const { rows } = await client.query<{ name: string }>({ name, text });
  return rows.length > 0 && rows.every((row) => row.name !== name);
}

/** Whether two clients are answered by the same connection: never, when each keeps its own for its session. */
async function sharesConnections(pool: HostPool, client: PoolClient): Promise<boolean> {
  const pidOf = async (of: PoolClient, sql = ''): Promise<number> => {
    const answer = of.query(`${sql}SELECT pg_backend_pid() AS pid`);
    const results = [await answer].flat() as { rows: { pid: number }[] }[];
    return results.at(-1)?.rows[0]?.pid ?? 0;
  };
  const patience = AbortSignal.timeout(POOLER_TIMEOUT);
  const tooLate = new Promise<undefined>((resolve) => {
    patience.addEventListener('abort', () => {
      resolve(undefined);
    });
  });
  // A pool of one connection, taken by the first client, gives the second none.
  const other = await pool.connect();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await pidOf(client);
      const theirs = await Promise.race([pidOf(other, 'BEGIN; '), tooLate]);
      if (theirs === undefined) return false;
      if (theirs === mine) return true;
      const again = await pidOf(client);
      if (again !== mine) return true;
      await other.query('COMMIT');
    }
    return false;
  } finally {
    other.release(true);
  }
}
