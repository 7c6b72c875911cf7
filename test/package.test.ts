// The npm package, as somebody has it who knows nothing of the checkout: packed, installed into an empty folder, run by npx.
// What it depends on comes from a registry of what the checkout has installed, so that no network is needed.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from './support/database.ts';
import { npmEnvironment, pack } from './support/package.ts';
import { freePort } from './support/process.ts';
import { secret } from './support/provider.ts';
import { type Registry, startRegistry } from './support/registry.ts';

const root = join(import.meta.dirname, '..');
const run = promisify(execFile);
const MB = 1_000_000;

interface Manifest {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

let folder: string;
/** Where it is installed: empty before. */
let cwd: string;
let registry: Registry;
let tarball: string;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'symbolon-package-'));
  registry = await startRegistry(root);
  environment = npmEnvironment(folder, registry);
  tarball = await pack(folder, environment);
  cwd = join(folder, 'empty');
  mkdirSync(cwd);
  await npmInstall();
});
afterAll(async () => {
  await registry.close();
  await rm(folder, { recursive: true });
});

/** Installs the tarball; no script of a package runs. */
async function npmInstall(...options: string[]): Promise<void> {
  await run('npm', ['install', '--ignore-scripts', ...options, tarball], { cwd, env: environment });
}

/** What files take of the disk, in bytes. */
async function sizeOf(path: string): Promise<number> {
  const { stdout } = await run('du', ['-sk', path]);
  return Number.parseInt(stdout) * 1024;
}

/** Starts `npx symbolon …`, and waits until it says this. */
async function start(
  args: readonly string[],
  settings: Record<string, string>,
  until: string,
): Promise<ChildProcess> {
  const child = spawn('npx', ['symbolon', ...args], {
    ...{
      cwd,
      env: { ...environment, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  });
  let output = '';
  const ended = once(child, 'exit').then(() => {
    throw new Error(`symbolon ${args.join(' ')} ended: ${output}`);
  });
  ended.catch(() => undefined); // at the end it ends
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (output += String(chunk)));
  while (!output.includes(until)) await Promise.race([once(child.stdout, 'data'), ended]);
  return child;
}

/** As Ctrl+C does it: npx hands no signal on, so its process group gets it. */
async function stop(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close'); // when the last of the group has ended
  process.kill(-(child.pid ?? 0), 'SIGTERM');
  await closed;
}

/** Runs `npx symbolon …` to its end. @returns what it printed */
async function symbolon(
  args: readonly string[],
  settings: Record<string, string> = {},
  input = '',
): Promise<string> {
  const running = run('npx', ['symbolon', ...args], { cwd, env: { ...environment, ...settings } });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/** One PostgreSQL for all of them. */
const data = () => join(folder, 'data');

describe('installed into an empty folder', () => {
  test('takes less than 120 MB, and nothing that is for development alone', async () => {
    expect(await sizeOf(join(cwd, 'node_modules'))).toBeLessThan(120 * MB);
    const development = Object.keys(manifest.devDependencies).filter(
      (name) =>
        // Types come with what needs them.
        existsSync(join(cwd, 'node_modules', name)) && !name.startsWith('@types/'),
    );
    expect(development.filter((name) => name !== '@prisma/driver-adapter-utils')).toEqual([]);
    for (const name of ['prisma', '@prisma/client', 'react', 'typescript'])
      expect(registry.fetched).not.toContain(name);
  });

  test('has JavaScript with maps to its TypeScript, and the licence of what was copied', () => {
    const at = join(cwd, 'node_modules/symbolon');
    expect(globSync('{src,test,**/*.ts}', { cwd: at })).toEqual([]);
    const map = JSON.parse(readFileSync(join(at, 'dist/app.js.map'), 'utf8')) as {
      sourcesContent: string[];
    };
    expect(map.sourcesContent).toEqual([readFileSync(join(root, 'src/app.ts'), 'utf8')]);
    expect(readFileSync(join(at, 'dist/generated/prisma-runtime/LICENSE'), 'utf8')).toContain(
      'Apache License',
    );
  });

  test('npx symbolon --help names the commands', async () => {
    const help = await symbolon(['--help']);
    for (const name of ['serve', 'demo', 'migrate', 'user', 'client', 'family'])
      expect(help).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  test('serves, on a PostgreSQL of its own, and its commands work beside it', async () => {
    const port = String(await freePort());
    const settings = { PORT: port, SYMBOLON_STOP_DELAY: '0', SYMBOLON_DATA_DIR: data() };
    const server = await start(['serve'], settings, 'npx symbolon client add');
    try {
      const issuer = `http://localhost:${port}`;
      const discovery = await fetch(`${issuer}/.well-known/openid-configuration`);
      expect(await discovery.json()).toMatchObject({ issuer });
      const added = ['user', 'add', 'ada@example.com', '--password-stdin'];
      await symbolon(added, settings, 'two halves that match');
      expect(await symbolon(['user', 'list'], settings)).toContain('ada@example.com');
    } finally {
      await stop(server);
    }
  });

  test('shows the demo', async () => {
    const [provider, demo] = [await freePort(), await freePort()];
    const settings = {
      ...{ PORT: String(provider), DEMO_PORT: String(demo) },
      ...{ SYMBOLON_STOP_DELAY: '0', SYMBOLON_DATA_DIR: data() },
    };
    const child = await start(['demo'], settings, 'Ctrl+C');
    try {
      expect(await (await fetch(`http://localhost:${demo}/`)).text()).toContain('Sign in');
      expect((await fetch(`http://localhost:${demo}/style.css`)).status).toBe(200);
    } finally {
      await stop(child);
    }
  });
});

test('without optional packages it takes less than 60 MB, and hashes passwords all the same', async () => {
  await npmInstall('--omit=optional');
  expect(await sizeOf(join(cwd, 'node_modules'))).toBeLessThan(60 * MB);
  expect(globSync('**/*.node', { cwd })).toEqual([]);
  const database = await createDatabase();
  try {
    const settings = { DATABASE_URL: database.url, SYMBOLON_SECRET: secret };
    const added = ['user', 'add', 'ada@example.com', '--password-stdin'];
    await symbolon(added, settings, 'two halves that match');
    expect(await symbolon(['user', 'list'], settings)).toContain('ada@example.com');
  } finally {
    await database.drop();
  }
});
