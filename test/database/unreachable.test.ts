// A database that cannot be used: the start says which setting is wrong, what was tried and what to do, soon, and without
// the password.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { openDatabase } from '../../src/database/open.ts';
import { freePort, run } from '../support/process.ts';
import { secret } from '../support/provider.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

async function whyNot(databaseUrl: string): Promise<string> {
  try {
    await (await openDatabase({ databaseUrl, dataDir: '' })).close();
  } catch (error) {
    const { message } = error as Error;
    expect(message).toMatch(/^DATABASE_URL: /);
    expect(message).not.toContain('hush');
    return message;
  }
  throw new Error('it could be opened');
}

const changed = (change: (url: URL) => void): string => {
  const url = new URL(inject('postgres'));
  change(url);
  return url.href;
};

test('nothing listens: the process says so and ends', async () => {
  const port = await freePort();
  const { code, stdout, stderr } = await run(['src/main.ts'], {
    DATABASE_URL: `postgresql://someone:hush@localhost:${port}/x`,
    SYMBOLON_SECRET: secret,
  });
  expect(code).toBe(1);
  expect(stderr).toContain(`DATABASE_URL: the PostgreSQL at localhost:${port}`);
  expect(stderr).toMatch(/database x, user someone.*cannot be reached.*ECONNREFUSED/);
  expect(stdout + stderr).not.toContain('hush');
});

test('no such host', async () => {
  expect(await whyNot('postgresql://u:hush@db.invalid/x')).toMatch(/no such host name/);
});

test('a server that takes the connection and is silent', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  onTestFinished(() => void silent.close());
  const { port } = silent.address() as AddressInfo;
  for (const mode of ['disable', 'prefer'])
    expect(
      await whyNot(`postgresql://u:hush@127.0.0.1:${port}/x?connect_timeout=2&sslmode=${mode}`),
    ).toMatch(/did not answer in time/);
});

test('a wrong password', async () => {
  expect(await whyNot(changed((url) => (url.password = 'hush')))).toMatch(
    /refused us, "password authentication failed.*Mend user and password/,
  );
});

test('no such database', async () => {
  expect(await whyNot(changed((url) => (url.pathname = '/nowhere')))).toMatch(
    /no such database.*CREATE DATABASE/,
  );
});

test('each of several hosts is told', async () => {
  const [a, b] = [await freePort(), await freePort()];
  expect(await whyNot(`postgresql://u:hush@127.0.0.1:${a},127.0.0.1:${b}/x`)).toMatch(
    new RegExp(`127.0.0.1:${a}: nothing listens.*127.0.0.1:${b}: nothing listens`),
  );
});
