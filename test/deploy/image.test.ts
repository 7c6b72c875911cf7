// The image and compose.yaml. No base image can be had here: the Dockerfile's own commands run in a bare folder, and what
// they make runs as the image does - as user 1000, without capabilities, on a file system that is read-only but for /data.
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type TestContext, afterAll, beforeAll, expect, test } from 'vitest';
import { npmEnvironment, pack } from '../support/package.ts';
import { ownPostgres, programs } from '../support/own-postgres.ts';
import { freePort, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import pg from 'pg';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);
const text = (file: string) => readFileSync(join(root, file), 'utf8');
const dockerfile = text('Dockerfile');
const compose = text('compose.yaml');

let folder: string;
let registry: Registry;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'symbolon-image-'));
  chmodSync(folder, 0o755);
  registry = await startRegistry(root);
});
afterAll(async () => {
  await registry.close();
  await rm(folder, { recursive: true });
});

/** The instructions of a stage of the Dockerfile, each on one line. */
function stage(name: RegExp): string[] {
  const lines = dockerfile
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const stages = lines.join('\n').split(/^(?=FROM )/m);
  return (stages.find((one) => name.test(one)) ?? '').split('\n');
}

const instruction = (lines: readonly string[], name: string) =>
  lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

/** What the stage `installed` makes in /app, in a folder. */
async function installed(): Promise<string> {
  const app = join(folder, 'app');
  mkdirSync(app);
  const env = npmEnvironment(folder, registry);
  const tarball = await pack(folder, env);
  await run('tar', ['-xzf', tarball, '-C', app, '--strip-components=1']);
  // What comes from the checkout's node_modules is packed anew, so that the hashes of the lock file are of other bytes.
  const lock = text('package-lock.json').replaceAll(/^ *"integrity": .*\n/gm, '');
  writeFileSync(join(app, 'package-lock.json'), lock.replaceAll(/,(\s*\})/g, '$1'));
  const [command = ''] = instruction(stage(/AS installed/), 'RUN');
  expect(command).toContain('npm install');
  await run('sh', ['-c', command], { cwd: app, env });
  return app;
}

test('the Dockerfile’s commands make what runs read-only, without root and without capabilities', async (context: TestContext) => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    context.skip('making a file system read-only for a process needs root, and Linux');
  const app = await installed();
  expect(existsSync(join(app, 'node_modules/vitest'))).toBe(false);
  const locked = JSON.parse(text('package-lock.json')) as {
    packages: Record<string, { version: string }>;
  };
  for (const name of ['pg', 'koa', 'jose', 'accepts', 'pg-protocol'])
    expect(versionOf(join(app, 'node_modules', name))).toBe(
      locked.packages[`node_modules/${name}`]?.version,
    );

  const last = stage(/CMD \["symbolon", "serve"\]/);
  const [user = ''] = instruction(last, 'USER');
  const [uid = '', gid = ''] = user.split(':');
  expect(uid).toBe('1000');
  const data = join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  execFileSync('chown', [user, data]);
  // Where the checkout's own is may be closed to others.
  const node = join(folder, 'node');
  copyFileSync(process.execPath, node);
  const view = join(folder, 'view');
  mkdirSync(view);
  const port = await freePort();
  const settings = {
    PATH: process.env['PATH'] ?? '',
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    SYMBOLON_DATA_DIR: data,
    SYMBOLON_STOP_DELAY: '0',
  };

  /** Runs `symbolon …` as the image would. */
  const symbolon = (command: string): ChildProcess => {
    const inside = [
      ...['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'],
      ...['--bounding-set=-all', '--inh-caps=-all', node, join(app, 'dist/cli.js'), command],
    ];
    const script = `mount --rbind / "${view}" && mount -o remount,bind,ro "${view}" && mount --bind "${data}" "${view}${data}" && cd "${view}" && exec chroot "${view}" ${inside.join(' ')}`;
    return spawn('unshare', ['--mount', 'sh', '-c', script], { env: settings });
  };
  const ended = async (child: ChildProcess) => {
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => (said += String(chunk)));
    await once(child, 'close');
    return { code: child.exitCode, said };
  };

  const server = symbolon('serve');
  let output = '';
  for (const stream of [server.stdout, server.stderr])
    stream?.on('data', (chunk) => (output += String(chunk)));
  const exit = once(server, 'exit').then(() => {
    throw new Error(`it ended: ${output}`);
  });
  exit.catch(() => undefined); // at the end it ends
  try {
    while (!output.includes('Symbolon is running'))
      await Promise.race([once(server.stdout ?? server, 'data'), exit]);
    const status = readFileSync(`/proc/${server.pid ?? ''}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    const mounts = readFileSync(`/proc/${server.pid ?? ''}/mountinfo`, 'utf8');
    expect(mounts).toMatch(/^\d+ \d+ \S+ \S+ \/ ro[, ]/m);
    const answer = await fetch(`http://localhost:${port}/.well-known/openid-configuration`);
    expect(answer.status).toBe(200);

    const [health = ''] = instruction(last, 'HEALTHCHECK');
    expect(health).toMatch(/CMD \["symbolon", "status"\]$/);
    expect(await ended(symbolon('status'))).toMatchObject({ code: 0 });
  } finally {
    const gone = once(server, 'exit');
    server.kill('SIGTERM');
    await gone;
  }
  expect(server.exitCode).toBe(0);
  expect(await ended(symbolon('status'))).toMatchObject({ code: 1 });
});

function versionOf(path: string): string {
  return (JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { version: string })
    .version;
}

test('compose.yaml: both containers are as closed as the image allows, and every setting passes', () => {
  for (const line of ['read_only: true', 'cap_drop: [ALL]', "['no-new-privileges:true']"])
    expect(compose.split(line)).toHaveLength(3);
  expect(compose).toContain('env_file: .env');
});

test('compose.yaml: any password works, for a role that is no superuser', async (context: TestContext) => {
  if (!programs || spawnSync('psql', ['--version']).status !== 0)
    context.skip(
      'PostgreSQL’s programs and psql are missing: Debian’s package postgresql has them',
    );
  const password = `p@ss:/?#[]&=%+ '"\\$HOME\`é`;
  const postgres = await ownPostgres();
  try {
    await run('sh', [join(root, 'deploy/postgres-role.sh')], {
      env: {
        PATH: process.env['PATH'] ?? '',
        PGHOST: '127.0.0.1',
        PGPORT: String(postgres.port),
        POSTGRES_PASSWORD: password,
      },
    });
    // The image asks for passwords.
    const hba = join(postgres.data, 'pg_hba.conf');
    const rules = readFileSync(hba, 'utf8');
    writeFileSync(hba, `host all symbolon 127.0.0.1/32 scram-sha-256\n${rules}`);
    const admin = new pg.Client({ connectionString: postgres.urlOf('postgres') });
    await admin.connect();
    await admin.query('SELECT pg_reload_conf()');
    const { rows } = await admin.query<object>(
      `SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS may, rolpassword IS NULL AS none
       FROM pg_authid WHERE rolname IN ('postgres', 'symbolon') ORDER BY 1`,
    );
    await admin.end();
    expect(rows).toEqual([
      { rolname: 'postgres', may: true, none: true },
      { rolname: 'symbolon', may: false, none: false },
    ]);

    const url = /DATABASE_URL: (\S+)/.exec(compose)?.[1] ?? '';
    expect(url).toContain('@postgres:5432/');
    const settings = {
      DATABASE_URL: url.replace('postgres:5432', `127.0.0.1:${postgres.port}`),
      SYMBOLON_SECRET: secret,
    };
    const provider = await startProcess({ ...settings, DATABASE_PASSWORD: password });
    try {
      expect((await fetch(`${provider.url}/readyz`)).status).toBe(200);
    } finally {
      await provider.end();
    }
    await expect(startProcess({ ...settings, DATABASE_PASSWORD: 'another' })).rejects.toThrow(
      'password',
    );
  } finally {
    await postgres.remove();
  }
});
