// Work beside the requests: at its turns, when it is woken, one at a time, until it is stopped.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { repeat } from '../../src/operations/repeat.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function work() {
  const runs: { signal: AbortSignal; done: () => void; fail: (error: Error) => void }[] = [];
  const errors: unknown[] = [];
  const repeated = repeat(
    (signal) =>
      new Promise<void>((done, fail) => {
        runs.push({ signal, done, fail });
      }),
    { every: 1000, onError: (error) => errors.push(error) },
  );
  return { ...repeated, runs, errors };
}

test('is done at every turn, the first time after one', async () => {
  const { start, runs } = work();
  start();
  await vi.advanceTimersByTimeAsync(999);
  expect(runs).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(runs).toHaveLength(1);
  runs[0]?.done();
  await vi.advanceTimersByTimeAsync(1000);
  expect(runs).toHaveLength(2);
});

test('is done when it is woken, with or without turns, and never twice at once', async () => {
  const { wake, runs } = work();
  const [first, second] = [wake(), wake()];
  await vi.advanceTimersByTimeAsync(5000);
  expect(runs).toHaveLength(1);
  runs[0]?.done();
  await first;
  await vi.advanceTimersByTimeAsync(0);
  expect(runs).toHaveLength(2);
  runs[1]?.done();
  await second;
});

test('what fails is told, and done again at the next turn', async () => {
  const { wake, start, runs, errors } = work();
  start();
  const woken = wake();
  await vi.advanceTimersByTimeAsync(0);
  runs[0]?.fail(new Error('down'));
  await woken;
  expect(errors).toEqual([new Error('down')]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(runs).toHaveLength(2);
});

test('stopping tells what runs, waits for it, and no turn comes after', async () => {
  const { wake, start, runs } = work();
  const turns = start();
  void wake();
  await vi.advanceTimersByTimeAsync(0);
  let isStopped = false;
  const stopped = turns.stop().then(() => (isStopped = true));
  await vi.advanceTimersByTimeAsync(5000);
  expect([runs.length, runs[0]?.signal.aborted, isStopped]).toEqual([1, true, false]);
  runs[0]?.done();
  await stopped;
  await vi.advanceTimersByTimeAsync(5000);
  expect(runs).toHaveLength(1);
});
