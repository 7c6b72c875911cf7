// `symbolon status`: asks the running provider whether it is well. Nothing is opened for it, no database either: it is
// asked every few seconds, by a container's health check, and beside a database that does not answer.
import { type IncomingMessage, get } from 'node:http';
import { get as getSecurely } from 'node:https';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config/config.ts';
import type { Report } from '../operations/health.ts';

const PATIENCE = 10_000; // milliseconds for the answer, longer than the provider takes for a check

interface Told {
  /** What was asked. */
  readonly url: string;
  readonly status: Report['status'] | 'unreachable';
  readonly checks?: Report['checks'];
  readonly reason?: string;
}

/** Adds what `symbolon status` does. */
export function statusCommand(command: Command): void {
  command
    .option('--json', 'print JSON for a program to read')
    .action(async ({ json }: { json?: true }) => {
      const told = await ask(address(loadConfig()));
      process.stdout.write(`${json ? JSON.stringify(told, null, 2) : inWords(told)}\n`);
      process.exitCode = told.status === 'ready' ? 0 : 1;
    });
}

/** The operations listener where there is one: the public port does not tell what is wrong. */
function address({ operations, port, host, tls, basePath }: Config): string {
  return operations.port === undefined
    ? `${tls ? 'https' : 'http'}://${reachable(host)}:${port}${basePath}/readyz`
    : `http://${reachable(operations.host)}:${operations.port}/readyz`;
}

/** A host that somebody on this machine connects to, of one that is listened on. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

async function ask(url: string): Promise<Told> {
  try {
    const report = JSON.parse(await bodyOf(url)) as Report | null;
    if (typeof report?.status !== 'string') throw new Error('another program answers');
    return { url, ...report };
  } catch (error) {
    const reason = `Nothing answers there as Symbolon does: is it running, with these settings? (${inOneLine(error)})`;
    return { url, status: 'unreachable', reason };
  }
}

async function bodyOf(url: string): Promise<string> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(PATIENCE),
    };
    // Whom the certificate is for is not asked: it names the issuer's host, and nothing secret is sent.
    const request = url.startsWith('https:')
      ? getSecurely(url, { ...options, rejectUnauthorized: false }, resolve)
      : get(url, options, resolve);
    request.on('error', reject);
  });
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
  return text;
}

function inWords({ status, url, checks = {}, reason }: Told): string {
  const lines = Object.entries(checks).map(([name, check]) =>
    `  ${name.padEnd(10)}${check.status.padEnd(9)}${check.reason ?? ''}`.trimEnd(),
  );
  return [`${status}  (${url})`, ...lines, ...(reason === undefined ? [] : [reason])].join('\n');
}

function inOneLine(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
