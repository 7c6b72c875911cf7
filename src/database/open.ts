// Opening the database: the server named by DATABASE_URL or the embedded one, migrated, behind Prisma's client.
import { PrismaPg } from '@prisma/adapter-pg';
import { Pool } from 'pg';
import type { Config } from '../config.ts';
import { PrismaClient } from '../generated/client.ts';
import { startEmbedded } from './embedded.ts';
import { migrate } from './migrate.ts';

export interface Database {
  readonly prisma: PrismaClient;
  /** The connections that it works on. */
  readonly pool: Pool;
  /** The names of the migrations that were applied now. */
  readonly applied: readonly string[];
  readonly close: () => Promise<void>;
}

// In milliseconds. A server that does not answer must become an honest 503 soon, not a hanging request.
const CONNECT_TIMEOUT = 5_000;
const STATEMENT_TIMEOUT = 10_000;

/**
 * Opens the database and brings its tables up to date.
 *
 * @param connections at most so many at once
 */
export async function openDatabase(
  { databaseUrl, dataDir }: Pick<Config, 'databaseUrl' | 'dataDir'>,
  connections = 10,
): Promise<Database> {
  const embedded = databaseUrl === undefined ? await startEmbedded(dataDir) : undefined;
  const url = databaseUrl ?? embedded?.url ?? '';
  try {
    const applied = await migrate(url);
    const pool = connectPool(url, connections);
    const prisma = connect(pool);
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

/** A pool of connections to this URL. */
export function connectPool(url: string, connections = 10): Pool {
  const pool = new Pool({
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

/** Prisma's client on a pool, or on one of its own to this URL. */
export function connect(to: Pool | string): PrismaClient {
  const isOwn = typeof to === 'string';
  const pool = isOwn ? connectPool(to) : to;
  return new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: isOwn }),
    transactionOptions: { maxWait: CONNECT_TIMEOUT, timeout: STATEMENT_TIMEOUT },
  });
}
