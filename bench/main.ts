// npm run bench: Symbolon and the bare engine, side by side on one machine in one run, interleaved.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chart } from './chart.ts';
import { type Measurement, measure } from './measure.ts';
import { startBare, startSymbolon } from './subjects.ts';
import { workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    svg: { type: 'string' },
    only: { type: 'string', multiple: true },
    connections: { type: 'string', multiple: true },
  },
});
const duration = values.quick ? 300 : 2_000; // milliseconds of each measurement
const connections = values.connections?.map(Number) ?? [1, 8, 32, 128];
const chosen = Object.entries(workloads).filter(
  ([name]) => values.only === undefined || values.only.includes(name),
);

interface Row extends Measurement {
  readonly workload: string;
  readonly connections: number;
  /** Of the bare engine: the same, without PostgreSQL. */
  readonly baseline: Measurement | null;
  readonly ratio: number | null;
}

const [bare, symbolon] = [await startBare(), await startSymbolon()];
const rows: Row[] = [];
try {
  // Both have compiled what they run before anything counts.
  for (const subject of [symbolon, bare])
    await measure(subject, workloads['refresh-opaque'] ?? (() => undefined), 32, 3 * duration);
  for (const [workload, prepare] of chosen) {
    for (const count of connections) {
      // Half of each, twice, so that what else the machine does falls on both.
      const [one, baselineOne] = [
        await measure(symbolon, prepare, count, duration / 2),
        await measure(bare, prepare, count, duration / 2),
      ];
      const [baselineTwo, two] = [
        await measure(bare, prepare, count, duration / 2),
        await measure(symbolon, prepare, count, duration / 2),
      ];
      const own = mean(one, two);
      if (!own) continue;
      const baseline = mean(baselineOne, baselineTwo) ?? null;
      const ratio = baseline ? round(own.perSecond / baseline.perSecond, 2) : null;
      rows.push({ workload, connections: count, ...own, baseline, ratio });
      if (!values.json) print(rows.at(-1));
    }
  }
} finally {
  await Promise.all([bare.stop(), symbolon.stop()]);
}
if (values.json) console.log(JSON.stringify(rows, null, 2));
if (values.svg !== undefined) writeFileSync(values.svg, chart(rows));

function mean(a: Measurement | undefined, b: Measurement | undefined): Measurement | undefined {
  if (!a || !b) return undefined;
  const names = Object.keys(a) as (keyof Measurement)[];
  return Object.fromEntries(
    names.map((name) => [name, round((a[name] + b[name]) / 2, 3)]),
  ) as unknown as Measurement;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function print(row: Row | undefined): void {
  if (!row) return;
  const { workload, connections: count, perSecond, p50, p95, p99, baseline, ratio } = row;
  if (rows.length === 1) {
    console.log(
      'ES256 signs ID tokens and JWT access tokens; refresh-rs256: RS256, which a client gets that names no algorithm.\n',
    );
    console.log(
      '                        |  Symbolon                                             |  bare engine              |',
    );
    console.log(
      'workload           conn |     op/s    p50    p95    p99 ms   CPU/op node + pg ms |     op/s    p99   CPU/op  | ratio',
    );
  }
  const cells = [
    workload.padEnd(18),
    String(count).padStart(4),
    '|',
    perSecond.toFixed(0).padStart(8),
    p50.toFixed(1).padStart(6),
    p95.toFixed(1).padStart(6),
    p99.toFixed(1).padStart(6),
    row.cpuProvider.toFixed(2).padStart(13),
    '+',
    row.cpuPostgres.toFixed(2).padStart(5),
    '     |',
    (baseline?.perSecond.toFixed(0) ?? '').padStart(8),
    (baseline?.p99.toFixed(1) ?? '').padStart(6),
    (baseline?.cpuProvider.toFixed(2) ?? '').padStart(8),
    ' |',
    ratio?.toFixed(2) ?? '',
  ];
  console.log(cells.join(' '));
}
