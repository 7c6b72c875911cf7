// The benchmark works, and Symbolon is not an order of magnitude behind the bare engine. Ratios, and wide ones: the
// machine may do something else meanwhile.
import { expect, test } from 'vitest';
import { run } from './support/process.ts';

test('npm run bench -- --quick', async () => {
  const workloads = ['refresh-opaque', 'code', 'introspect', 'userinfo', 'sign-in'];
  const { code, stdout, stderr } = await run(
    [
      'bench/main.ts',
      '--quick',
      '--json',
      '--connections',
      '8',
      ...workloads.flatMap((name) => ['--only', name]),
    ],
    {},
  );
  expect({ code, stderr: stderr.includes('Error') }).toEqual({ code: 0, stderr: false });
  const rows = JSON.parse(stdout) as {
    workload: string;
    connections: number;
    perSecond: number;
    p50: number;
    p99: number;
    cpuProvider: number;
    cpuPostgres: number;
    baseline: { perSecond: number } | null;
    ratio: number | null;
  }[];
  expect(rows.map(({ workload }) => workload)).toEqual(workloads);
  for (const { workload, perSecond, p50, p99, ratio, baseline } of rows) {
    expect(perSecond).toBeGreaterThan(0);
    expect(p99).toBeGreaterThanOrEqual(p50);
    if (workload === 'sign-in') expect(baseline).toBeNull();
    else expect({ workload, near: (ratio ?? 0) > 0.05 }).toEqual({ workload, near: true });
  }
});
