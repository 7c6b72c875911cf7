// What a start loads and keeps. How long it takes is a matter of the machine; this is what it takes that time for.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { run, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';

let folder: string;
let database: TestDatabase;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'symbolon-start-'));
  database = await createDatabase();
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await database.drop();
});

/** Settings, and the file that names what the program loads. */
function watched(name: string) {
  const file = join(folder, name);
  return {
    environment: {
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      MODULES_FILE: file,
      NODE_OPTIONS: `--import=${join(import.meta.dirname, '../support/loaded-modules.mjs')}`,
    },
    loaded: async () => (await readFile(file, 'utf8')).trim().split('\n'),
  };
}

const of = (name: string) => expect.stringContaining(`/node_modules/${name}/`) as string;

describe('a command loads what it needs', () => {
  test('help: nothing but the names of the commands', async () => {
    const { environment, loaded } = watched('help');
    const { code } = await run(['src/cli.ts', '--help'], environment);
    expect(code).toBe(0);
    const modules = await loaded();
    expect(modules.filter((url) => url.includes('/src/')).length).toBeLessThan(6);
    for (const name of ['pg', 'zod', 'oidc-provider', 'koa'])
      expect(modules).not.toContainEqual(of(name));
  });

  test('a command on the database: no server, no pages', async () => {
    const { environment, loaded } = watched('list');
    const { code, stderr } = await run(['src/cli.ts', 'user', 'list'], environment);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const modules = await loaded();
    expect(modules).toContainEqual(of('pg'));
    for (const name of ['@simplewebauthn/server', 'nodemailer', '@zxcvbn-ts/core', 'eta', 'pino'])
      expect(modules).not.toContainEqual(of(name));
  });
});

test('the provider loads no passkeys, mails and passwords before they are asked for, and keeps less than 150 MB', async () => {
  const { environment, loaded } = watched('serve');
  const provider = await startProcess({
    ...environment,
    SYMBOLON_SMTP_URL: 'smtp://localhost:1025',
  });
  try {
    expect((await fetch(`${provider.url}/.well-known/openid-configuration`)).status).toBe(200);
    const modules = await loaded();
    for (const name of [
      '@simplewebauthn/server',
      'nodemailer',
      '@zxcvbn-ts/core',
      '@node-rs/argon2',
    ])
      expect(modules).not.toContainEqual(of(name));
    expect(modules.length).toBeLessThan(1000);
    if (process.platform === 'linux')
      await expect.poll(() => residentMemory(provider.child.pid)).toBeLessThan(150_000_000);
  } finally {
    await provider.end();
  }
});

/** The memory of a process in bytes. */
async function residentMemory(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid ?? ''}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
