// Migrates a database: applies the SQL of prisma/migrations, each migration once, in the order of their names.
// Invariant: a migration and its row in _prisma_migrations, the table of Prisma's own `migrate deploy` and `migrate
// status`, are committed together or not at all.
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClientBase, DatabaseError, type Pool } from 'pg';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { type Inspected, inspect, startPool } from './inspect.ts';
import { locks } from './locks.ts';
import { identifier, transactionSettings } from './session.ts';

const MIGRATIONS = join(import.meta.dirname, '../../prisma/migrations');

const TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;

type Migration = { name: string; sql: string; checksum: string };

type Recorded = { migration_name: string; checksum: string; finished: boolean };

/**
 * Applies the migrations in `directory` (default: Symbolon's own) that the database at `url` (a postgresql:// URL) does
 * not have yet. Processes that start together wait for each other.
 *
 * @returns the names of the migrations that were just applied, in their order
 * @throws {Error} as {@link applyMigrations}
 */
export async function migrate(url: string, directory = MIGRATIONS): Promise<string[]> {
  const parsed = parseDatabaseUrl(url);
  const pool = startPool(parsed);
  try {
    return await applyMigrations(pool, await inspect(parsed, pool), directory);
  } finally {
    await pool.end();
  }
}

type Place = Pick<Inspected, 'schema' | 'schemaExists'>;

/**
 * The same on a pool of {@link startPool}.
 *
 * @throws {Error} when a migration fails, which then leaves nothing behind; and before any is applied, when the
 * database does not agree with the files: a migration was changed after it was applied, is recorded as failed, or is
 * only known to a newer Symbolon
 */
export async function applyMigrations(
  pool: Pool,
  { schema, schemaExists }: Place,
  directory = MIGRATIONS,
): Promise<string[]> {
  const migrations = await read(directory);
  const applied: string[] = [];
  const client = await pool.connect();
  client.on('error', () => undefined); // The query that needs the connection reports it.
  try {
    if (!schemaExists) await client.query(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`);
    for (;;) {
      const name = await applyNext(client, schema, migrations);
      if (name === undefined) return applied;
      applied.push(name);
    }
  } finally {
    client.release(true);
  }
}

/**
 * Looks whether the database has every migration, and changes nothing.
 *
 * @returns no names
 * @throws {Error} when it has not, or has others
 */
export async function assertUpToDate(
  pool: Pool,
  { schema }: Place,
  directory = MIGRATIONS,
): Promise<[]> {
  const migrations = await read(directory);
  const client = await pool.connect();
  try {
    await client.query(`BEGIN; ${transactionSettings(schema)}`);
    const rows = (await isMade(client)) ? await recorded(client) : undefined;
    await client.query('COMMIT');
    const missing = pending(rows ?? [], migrations).length;
    if (rows && missing === 0) return [];
    throw new Error(
      rows
        ? `The database is older than this version of Symbolon: it lacks ${missing} of ${migrations.length} migrations, and only the provider's start and \`symbolon migrate\` apply them. Use the version that runs on it; or stop that one where CHANGELOG.md says so, and then run \`symbolon migrate\` or start this one.`
        : 'The database has no tables yet. Start the provider, or run `symbolon migrate`.',
    );
  } finally {
    client.release(true);
  }
}

/**
 * Applies the first migration that the database does not have; undefined when it has all. The lock, and the settings of
 * the session, end with the transaction, so that nothing is left behind and connection poolers do no harm.
 */
async function applyNext(
  client: ClientBase,
  schema: string,
  migrations: Migration[],
): Promise<string | undefined> {
  await client.query('BEGIN');
  try {
    await client.query(transactionSettings(schema));
    await client.query('SELECT pg_advisory_xact_lock($1)', [locks.migrating]);
    if (!(await isMade(client))) await client.query(TABLE);
    const [next] = pending(await recorded(client), migrations);
    if (next) await apply(client, next);
    await client.query('COMMIT');
    return next?.name;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function isMade(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ made: boolean }>(
    "SELECT to_regclass('_prisma_migrations') IS NOT NULL AS made",
  );
  return rows[0]?.made === true;
}

async function read(directory: string): Promise<Migration[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(directory, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function recorded(client: ClientBase): Promise<Recorded[]> {
  const { rows } = await client.query<Recorded>(
    'SELECT migration_name, checksum, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  );
  return rows;
}

/**
 * The migrations that the database does not have, in their order.
 *
 * @throws {Error} when the database does not agree with the files
 */
function pending(rows: readonly Recorded[], migrations: Migration[]): Migration[] {
  for (const { migration_name: name, checksum, finished } of rows) {
    const migration = migrations.find((candidate) => candidate.name === name);
    if (!migration) {
      throw new Error(
        `The database has the migration ${name}, which this version does not know: a newer Symbolon has run on it. Run that version, or restore the backup from before it.`,
      );
    }
    if (!finished) {
      throw new Error(
        `The migration ${name} has failed on this database. Mend the tables, then tell Prisma: npx prisma migrate resolve --applied ${name}, or --rolled-back ${name} to have it applied again.`,
      );
    }
    if (checksum !== migration.checksum) {
      throw new Error(
        `prisma/migrations/${name}/migration.sql has changed since it was applied to this database. Restore the file, and put the change into a new migration (npm run migration).`,
      );
    }
  }
  const applied = new Set(rows.map((row) => row.migration_name));
  return migrations.filter(({ name }) => !applied.has(name));
}

async function apply(client: ClientBase, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await client.query(sql);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof DatabaseError && cause.code === '42501')
      throw new Error(
        `The database is older than this version of Symbolon, and the role at DATABASE_URL may not change its tables (${reason}). Run \`symbolon migrate\` with the role that owns them, then start this one.`,
        { cause },
      );
    throw new Error(
      `The migration ${name} failed, and nothing of it was kept: ${reason}. The version of Symbolon that ran before goes on running; report this.`,
      { cause },
    );
  }
  await client.query(
    `INSERT INTO _prisma_migrations
       (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, now(), clock_timestamp(), 1)`,
    [randomUUID(), checksum, name],
  );
}
