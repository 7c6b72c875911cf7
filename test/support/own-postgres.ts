// A PostgreSQL of a test's own, from the system's programs: for what the tests' shared one cannot do, such as being
// killed, dumped and restored. Debian's packages have the programs; without them such tests are skipped, and say so.
import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as yieldNow } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './process.ts';

const HOME = '/usr/lib/postgresql';

/** Where the newest programs are, pg_dump among them; undefined when there are none. */
export const programs: string | undefined = (existsSync(HOME) ? readdirSync(HOME) : [])
  .sort((a, b) => Number(b) - Number(a))
  .map((version) => join(HOME, version, 'bin'))
  .find((bin) => existsSync(join(bin, 'pg_dump')) && existsSync(join(bin, 'initdb')));

if (!programs)
  console.warn(
    `PostgreSQL's programs are not in ${HOME}: tests with a server of their own are skipped.`,
  );

export interface OwnPostgres {
  readonly port: number;
  readonly folder: string;
  readonly data: string;
  urlOf(database: string): string;
  /** Runs one of PostgreSQL's programs as the server's owner. @returns its standard output */
  run(program: string, ...args: string[]): Promise<string>;
  start(): Promise<void>;
  /** @param mode immediate is a crash, as of kill -9 */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** kill -9 of the server and all its processes, before this returns. @returns when they are gone */
  kill(): Promise<void>;
  readonly remove: () => Promise<void>;
}

/**
 * Makes a cluster that commits as PostgreSQL does by default, and starts it.
 *
 * @param settings arguments of the server
 * @param primary with it, a streaming standby of this one
 * @param bin the folder of its programs, of another version
 */
export async function ownPostgres(
  settings: readonly string[] = [],
  primary?: OwnPostgres,
  bin = programs,
): Promise<OwnPostgres> {
  if (bin === undefined) throw new Error('PostgreSQL’s programs are missing');
  const folder = mkdtempSync(join(tmpdir(), 'symbolon-own-'));
  const owner = ownerOf();
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const port = await freePort();
  const run = async (program: string, ...args: string[]) => {
    const options = {
      cwd: folder,
      ...owner,
      env: { PGUSER: 'postgres', PGHOST: '127.0.0.1', PGPORT: String(port) },
    };
    return (await promisify(execFile)(join(bin, program), args, options)).stdout;
  };
  if (primary) {
    const from = ['-h', '127.0.0.1', '-p', String(primary.port)];
    await run('pg_basebackup', ...from, '-D', data, '-R', '-X', 'stream', '-c', 'fast');
  } else
    await run('initdb', '-D', data, '-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--locale=C');
  const options = [
    '-p',
    String(port),
    '-k',
    folder,
    '-c',
    'listen_addresses=127.0.0.1',
    ...settings,
  ];
  const start = async () => {
    await run(
      'pg_ctl',
      '-D',
      data,
      '-w',
      '-t',
      '600',
      '-l',
      join(folder, 'log'),
      '-o',
      options.join(' '),
      'start',
    );
  };
  const stop = async (mode = 'fast') => {
    await run('pg_ctl', '-D', data, '-w', '-t', '600', '-m', mode, 'stop');
  };
  const kill = async () => {
    const [pid] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    const postmaster = Number(pid);
    process.kill(postmaster, 'SIGSTOP'); // it starts no other process meanwhile
    const all = [postmaster, ...childrenOf(postmaster)];
    for (const one of all) if (isRunning(one)) process.kill(one, 'SIGKILL');
    while (all.some(isRunning)) await yieldNow();
    // Where nobody buries the dead (a container without an init), the next server would take it for running.
    for (const lock of [join(data, 'postmaster.pid'), join(folder, `.s.PGSQL.${port}.lock`)])
      rmSync(lock);
  };
  await start();
  return {
    ...{ port, folder, data, run, start, stop, kill },
    urlOf: (database) => `postgresql://postgres@127.0.0.1:${port}/${database}?sslmode=disable`,
    async remove() {
      await stop('immediate').catch(() => undefined);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Root may not run a server: the package's user does. */
function ownerOf(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

// /proc/PID/stat (proc(5)): after the name in parentheses, the state and the parent.
function stat(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  const [state = 'X'] = stat(pid);
  return !['X', 'Z'].includes(state);
}

function childrenOf(pid: number): number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((one) => stat(one)[1] === String(pid));
}
