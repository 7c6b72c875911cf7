// A PostgreSQL of a test's own, from the system's programs: for what the tests' shared one cannot do, such as being
// killed, dumped and restored. Debian's packages have the programs; without them such tests are skipped, and say so.
import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  remove(): Promise<void>;
}

/** Makes a cluster that commits as PostgreSQL does by default, and starts it. */
export async function ownPostgres(settings: readonly string[] = []): Promise<OwnPostgres> {
  if (!programs) throw new Error('PostgreSQL’s programs are missing');
  const bin = programs;
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
  await start();
  return {
    ...{ port, folder, data, run, start, stop },
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
