// The provider as a process of its own, started as everybody starts it: `symbolon serve`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ProviderProcess {
  /** Resolves when the provider answers; rejects when it ends before that, or does not answer in time. */
  readonly ready: Promise<void>;
  /** Settles when it has ended, by itself or not. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** The program that runs this: the `symbolon` command. */
export const cli = (): string => process.argv[1] ?? '';

const PATIENCE = 90_000; // milliseconds: the first start makes a database

export function startProvider(environment: Environment, issuer: string): ProviderProcess {
  // Detached: Ctrl+C reaches the demo alone, which stops the provider once and in order.
  const child = spawn(process.execPath, [cli(), 'serve'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = once(child, 'close').then(() => undefined);
  // Its greeting speaks of steps that the demo has taken already; its log is passed on.
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) console.log(line);
  });

  return {
    ready: untilReady(),
    ended,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };

  async function untilReady(): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    while (!(await answers(issuer))) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error('The provider ended; what it said is above.');
      }
      if (Date.now() > deadline) throw new Error(`The provider does not answer at ${issuer}.`);
      await Promise.race([sleep(150), ended]);
    }
  }
}

async function answers(issuer: string): Promise<boolean> {
  try {
    const url = `${issuer}/.well-known/openid-configuration`;
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}
