// Opens the database: the server named by DATABASE_URL or the embedded one, migrated, with Prisma's client.
import { PrismaPg } from '@prisma/adapter-pg';
import { Pool, type PoolConfig } from 'pg';
import type { Config } from '../config/config.ts';
import { PrismaClient } from '../generated/client.ts';
import { startEmbedded } from './embedded.ts';
import { migrate } from './migrate.ts';

export interface Database {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name, made by {@link connectPrepared}. */
  readonly pool: Pool;
  /** The names of the migrations that were just applied. */
  readonly applied: readonly string[];
  readonly close: () => Promise<void>;
  /** Ends the use of an embedded PostgreSQL without waiting for queries, which fail then. */
  readonly release: () => Promise<void>;
}

// A prepared statement is planned once. Its plan must use the indexes, since tables that are empty then become large.
// Planning every execution would take longer than the execution.
const PREPARED = 'SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off';

// Milliseconds. When the server does not answer, a request must soon get a 503 instead of hanging.
const CONNECT_TIMEOUT = 5_000;
const STATEMENT_TIMEOUT = 10_000;

/**
 * Opens the database and brings its tables up to date.
 *
 * @param connections at most this many, for Prisma and for prepared statements each
 */
export async function openDatabase(
  { databaseUrl, dataDir }: Pick<Config, 'databaseUrl' | 'dataDir'>,
  connections = 10,
): Promise<Database> {
  const embedded = databaseUrl === undefined ? await startEmbedded(dataDir) : undefined;
  const url = databaseUrl ?? embedded?.url ?? '';
  try {
    const applied = await migrate(url);
    const pool = connectPrepared(url, connections);
    const prisma = connect(url, connections);
    return {
      prisma,
      pool,
      applied,
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

/** A pool on which statements prepared by name are planned once, using indexes. */
export function connectPrepared(url: string, connections = 10): Pool {
  // The pool awaits it, although its types do not say so.
  const onConnect = ((client) => client.query(PREPARED)) as PoolConfig['onConnect'];
  return connectPool(url, connections, { onConnect });
}

function connectPool(url: string, connections: number, more: PoolConfig = {}): Pool {
  const pool = new Pool({
    ...more,
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: STATEMENT_TIMEOUT,
    query_timeout: STATEMENT_TIMEOUT + 1_000,
    application_name: 'symbolon',
  });
  // An idle connection that breaks is replaced; on a used one the query reports it.
  pool.on('error', () => undefined);
  return pool;
}

/** Prisma's client, on connections of its own. */
export function connect(url: string, connections = 10): PrismaClient {
  return new PrismaClient({
    adapter: new PrismaPg(connectPool(url, connections), { disposeExternalPool: true }),
    transactionOptions: { maxWait: CONNECT_TIMEOUT, timeout: STATEMENT_TIMEOUT },
  });
}
