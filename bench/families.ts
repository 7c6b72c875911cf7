// Many families at once, for what is measured with many.
import type { Pool } from 'pg';
import { familyIdOf } from '../test/support/token-endpoint.ts';

/** Adds families like that of `token`, whose ids and secrets are their numbers. */
export async function addFamilies(
  pool: Pool,
  token: string,
  from: number,
  to: number,
): Promise<void> {
  const id = "lpad(n::text, 22, '0')";
  const like = familyIdOf(token);
  const some = 50_000; // as many as are made before a statement takes too long
  for (let start = from; start <= to; start += some) {
    const values = [like, start, Math.min(to, start + some - 1)];
    await pool.query(
      `INSERT INTO "grant" (id, account_id, client_id, payload, expires_at)
       SELECT ${id}, g.account_id, g.client_id, g.payload || jsonb_build_object('jti', ${id}), g.expires_at
       FROM generate_series($2::int, $3::int) n, refresh_family f JOIN "grant" g ON g.id = f.grant_id
       WHERE f.id = $1`,
      values,
    );
    const { rowCount } = await pool.query(
      `INSERT INTO refresh_family (id, grant_id, account_id, client_id, current_hash, payload, created_at,
                                   idle_expires_at, absolute_expires_at)
       SELECT ${id}, ${id}, account_id, client_id, sha256(convert_to(lpad(n::text, 43, '0'), 'UTF8')),
              payload || jsonb_build_object('grantId', ${id}), created_at, idle_expires_at, absolute_expires_at
       FROM generate_series($2::int, $3::int) n, refresh_family WHERE id = $1`,
      values,
    );
    if (!rowCount) throw new Error(`there is no family ${like} to be like`);
  }
  await pool.query('ANALYZE "grant", refresh_family');
  await pool.query('CHECKPOINT');
}
