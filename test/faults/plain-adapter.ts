// An adapter as one would write it first: every call is a query of its own, every token a row. It is here to show
// what goes wrong with it.
import type { Adapter, AdapterPayload } from 'oidc-provider';
import pg from 'pg';

export async function createPlainAdapter(url: string) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  pool.on('error', () => undefined); // the database may be dropped before the last connection has closed
  await pool.query(
    'CREATE TABLE plain (model text, id text, grant_id text, payload jsonb, consumed bigint, PRIMARY KEY (model, id))',
  );
  const adapter = (
    model: string,
    clients: (id: string) => Promise<AdapterPayload | undefined>,
  ): Adapter => ({
    async find(id) {
      if (model === 'Client') return clients(id);
      const { rows } = await pool.query<{ payload: AdapterPayload; consumed: string | null }>(
        'SELECT payload, consumed FROM plain WHERE model = $1 AND id = $2',
        [model, id],
      );
      const [row] = rows;
      if (!row) return undefined;
      return row.consumed === null
        ? row.payload
        : { ...row.payload, consumed: Number(row.consumed) };
    },
    async upsert(id, payload) {
      await pool.query(
        'INSERT INTO plain (model, id, grant_id, payload) VALUES ($1, $2, $3, $4) ON CONFLICT (model, id) DO UPDATE SET payload = $4',
        [model, id, payload.grantId ?? null, payload],
      );
    },
    async consume(id) {
      await pool.query('UPDATE plain SET consumed = 1 WHERE model = $1 AND id = $2', [model, id]);
    },
    async destroy(id) {
      await pool.query('DELETE FROM plain WHERE model = $1 AND id = $2', [model, id]);
    },
    async revokeByGrantId(grantId) {
      await pool.query('DELETE FROM plain WHERE model = $1 AND grant_id = $2', [model, grantId]);
    },
    findByUid: () => Promise.resolve(undefined),
    findByUserCode: () => Promise.resolve(undefined),
  });
  return { adapter, end: () => pool.end() };
}
