// Opens the database: the server named by DATABASE_URL or the embedded one, with Prisma's client. Only the provider's
// start and the command `migrate` bring its tables up to date: other commands of a new build must not change what an old
// one, which still runs, works on.
import { PrismaPg } from '@prisma/adapter-pg';
import type { Pool } from 'pg';
import type { Config } from '../config/config.ts';
import { type DatabaseUrl, parseDatabaseUrl } from '../config/database-url.ts';
import { PrismaClient } from '../generated/client.ts';
import { startEmbedded } from './embedded.ts';
import { explained } from './explain.ts';
import { HostPool } from './hosts.ts';
import { type Inspected, connectionOptions, inspect, startPool } from './inspect.ts';
import { applyMigrations, assertUpToDate } from './migrate.ts';
import { assertPrivileges } from './privileges.ts';
import { STATEMENT_TIMEOUT, prepareSession } from './session.ts';

export interface Database {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name, made by {@link connectPrepared}. */
  readonly pool: Pool;
  /** The names of the migrations that were just applied. */
  readonly applied: readonly string[];
  /** What an operator should know of the way to the database, in a sentence. */
  readonly remark: string | undefined;
  readonly close: () => Promise<void>;
  /** Ends the use of an embedded PostgreSQL without waiting for queries, which fail then. */
  readonly release: () => Promise<void>;
}

/** `apply` brings the tables up to date; `expect` throws when they are not. */
export type Migrations = 'apply' | 'expect';

const MAX_WAIT = 5_000; // milliseconds for a connection, when all are in use

type Session = Pick<Inspected, 'schema' | 'pooling' | 'keepsStatements'>;

interface PoolOptions {
  /** At most this many. */
  readonly connections?: number;
  /** Not set: the server is reached without a pooler, and the tables are in `public`. */
  readonly session?: Session;
}

/**
 * Opens the database.
 *
 * @param options.connections at most this many, for Prisma and for prepared statements each
 * @throws {Error} when it cannot be reached or used, saying why, and when its tables are not those of this build
 */
export async function openDatabase(
  { databaseUrl, dataDir }: Pick<Config, 'databaseUrl' | 'dataDir'>,
  {
    connections = 10,
    migrations = 'apply',
  }: { connections?: number; migrations?: Migrations } = {},
): Promise<Database> {
  const embedded = databaseUrl === undefined ? await startEmbedded(dataDir) : undefined;
  const url = databaseUrl ?? embedded?.url ?? '';
  try {
    const { applied, session } = await prepareDatabase(parseDatabaseUrl(url), migrations);
    const pool = connectPrepared(url, { connections, session });
    const prisma = connect(url, { connections, session });
    return {
      prisma,
      pool,
      applied,
      remark: session.keepsStatements ? undefined : FORGETS,
      async close() {
        await prisma.$disconnect();
        await pool.end();
        await embedded?.release();
      },
      async release() {
        await embedded?.release();
      },
    };
  } catch (error) {
    await embedded?.release();
    throw error;
  }
}

const FORGETS =
  'The pooler at DATABASE_URL is in transaction mode and does not keep prepared statements (PgBouncer does since 1.21, with max_prepared_statements above 0): every statement is parsed and planned anew, which is slower.';

async function prepareDatabase(
  url: DatabaseUrl,
  migrations: Migrations,
): Promise<{ applied: string[]; session: Session }> {
  const pool = startPool(url);
  try {
    const session = await inspect(url, pool);
    if (migrations === 'apply' && session.isReadOnly)
      throw new Error(
        session.isStandby
          ? 'The PostgreSQL at DATABASE_URL is a standby, which cannot be written. Name the primary, or all hosts: postgresql://user:password@host1,host2/database.'
          : `The database at DATABASE_URL is read-only (default_transaction_read_only is on for the server, the database ${session.database} or the role ${session.role}). Find out who has set it and why, since a full disk is a reason; then switch it off.`,
      );
    const applied =
      migrations === 'apply'
        ? await applyMigrations(pool, session)
        : await assertUpToDate(pool, session);
    await assertPrivileges(pool, session);
    return { applied, session };
  } catch (error) {
    throw explained(error, url, pool.failures);
  } finally {
    await pool.end();
  }
}

/** A pool on which statements prepared by name are planned once, using indexes. */
export function connectPrepared(url: string, options: PoolOptions = {}): Pool {
  return connectPool(url, options, { isPlanned: true });
}

/** Prisma's client, on connections of its own. */
export function connect(url: string, options: PoolOptions = {}): PrismaClient {
  const { schema } = options.session ?? { schema: 'public' };
  const pool = connectPool(url, options, { isPlanned: false });
  return new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: true, schema }),
    transactionOptions: { maxWait: MAX_WAIT, timeout: STATEMENT_TIMEOUT },
  });
}

function connectPool(
  text: string,
  { connections = 10, session }: PoolOptions,
  { isPlanned }: { isPlanned: boolean },
): Pool {
  const url = parseDatabaseUrl(text);
  const { pooling = 'none', keepsStatements = true, schema } = session ?? {};
  return new HostPool(
    url,
    {
      ...connectionOptions(url),
      max: connections,
      query_timeout: STATEMENT_TIMEOUT + 1_000,
      named: keepsStatements,
    },
    (client) =>
      prepareSession(client, { pooling, schema, isPlanned, attributes: url.sessionAttributes }),
  );
}
