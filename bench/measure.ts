// One measurement: so many connections, each with one request at a time, for a while.
import { Connection } from './requests.ts';
import type { Subject } from './subjects.ts';
import type { Prepare } from './workloads.ts';

/** Times and CPU per operation in milliseconds. */
export interface Measurement {
  readonly perSecond: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly cpuProvider: number;
  readonly cpuPostgres: number;
}

/** @returns nothing when the workload is not for this subject */
export async function measure(
  subject: Subject,
  prepare: Prepare,
  count: number,
  duration: number,
): Promise<Measurement | undefined> {
  const open = Array.from({ length: count }, () => new Connection(subject.port));
  const operations = await Promise.all(
    open.map(async (connection, index) => prepare(subject, connection, index, duration)),
  );
  const runs = operations.filter((operation) => operation !== undefined);
  if (runs.length === 0) {
    for (const connection of open) connection.close();
    return undefined;
  }
  await run(runs, duration / 5); // warm
  const before = subject.usage();
  const start = performance.now();
  const times = await run(runs, duration);
  const elapsed = performance.now() - start;
  if (times.length === 0) throw new Error('nothing was measured: there was nothing left to do');
  const after = subject.usage();
  for (const connection of open) connection.close();
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return {
    perSecond: (times.length / elapsed) * 1000,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    cpuProvider: (after.provider - before.provider) / times.length,
    cpuPostgres: (after.postgres - before.postgres) / times.length,
  };
}

async function run(
  operations: readonly (() => Promise<boolean>)[],
  duration: number,
): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + duration;
  await Promise.all(
    operations.map(async (operation) => {
      for (let now = performance.now(); now < end;) {
        const goesOn = await operation();
        if (!goesOn) return;
        const then = performance.now();
        times.push(then - now);
        now = then;
      }
    }),
  );
  return times;
}
