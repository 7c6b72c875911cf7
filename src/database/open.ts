// Opening the database: the server named by DATABASE_URL or the embedded one, migrated, behind Prisma's client.
import { PrismaPg } from '@prisma/adapter-pg';
import { Pool, type PoolConfig } from 'pg';
import type { Config } from '../config/config.ts';
import { PrismaClient } from '../generated/client.ts';
import { startEmbedded } from './embedded.ts';
import { migrate } from './migrate.ts';

export interface Database {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name; see {@link connectPrepared}. */
  readonly pool: Pool;
  /** The names of the migrations that were applied now. */
  readonly applied: readonly string[];
  readonly close: () => Promise<void>;
}

// A statement that is prepared is planned once, and the plan holds for tables that were empty then and are large by
// now: by the indexes. A plan for every execution would take longer than the execution.
const PREPARED = 'SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off';

// In milliseconds. A server that does not answer must become an honest 503 soon, not a hanging request.
const CONNECT_TIMEOUT = 5_000;
const STATEMENT_TIMEOUT = 10_000;

/**
 * Opens the database and brings its tables up to date.
 *
 * @param connections at most so many at once, for Prisma and for prepared statements each
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
    };
  } catch (error) {
    await embedded?.release();
    throw error;
  }
}

/** Connections on which a statement prepared by name is planned once, by its indexes. */
export function connectPrepared(url: string, connections = 10): Pool {
  // The pool waits for it, although its types do not say so.
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
  // A connection that breaks while nobody uses it is replaced; who uses one is told by their query.
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
