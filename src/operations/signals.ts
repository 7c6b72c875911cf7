// What signals do to the process: the first one stops it in order. The same signal often comes twice - npm hands on
// what its process group has got already, and so does a supervisor that signals a group - so it counts once.

export interface Stoppable {
  /** Finishes requests in flight, then closes everything. */
  stop(): Promise<void>;
  /** Has {@link stop} wait for nothing and nobody any more. */
  hurry(): void;
}

const REPEATED = 2_000; // milliseconds in which a signal is the same one again

const forced =
  'Stopping at once, since a signal came again: requests in flight are cut. Another signal ends the process where it stands.\n';
const ended =
  'Ended where it stood, since signals went on coming. An embedded PostgreSQL may still run; the next start takes it over.\n';

/**
 * Stops at SIGTERM and SIGINT, also at one that comes during the start, and exits with 0. Signals that come later than
 * two seconds after the first force it: the second counted one cuts requests in flight, the third ends the process;
 * both exit with 1.
 *
 * @param explain tells a person why the start or the stop failed
 */
export function stopOnSignals(
  starting: Promise<Stoppable>,
  explain: (error: unknown) => void,
): void {
  let running: Stoppable | undefined;
  let counted = 0;
  let countedAt = 0;
  starting.then(
    (started) => (running = started),
    () => undefined,
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, hear);

  function hear(): void {
    const now = performance.now();
    if (counted > 0 && now - countedAt < REPEATED) return;
    counted++;
    countedAt = now;
    if (counted === 1) void stop();
    else if (counted === 2 && running) {
      process.stderr.write(forced);
      running.hurry();
    } else {
      process.stderr.write(ended);
      process.exit(1);
    }
  }

  async function stop(): Promise<void> {
    try {
      await (await starting).stop();
    } catch (error) {
      explain(error);
      process.exit(1);
    }
    process.exit(counted > 1 ? 1 : 0);
  }
}
