// A real provider process, as an operator runs it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface ProviderProcess {
  readonly child: ChildProcess;
  /** Where this process listens; its issuer may be another's address. */
  readonly url: string;
  readonly output: () => string;
  /** Sends a signal and waits for the end. @returns the exit code or the signal */
  end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/** Starts `node src/main.ts` with these settings, and waits until it answers. */
export async function startProcess(environment: Record<string, string>): Promise<ProviderProcess> {
  const port = environment['PORT'] ?? String(await freePort());
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: root,
    env: { PATH, HOME, PORT: port, LOG_LEVEL: 'info', ...environment },
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
        child.kill(signal);
        await exited;
      }
      return child.exitCode ?? child.signalCode;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, 'localhost');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
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
