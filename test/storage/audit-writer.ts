// A process that writes events in many transactions at once, which commit late and in another order than they took their
// ids. Prints the ids that it has committed. Arguments: the database's URL, connections, events of each, the name.
import pg from 'pg';

const [url = '', connections = '', count = '', name = ''] = process.argv.slice(2);
const committed: string[] = [];

async function write(): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (let left = Number(count); left > 0; left--) {
    await client.query('BEGIN');
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO audit_event (type, detail) VALUES ('sign_in', jsonb_build_object('by', $1::text)),
       ('consent', jsonb_build_object('by', $1::text)) RETURNING id`,
      [name],
    );
    await new Promise((resolve) => setTimeout(resolve, Math.random() ** 3 * 60));
    const isDone = Math.random() < 0.8;
    await client.query(isDone ? 'COMMIT' : 'ROLLBACK');
    if (isDone) committed.push(...rows.map(({ id }) => id));
  }
  await client.end();
}

await Promise.all(Array.from({ length: Number(connections) }, write));
process.stdout.write(JSON.stringify(committed));
