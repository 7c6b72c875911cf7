// Work that a process does again and again beside its requests: never twice at once, and what fails is told and done
// again at the next turn.

export interface Repeated {
  /** Does it now, or after what runs. @returns when it was done, or has failed */
  readonly wake: () => Promise<void>;
  /** Does it at every turn from now on; this alone keeps no process alive. `stop` waits for what runs. */
  readonly start: () => { stop(): Promise<void> };
}

/**
 * @param work is told by its signal that it is to be stopped
 * @param every milliseconds from turn to turn
 */
export function repeat(
  work: (signal: AbortSignal) => Promise<unknown>,
  { every, onError }: { readonly every: number; readonly onError: (error: unknown) => void },
): Repeated {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return { wake, start };

  function wake(): Promise<void> {
    running = running.then(async () => {
      try {
        await work(stopping.signal);
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
