// What the role may do with the tables. The one that serves need not own them, nor be able to change them: reading and
// writing rows is enough, while another one migrates.
import type { Pool } from 'pg';
import type { Inspected } from './inspect.ts';
import { identifier } from './session.ts';

/**
 * Looks whether the role may read and write all tables, so that the start says so and no request has to.
 *
 * @throws {Error} when it may not, with the GRANT to run
 */
export async function assertPrivileges(
  pool: Pool,
  { schema, role }: Pick<Inspected, 'schema' | 'role'>,
): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname <> '_prisma_migrations' AND CASE c.relkind
       WHEN 'r' THEN NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
         AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
       WHEN 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE, UPDATE') -- either will do
     END
     ORDER BY 1`,
    [schema],
  );
  if (rows.length === 0) return;
  const [place, to] = [identifier(schema), identifier(role)];
  throw new Error(
    `The role ${role} may not use ${rows.map(({ name }) => name).join(', ')}. As the tables’ owner run\n  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${place} TO ${to};\n  GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${place} TO ${to};\nand, so that tables of later versions have it too, ALTER DEFAULT PRIVILEGES (docs/operate.md, Two roles).`,
  );
}
