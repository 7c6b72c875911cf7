// Processes, folders and conditions for the tests of this folder; what a test leaves is cleaned up here.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { onTestFinished } from 'vitest';

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export const makeFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'symbolon-test-'));

/** A folder that does not outlive the test, nor does a PostgreSQL in it. */
export async function temporaryFolder(): Promise<string> {
  const folder = await makeFolder();
  onTestFinished(async () => {
    const pid = await postmaster(folder);
    if (pid && (await isPostmaster(pid, folder))) process.kill(pid, 'SIGQUIT');
    await until(async () => !pid || !(await isPostmaster(pid, folder)));
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });
  return folder;
}

/** Starts child.ts in a process group of its own, which does not outlive the test. */
export function start(
  args: string[],
  options: { prefix?: string[]; uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Child {
  const { prefix = [], ...rest } = options;
  const [command = '', ...more] = [
    ...prefix,
    process.execPath,
    join(import.meta.dirname, 'child.ts'),
    ...args,
  ];
  const child = spawn(command, more, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, ...rest });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    kill(child);
    await once(child, 'exit');
  });
  return child;
}

/** SIGKILL to the child and, in its group, what it runs (not to a PostgreSQL, a group of its own). */
export function kill(child: Child): void {
  if (child.pid) process.kill(-child.pid, 'SIGKILL');
}

/** The first line that the child writes; an error with what it complained of if it ends without one. */
export async function firstLine(child: Child): Promise<string> {
  const errors = text(child.stderr);
  for await (const chunk of child.stdout) {
    return String(chunk).trim();
  }
  throw new Error(await errors);
}

/** Asks the child to release and end; its exit code. */
export async function finish(child: Child): Promise<number | null> {
  child.stdin.end();
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 300_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`It did not become so: ${condition.toString()}`);
    await sleep(20);
  }
}

/** The pid in a folder's postmaster.pid. */
export async function postmaster(folder: string): Promise<number | undefined> {
  const file = join(folder, 'postgres/postmaster.pid');
  const content = await readFile(file, 'utf8').catch(() => '');
  return Number(content.split('\n')[0]) || undefined;
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function isPostmaster(pid: number, folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return isAlive(pid);
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.includes(`${folder}/postgres\0`);
}

/** The URL of a new, empty database on the server at `url`. */
export async function databaseOn(url: string): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await query(url, `CREATE DATABASE ${name}`);
  const database = new URL(url);
  database.pathname = name;
  return database.href;
}

/** One query on a connection of its own. */
export async function query<Row extends QueryResultRow>(
  url: string,
  sql: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    // Without values, so that `sql` may be several statements, the last of which answers.
    const result = values.length
      ? await client.query<Row>(sql, values)
      : await client.query<Row>(sql);
    return Array.isArray(result) ? [] : result.rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
