// npm run bench:cost: what one operation costs the primary (rows, bytes of log, CPU), and what the sweep costs beside
// refreshing, against dropping partitions. docs/scale.md has the figures. Takes about four minutes.
import { Pool } from 'pg';
import { readConfig } from '../src/config/config.ts';
import { backlog, sweep } from '../src/database/sweep.ts';
import { startEmbedded } from '../src/database/embedded.ts';
import { openStorage } from '../src/storage/open.ts';
import { addFamilies } from './families.ts';
import { type Prepare, workloads } from './workloads.ts';
import { measure } from './measure.ts';
import { form, refreshing } from './requests.ts';
import { authorization } from './settings.ts';
import { startSymbolon } from './subjects.ts';

const FAMILIES = 300_000;
const EXPIRED = 500_000;
const CONNECTIONS = 8;
const DURATION = 6_000; // milliseconds

const tables = [
  'account',
  'grant',
  'refresh_family',
  'artifact',
  'audit_event',
  'delivery',
  'attempt',
];

const symbolon = await startSymbolon();
const settings = { SYMBOLON_DATA_DIR: symbolon.dataDir, LOG_LEVEL: 'warn', NODE_ENV: 'production' };
const { storage, close } = await openStorage(readConfig(settings), 'apply');
// A connection without our time-outs.
const embedded = await startEmbedded(symbolon.dataDir);
const pool = new Pool({ connectionString: embedded.url, max: 2 });

async function one<Row>(sql: string, values: unknown[] = []): Promise<Row> {
  const { rows } = await pool.query<Record<string, unknown>>(sql, values);
  return rows[0] as Row;
}

/** Where the log ends, in bytes. */
const logEnd = async () =>
  (
    await one<{ bytes: number }>(
      `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes`,
    )
  ).bytes;

/** The bytes of log that are written meanwhile. */
async function logOf(work: () => Promise<unknown>): Promise<number> {
  const before = await logEnd();
  await work();
  return (await logEnd()) - before;
}

async function configure(values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values))
    await pool.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  await pool.query('SELECT pg_reload_conf()');
}

async function rowsOf(): Promise<Record<string, number>> {
  const counted = await one<Record<string, string>>(
    `SELECT ${tables.map((name) => `(SELECT count(*) FROM "${name}") AS "${name}"`).join(', ')}`,
  );
  return Object.fromEntries(tables.map((name) => [name, Number(counted[name])]));
}

/** One workload. */
async function cost(name: string, prepare: Prepare): Promise<void> {
  let operations = 0;
  const look = async () => ({ rows: await rowsOf(), end: await logEnd() });
  let begun: ReturnType<typeof look> | undefined; // once all is prepared
  const counted: Prepare = async (...args) => {
    const operation = await prepare(...args);
    return (
      operation &&
      (async () => {
        await (begun ??= look());
        const goesOn = await operation();
        if (goesOn) operations++;
        return goesOn;
      })
    );
  };
  const measured = await measure(symbolon, counted, CONNECTIONS, DURATION);
  const [before, after] = [await begun, await look()];
  const rows = tables
    .map(
      (table) =>
        [table, ((after.rows[table] ?? 0) - (before?.rows[table] ?? 0)) / operations] as const,
    )
    .filter(([, count]) => count > 0.01)
    .map(([table, count]) => `${table} ${count.toFixed(2)}`);
  console.log(
    `${name.padEnd(14)} log ${((after.end - (before?.end ?? 0)) / operations).toFixed(0).padStart(6)} B`,
    `| CPU node ${(measured?.cpuProvider ?? 0).toFixed(2)} + PostgreSQL ${(measured?.cpuPostgres ?? 0).toFixed(2)} ms`,
    `| rows ${rows.join(', ') || 'none'} (${operations} operations)`,
  );
}

/** Refreshes families at random: each page that is written is another. */
const far: Prepare = (_subject, connection) => async () => {
  const family = 1 + Math.floor(Math.random() * FAMILIES);
  const token = `${String(family).padStart(22, '0')}.${String(family).padStart(43, '0')}`;
  const answer = await connection.request(
    'POST',
    '/token',
    authorization + form,
    refreshing(token),
  );
  return answer.status === 200;
};

async function sizes(): Promise<void> {
  await pool.query('VACUUM ANALYZE');
  for (const table of tables) {
    const { rows, heap, all } = await one<{ rows: number; heap: number; all: number }>(
      `SELECT count(*)::int AS rows, pg_table_size($1)::float8 AS heap, pg_total_relation_size($1)::float8 AS "all" FROM "${table}"`,
      [`"${table}"`],
    );
    if (rows > 1000)
      console.log(
        `${table.padEnd(16)} ${(heap / rows).toFixed(0)} B a row, with its indexes ${(all / rows).toFixed(0)} B (${rows} rows)`,
      );
  }
}

const expiring = (
  table: string,
) => `INSERT INTO ${table} (id, model, grant_id, client_id, account_id, family_id, sealed, expires_at)
  SELECT sha256(n::text::bytea), 'AccessToken', grant_id, client_id, account_id, id, sha256(n::text::bytea) || sha256(n::text::bytea) || sha256(n::text::bytea) || sha256(n::text::bytea),
         now() + interval '2 hours' + n * interval '0.1 s'
  FROM generate_series($1::int, $2::int) n JOIN refresh_family ON id = lpad((1 + n % ${FAMILIES})::text, 22, '0')`;

async function fill(table: string): Promise<number> {
  return logOf(async () => {
    for (let first = 1; first <= EXPIRED; first += 20_000)
      await pool.query(expiring(table), [first, Math.min(EXPIRED, first + 19_999)]);
  });
}

const seconds = async (work: () => Promise<unknown>) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const sizeOf = async (table: string) =>
  (await one<{ size: number }>(`SELECT pg_total_relation_size('${table}')::float8 AS size`)).size;

/** @returns milliseconds of one look-up by id */
async function lookUp(table: string): Promise<number> {
  const text = `SELECT sealed FROM ${table} WHERE id = sha256($1::text::bytea)`;
  const name = `look up ${table}`;
  await pool.query({ name, text, values: ['1'] });
  const COUNT = 3_000;
  const taken = await seconds(async () => {
    for (let turn = 0; turn < COUNT; turn++)
      await pool.query({ name, text, values: [String(1 + ((turn * 7919) % EXPIRED))] });
  });
  return (taken / COUNT) * 1000;
}

async function sweeping(): Promise<void> {
  const tomorrow = () => new Date(Date.now() + 20 * 3_600_000);
  const parts = { prisma: storage.prisma, now: tomorrow, retention: 1e9, auditRetention: 1e9 };
  const quiet = await measure(symbolon, refresh, CONNECTIONS, DURATION);
  const filled = await fill('artifact');
  console.log(`\n${EXPIRED} artifacts: log to write them ${(filled / EXPIRED).toFixed(0)} B each`);
  console.log(`look-up by id ${(await lookUp('artifact')).toFixed(3)} ms`);
  const before = await sizeOf('artifact');
  let taken = 0;
  let swept = 0;
  let deleted = 0;
  const sweepingDone = (async () => {
    taken = await seconds(async () => {
      swept = await logOf(async () => void (deleted = await sweep(parts)));
    });
  })();
  const beside = await measure(symbolon, refresh, CONNECTIONS, DURATION);
  await sweepingDone;
  const { artifacts } = await backlog(parts);
  console.log(
    `sweep: ${deleted} rows in ${taken.toFixed(1)} s (${(deleted / taken).toFixed(0)}/s), ${artifacts} left; log ${(swept / deleted).toFixed(0)} B a row, with the refreshes beside it`,
  );
  console.log(
    `refreshing: ${quiet?.perSecond.toFixed(0)}/s p99 ${quiet?.p99.toFixed(1)} ms without, ${beside?.perSecond.toFixed(0)}/s p99 ${beside?.p99.toFixed(1)} ms beside it`,
  );
  const vacuumed = await logOf(() => pool.query('VACUUM artifact'));
  console.log(
    `size ${megabytes(before)} before, ${megabytes(await sizeOf('artifact'))} after; VACUUM wrote ${(vacuumed / EXPIRED).toFixed(0)} B of log a row`,
  );
  const refilled = await fill('artifact');
  console.log(
    `filled again: ${megabytes(await sizeOf('artifact'))}, log ${(refilled / EXPIRED).toFixed(0)} B a row`,
  );
  await sweep(parts);
}

async function partitions(count: number): Promise<void> {
  await pool.query('DROP TABLE IF EXISTS parts');
  await pool.query(
    'CREATE TABLE parts (LIKE artifact INCLUDING DEFAULTS, PRIMARY KEY (id, expires_at), FOREIGN KEY (grant_id) REFERENCES "grant" ON DELETE CASCADE) PARTITION BY RANGE (expires_at)',
  );
  const step = 24 / count;
  for (let part = 0; part < count; part++)
    await pool.query(
      `CREATE TABLE parts_${part} PARTITION OF parts FOR VALUES FROM (date_trunc('hour', now()) + ${part * step} * interval '1 hour') TO (date_trunc('hour', now()) + ${(part + 1) * step} * interval '1 hour')`,
    );
  await pool.query('CREATE TABLE parts_rest PARTITION OF parts DEFAULT');
  for (const column of ['grant_id', 'lookup', 'account_id', 'expires_at'])
    await pool.query(`CREATE INDEX ON parts (${column})`);
  const filled = await fill('parts');
  console.log(
    `\n${count + 1} partitions: log to write a row ${(filled / EXPIRED).toFixed(0)} B, look-up by id ${(await lookUp('parts')).toFixed(3)} ms`,
  );
  const last = `parts_${count >> 1}`;
  const { rows } = await one<{ rows: number }>(`SELECT count(*)::int AS rows FROM ${last}`);
  const dropped = await logOf(async () => {
    console.log(
      `a partition of ${rows} rows dropped in ${((await seconds(() => pool.query(`DROP TABLE ${last}`))) * 1000).toFixed(1)} ms`,
    );
  });
  console.log(`log ${megabytes(dropped)}`);
  await pool.query('DROP TABLE parts');
}

const refresh = workloads['refresh-opaque'] ?? (() => undefined);
try {
  await addFamilies(pool, symbolon.opaque[0] ?? '', 1, FAMILIES);
  // Nothing but what is measured writes to the log.
  await configure({ autovacuum: 'off', checkpoint_timeout: '1h', max_wal_size: '20GB' });
  await pool.query('VACUUM ANALYZE');
  for (const name of [
    'refresh-opaque',
    'refresh-jwt',
    'authorize',
    'code',
    'sign-in',
    'introspect',
    'userinfo',
  ])
    await cost(name, workloads[name] ?? (() => undefined));
  // The first write to each page since a checkpoint puts all of the page into the log.
  for (const compression of ['off', 'on']) {
    await configure({ wal_compression: compression });
    await pool.query('CHECKPOINT');
    await cost(`far, ${compression}`, far);
  }
  await configure({ wal_compression: 'off' });
  await sizes();
  await configure({ autovacuum: 'on' });
  await sweeping();
  for (const count of [6, 24]) await partitions(count);
} finally {
  await pool.end();
  await embedded.release();
  await close();
  await symbolon.stop();
}
