// npm run bench:commit: what SYMBOLON_ROTATION_COMMIT buys, on a PostgreSQL by itself, and on one that waits for a
// synchronous standby on the same machine. The two settings take turns. Takes about four minutes; needs PostgreSQL's
// programs, as Debian's packages have them.
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type OwnPostgres, ownPostgres } from '../test/support/own-postgres.ts';
import { type Measurement, measure } from './measure.ts';
import { type Subject, startSymbolon } from './subjects.ts';
import { workloads } from './workloads.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const DURATION = values.quick ? 200 : 1_500; // milliseconds of each measurement
const ROUNDS = values.quick ? 1 : 6;
const CONNECTIONS = [1, 8, 32, 128];

const settings = ['durable', 'relaxed'] as const;
type Subjects = Record<(typeof settings)[number], Subject>;

const refresh = workloads['refresh-opaque'] ?? (() => undefined);
const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

const primary = await ownPostgres();
let standby: OwnPostgres | undefined;
const started: Subject[] = [];
try {
  for (const commit of settings) {
    await primary.run('createdb', commit);
    const environment = {
      DATABASE_URL: primary.urlOf(commit),
      SYMBOLON_SECRET: randomBytes(32).toString('base64url'),
      SYMBOLON_ROTATION_COMMIT: commit,
    };
    started.push(await startSymbolon(environment));
  }
  const [durable, relaxed] = started as [Subject, Subject];
  // Both have compiled what they run before anything counts.
  for (const subject of started) await measure(subject, refresh, 32, 4 * DURATION);
  console.log('standby      conn | durable/s   p50    p99 ms | relaxed/s   p50    p99 ms | ratio');
  await compare('none', { durable, relaxed });
  standby = await ownPostgres([], primary);
  await follow(primary);
  await compare('synchronous', { durable, relaxed });
} finally {
  for (const subject of started) await subject.stop();
  await primary.remove(); // first: nothing waits for the standby any more
  await standby?.remove();
}

/** Measures with each number of connections. @param name of the standby */
async function compare(name: string, subjects: Subjects): Promise<void> {
  for (const count of CONNECTIONS) {
    const runs: Record<keyof Subjects, Measurement[]> = { durable: [], relaxed: [] };
    for (let round = 0; round < ROUNDS; round++)
      for (const commit of round % 2 === 0 ? settings : settings.toReversed()) {
        const measured = await measure(subjects[commit], refresh, count, DURATION);
        if (measured) runs[commit].push(measured);
      }
    const ratios = runs.relaxed
      .map(({ perSecond }, round) => perSecond / (runs.durable[round]?.perSecond ?? NaN))
      .toSorted((a, b) => a - b);
    const cells = settings.map((commit) => {
      const of = (figure: keyof Measurement) => median(runs[commit].map((run) => run[figure]));
      const [perSecond, p50, p99] = [of('perSecond'), of('p50'), of('p99')];
      return `${perSecond.toFixed(0).padStart(9)} ${p50.toFixed(1).padStart(5)} ${p99.toFixed(1).padStart(6)}    |`;
    });
    const [least = 0, most = 0] = [ratios[0], ratios.at(-1)];
    console.log(
      name.padEnd(12),
      String(count).padStart(4),
      '|',
      cells.join(' '),
      `${median(ratios).toFixed(2)} (${least.toFixed(2)}-${most.toFixed(2)})`,
    );
  }
}

/** Makes every commit wait for the standby. */
async function follow(server: OwnPostgres): Promise<void> {
  await server.run('psql', '-qc', "ALTER SYSTEM SET synchronous_standby_names = '*'");
  await server.run('psql', '-qc', 'SELECT pg_reload_conf()');
  const state = 'SELECT sync_state FROM pg_stat_replication';
  while ((await server.run('psql', '-Atc', state)).trim() !== 'sync') await wait(100);
}
