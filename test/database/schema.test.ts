// The migrations make exactly what prisma/schema.prisma says: proved on two databases, one made by the
// migrations and one that Prisma's engine makes of the schema, which have the same catalog.
import { readFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compare, EMPTY, MIGRATED, SCHEMA } from '../../scripts/migration.ts';
import { startEmbedded, type Embedded } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrate.ts';
import { databaseOn, makeFolder, query } from './processes.ts';

let folder: string;
let embedded: Embedded;

beforeAll(async () => {
  folder = await makeFolder();
  embedded = await startEmbedded(folder);
});

afterAll(async () => {
  await embedded.release();
  await rm(folder, { recursive: true });
});

/** All that is in a database's tables, as PostgreSQL describes it, one line each. */
async function catalog(url: string): Promise<string[]> {
  const rows = await query<{ line: string }>(
    url,
    `WITH tables AS (
       SELECT c.oid, c.relname, c.relkind, c.reloptions FROM pg_class c
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'I')
         AND c.relname NOT LIKE '\\_prisma\\_migrations%'
     )
     SELECT concat_ws(' ', relkind, relname, reloptions::text) AS line FROM tables
     UNION ALL
     SELECT concat_ws(' ', 'column', relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN 'not null' END, pg_get_expr(d.adbin, d.adrelid),
              nullif(a.attidentity, ''), nullif(a.attgenerated, ''), a.attcollation::regcollation)
       FROM tables JOIN pg_attribute a ON a.attrelid = tables.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     UNION ALL
     SELECT concat_ws(' ', 'constraint', relname, conname, pg_get_constraintdef(c.oid))
       FROM tables JOIN pg_constraint c ON c.conrelid = tables.oid
     UNION ALL
     SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid))
       FROM tables JOIN pg_index i ON i.indrelid = tables.oid
     UNION ALL
     SELECT concat_ws(' ', 'trigger', relname, pg_get_triggerdef(t.oid))
       FROM tables JOIN pg_trigger t ON t.tgrelid = tables.oid AND NOT t.tgisinternal
     UNION ALL
     SELECT concat_ws(' ', 'type', typname, enumlabel)
       FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
     UNION ALL
     SELECT concat_ws(' ', 'function', p.oid::regprocedure)
       FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace`,
  );
  return rows.map((row) => row.line).sort();
}

test('the migrations make prisma/schema.prisma', async () => {
  const migrated = await databaseOn(embedded.url);
  expect(await migrate(migrated)).not.toEqual([]);
  const made = await databaseOn(embedded.url);
  await query(made, await compare(made, EMPTY, await readFile(SCHEMA, 'utf8')));

  const lines = await catalog(migrated);
  expect(lines).toEqual(await catalog(made));
  expect(lines).toContainEqual(expect.stringMatching(/^column account email text not null/));
  expect(lines).toContainEqual(
    expect.stringMatching(/^constraint grant grant_client_id_fkey FOREIGN/),
  );
  expect(lines).toContainEqual(
    expect.stringMatching(/^index CREATE UNIQUE INDEX account_email_key/),
  );
});

test('no change of the schema is without its migration', async () => {
  const [from, to] = [await readFile(MIGRATED, 'utf8'), await readFile(SCHEMA, 'utf8')];
  expect(await compare(embedded.url, from, to)).toBe('');
  const changed = to.replace('model Client {', 'model Client {\n  note String?');
  expect(await compare(embedded.url, from, changed)).toContain('ADD COLUMN     "note" TEXT');
});
