// Background work that a process repeats: never twice at once; a failure is logged, and the work is done again at the
// next turn.

export interface Repeated {
  /** Does the work now, or after the current turn. Resolves when it is done or has failed. */
  readonly wake: () => Promise<void>;
  /** Does the work at every turn from now on, without keeping the process alive. `stop` waits for the current turn. */
  readonly start: () => { stop(): Promise<void> };
}

/**
 * @param work gets a signal that is aborted when it has to stop
 * @param every milliseconds between turns; `onDone` is called after each that did not fail
 */
export function repeat(
  work: (signal: AbortSignal) => Promise<unknown>,
  {
    every,
    onError,
    onDone,
  }: {
    readonly every: number;
    readonly onError: (error: unknown) => void;
    readonly onDone?: (() => void) | undefined;
  },
): Repeated {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return { wake, start };

  function wake(): Promise<void> {
    running = running.then(async () => {
      try {
        await work(stopping.signal);
        onDone?.();
      } catch (error) {
        onError(error);
      }
    });
    return running;
  }

  function start() {
    const timer = setInterval(() => void wake(), every).unref();
    return {
      async stop() {
        clearInterval(timer);
        stopping.abort();
        await running;
      },
    };
  }
}
