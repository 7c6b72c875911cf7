// `npm run migration -- NAME` writes the migration from prisma/migrations/schema.prisma, which is what the
// migrations make, to prisma/schema.prisma, and then copies the one over the other. (Prisma's engine would
// rather read the database that the migrations make; it cannot read PostgreSQL 18's catalog through
// @prisma/adapter-pg. test/database/schema.test.ts compares the databases instead.)
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import { SchemaEngine } from '@prisma/schema-engine-wasm';
import { Pool } from 'pg';
import { startEmbedded } from '../src/database/embedded.ts';

const MIGRATIONS = join(import.meta.dirname, '../prisma/migrations');
/** A schema without tables. (Prisma's own "empty" is without `public` too, and making that needs rights.) */
export const EMPTY = 'datasource db {\n  provider = "postgresql"\n}\n';
/** What the tables shall be. */
export const SCHEMA = join(import.meta.dirname, '../prisma/schema.prisma');
/** What the migrations make of them. */
export const MIGRATED = join(MIGRATIONS, 'schema.prisma');

/**
 * The SQL that leads from one Prisma schema (a file's content) to another; empty when there is no
 * difference. The engine wants a PostgreSQL at `url`, but changes nothing there.
 */
export async function compare(url: string, from: string, to: string): Promise<string> {
  const schema = (content: string) => ({
    tag: 'schemaDatamodel' as const,
    files: [{ path: 'schema.prisma', content }],
  });
  const { exitCode, stdout } = await withSchemaEngine(url, (engine) =>
    engine.diff({
      from: schema(from),
      to: schema(to),
      script: true,
      exitCode: true, // 2 when there is a difference
      filters: { externalTables: [], externalEnums: [] },
    }),
  );
  return exitCode === 2 ? (stdout ?? '') : '';
}

/** Lends Prisma's schema engine, connected to the PostgreSQL at `url`. */
export async function withSchemaEngine<Result>(
  url: string,
  use: (engine: SchemaEngine) => Promise<Result>,
): Promise<Result> {
  const pool = new Pool({ connectionString: url });
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg(pool));
  const engine = await SchemaEngine.new({ datamodels: undefined }, () => undefined, adapter);
  try {
    return await use(engine);
  } finally {
    engine.free();
    await pool.end();
  }
}

async function writeMigration(name: string | undefined): Promise<string> {
  if (!name || !/^[a-z][a-z0-9_]*$/.test(name)) {
    throw new Error('Name the migration, in a-z, 0-9 and _: npm run migration -- add_passkeys');
  }
  await mkdir(MIGRATIONS, { recursive: true });
  const entries = await readdir(MIGRATIONS, { withFileTypes: true });
  const isFirst = !entries.some((entry) => entry.isDirectory());
  const from = isFirst ? EMPTY : await readFile(MIGRATED, 'utf8');

  const temporary = await mkdtemp(join(tmpdir(), 'symbolon-migration-'));
  const database = await startEmbedded(temporary);
  const sql = await compare(database.url, from, await readFile(SCHEMA, 'utf8')).finally(
    async () => {
      await database.release();
      await rm(temporary, { recursive: true });
    },
  );
  if (!sql)
    throw new Error('Nothing to migrate: the migrations make prisma/schema.prisma already.');

  const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = join(MIGRATIONS, `${timestamp}_${name}`);
  await mkdir(folder);
  await writeFile(join(folder, 'migration.sql'), sql);
  await writeFile(join(MIGRATIONS, 'migration_lock.toml'), 'provider = "postgresql"\n');
  await copyFile(SCHEMA, MIGRATED);
  return folder;
}

if (import.meta.main) {
  await writeMigration(process.argv[2]).then(
    (folder) => {
      console.log(`Wrote ${folder}: read it before you commit it.`);
    },
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    },
  );
}
