// All that is in a database, as values that can be compared.
import type pg from 'pg';

export type Row = Readonly<Record<string, unknown>>;

/** The rows of each table, in an order of their own. */
export type Rows = Readonly<Record<string, readonly Row[]>>;

export async function rowsOf(client: pg.Client): Promise<Rows> {
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_%'`,
  );
  const all = tables.map(
    ({ name }) => `SELECT '${name}' AS name,
      (SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)::text), '[]') FROM "${name}" t) AS rows`,
  );
  const { rows } = await client.query<{ name: string; rows: Row[] }>(all.join(' UNION ALL '));
  return Object.fromEntries(rows.map((table) => [table.name, table.rows]));
}

/** Has these rows in the database, and no others. */
export async function restoreRows(client: pg.Client, rows: Rows): Promise<void> {
  await client.query('BEGIN');
  await client.query('SET LOCAL session_replication_role = replica'); // without triggers, and in any order
  for (const [name, kept] of Object.entries(rows)) {
    await client.query(`DELETE FROM "${name}"`);
    const all = `INSERT INTO "${name}" SELECT * FROM jsonb_populate_recordset(NULL::"${name}", $1)`;
    await client.query(all, [JSON.stringify(kept)]);
  }
  await client.query('COMMIT');
}
