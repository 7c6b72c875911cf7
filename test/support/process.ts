// A real provider process, as an operator runs it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

const PORTS = 2000;
const FIRST_PORT = 11_000 + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 10) * PORTS;
let nextPort = Math.floor(Math.random() * PORTS);

export interface ProviderProcess {
  readonly child: ChildProcess;
  /** Where this process listens; its issuer may be another's address. */
  readonly url: string;
  readonly output: () => string;
  /** Sends a signal and waits for the end. @returns the exit code or the signal */
  end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/**
 * Starts `node src/main.ts` with these settings, and waits until it answers.
 *
 * @param directory of another build
 */
export async function startProcess(
  environment: Record<string, string>,
  directory = root,
): Promise<ProviderProcess> {
  const port = environment['PORT'] ?? String(await freePort());
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: directory,
    env: { PATH, HOME, PORT: port, LOG_LEVEL: 'info', SYMBOLON_STOP_DELAY: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (output += String(chunk)));
  const url = `http://localhost:${port}`;
  const exited = once(child, 'exit');
  while (!output.includes('Symbolon is running')) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the provider ended: ${output}`);
    await Promise.race([once(child.stdout, 'data'), exited]);
  }
  return {
    child,
    url,
    output: () => output,
    async end(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) {
        // A second SIGTERM would cut a stop short.
        if (!child.killed || signal === 'SIGKILL') child.kill(signal);
        await exited;
      }
      return child.exitCode ?? child.signalCode;
    },
  };
}

/**
 * A port that nothing listens on. It is below those that the system gives to outgoing connections and to
 * `listen(0)`, any of which could take it before its process listens; files that run at once draw from
 * ranges of their own.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + (nextPort++ % PORTS);
    const server = createServer().listen(port);
    try {
      await once(server, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
      throw error;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Runs a command line of the project to its end. */
export async function run(
  args: readonly string[],
  environment: Record<string, string>,
  input = '',
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, args, { cwd: root, env: { PATH, HOME, ...environment } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  child.stdin.end(input);
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}
