// SYMBOLON_SECRET is lost: `symbolon secret abandon` on what a provider has left, and another provider after it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { sealedLinks } from '../../src/accounts/links.ts';
import { makeRecoveryCodes } from '../../src/accounts/recovery-codes.ts';
import { sealedTotp } from '../../src/accounts/totp.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring, sha256 } from '../../src/keys/keyring.ts';
import { sealEvents } from '../../src/storage/audit/seal.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { sealedDeliveries } from '../../src/storage/deliveries.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { person, publicClient, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const NEXT = 'the former one was on a disk that has burnt';
const grants = { grant_types: [...webClient.grant_types, 'password'] };
const web = { ...webClient, ...grants };
const spa = { ...publicClient, ...grants };
const apart = { ...spa, client_id: 'apart', subject_type: 'pairwise' };

let database: TestDatabase;
let prisma: PrismaClient;
let provider: ProviderProcess;
let browser: Agent;
let environment: Record<string, string>;
const tokens = { web: '', spa: '', apart: '' };

const abandon = (...args: string[]) =>
  run(['src/cli.ts', 'secret', 'abandon', ...args], { ...environment, SYMBOLON_SECRET: NEXT });
const symbolon = (...args: string[]) =>
  run(['src/cli.ts', ...args], { ...environment, SYMBOLON_SECRET: NEXT });

beforeAll(async () => {
  database = await createDatabase();
  const own = new URL(database.url);
  own.searchParams.set('application_name', 'test'); // not a process of Symbolon
  prisma = connect(own.href);
  const port = String(await freePort());
  environment = {
    ...{ DATABASE_URL: database.url, PORT: port, SYMBOLON_ISSUER: `http://localhost:${port}` },
    ...{ SYMBOLON_SECRET: secret, SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
  };
  const keyring = new Keyring([secret]);
  const { id: accountId } = await addAccount(prisma, person, { admin: false });
  for (const client of [web, spa, apart]) await insertClient(prisma, keyring, client);
  provider = await startProcess(environment);
  for (const client of [web, spa, apart])
    tokens[client.client_id as keyof typeof tokens] = await newFamily(provider.url, client);
  browser = new Agent(provider.url);
  await browser.walk('/account');
  const now = new Date();
  const expiresAt = new Date(now.getTime() + 3_600_000);
  const grace = await addAccount(
    prisma,
    { ...person, email: 'grace@example.com' },
    { admin: false },
  );
  await prisma.passkey.create({
    data: { id: 'passkey', accountId: grace.id, publicKey: new Uint8Array(77), name: 'Key' },
  });
  await prisma.totp.create({
    data: {
      ...{ accountId, confirmedAt: now },
      sealed: keyring.seal(sealedTotp.context(accountId as never), 'JBSWY3DPEHPK3PXP'),
    },
  });
  const parts = {
    storage: { prisma, keyring, now: () => now },
    origin: { ip: undefined, userAgent: undefined },
  };
  await makeRecoveryCodes(prisma, parts, accountId);
  const [sent, signingUp] = [sha256('invitation'), sha256('sign-up')];
  const sealed = keyring.seal(sealedLinks.context(signingUp), '{}');
  await prisma.link.createMany({
    data: [
      { id: sent, purpose: 'invitation', email: 'bob@example.com', expiresAt },
      { id: signingUp, purpose: 'sign_up', email: 'eve@example.com', sealed, expiresAt },
    ],
  });
  await prisma.delivery.create({
    data: {
      ...{ id: 'one', channel: 'http', nextAt: expiresAt, expiresAt },
      sealed: keyring.seal(sealedDeliveries.context('one'), '{}'),
    },
  });
  await sealEvents({ prisma, keyring, now: () => now });
});
afterAll(async () => {
  await provider.end();
  await prisma.$disconnect();
  await database.drop();
});

/** How many rows there are of what may be cleared. */
const counts = async () => ({
  keys: await prisma.signingKey.count(),
  secrets: await prisma.client.count({ where: { secret: { not: null } } }),
  totp: await prisma.totp.count(),
  links: await prisma.link.count(),
  codes: await prisma.recoveryCode.count(),
  sessions: await prisma.artifact.count({ where: { model: 'Session' } }),
  seals: await prisma.auditCheckpoint.count(),
  alive: await prisma.refreshFamily.count({ where: { endedAt: null } }),
});

test('while a process has the secret, nothing is cleared: it is not lost', async () => {
  const before = await counts();
  const { code, stderr } = await abandon('--yes');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^A process of Symbolon uses the database, from .*Nothing was cleared\.$/m,
  );
  expect(await counts()).toEqual(before);
  await provider.end();
});

test('nor without a yes: it is listed; the start names the command', async () => {
  await expect(startProcess({ ...environment, SYMBOLON_SECRET: NEXT })).rejects.toThrow(
    '`symbolon secret abandon` tells what can be kept',
  );
  const before = await counts();
  const { code, stdout, stderr } = await abandon();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/client secrets: web$/m);
  expect(stderr).toMatch(/apps for one-time codes: ada@example\.com$/m);
  expect(stderr).toMatch(/applications with pairwise subjects: apart$/m);
  expect(stderr).toContain('There is no terminal to ask at: say --yes. Nothing was cleared.');
  expect(await counts()).toEqual(before);
  expect(await prisma.auditEvent.count({ where: { type: 'secret.abandoned' } })).toBe(0);
});

test('who is at a terminal is asked', async (context) => {
  const at = (answer: string) =>
    spawnSync('script', ['-qec', `${process.execPath} src/cli.ts secret abandon`, '/dev/null'], {
      ...{ cwd: join(import.meta.dirname, '../..'), input: `${answer}\n`, encoding: 'utf8' },
      env: { ...process.env, ...environment, SYMBOLON_SECRET: NEXT },
    });
  if (spawnSync('script', ['--version']).status !== 0)
    context.skip('script is missing, of util-linux');
  const before = await counts();
  const { stdout } = at('yes');
  expect(stdout).toContain('Write abandon to clear it:');
  expect(stdout).toContain('Nothing was cleared.');
  expect(await counts()).toEqual(before);
});

test('what can be kept is kept, what cannot is told and cleared, and a provider goes on', async () => {
  const { code, stdout, stderr } = await abandon('--yes', '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lost = JSON.parse(stdout) as Record<string, Record<string, number>>;
  expect(lost).toMatchObject({
    installation_secrets: { audit: 1, pairwise: 1, recovery: 1 },
    client_secrets: { web: 1 },
    artifacts: { Session: 1 },
    deliveries: expect.anything() as unknown,
    one_time_codes: { 'ada@example.com': 1 },
    links: { 'eve@example.com': 1 },
    recovery_codes: { 'ada@example.com': 10 },
    pairwise_subjects: { apart: 1 },
    audit_seals: expect.anything() as unknown,
  });
  expect(Object.keys(lost['signing_keys'] ?? {}).length).toBeGreaterThan(5);
  expect(await counts()).toEqual({
    ...{ keys: 0, secrets: 0, totp: 0, links: 1, codes: 0, sessions: 0, seals: 0, alive: 2 },
  });
  const events = await prisma.auditEvent.findMany({
    where: { type: { in: ['secret.abandoned', 'totp.removed'] } },
    select: { type: true, actorKind: true, detail: true },
  });
  expect(events).toMatchObject([
    { type: 'totp.removed', actorKind: 'operator' },
    { type: 'secret.abandoned', actorKind: 'operator', detail: { client_secrets: 1 } },
  ]);

  provider = await startProcess({ ...environment, SYMBOLON_SECRET: NEXT });
  expect((await fetch(`${provider.url}/readyz`)).status).toBe(200);
  // The person, with the password alone; the mail about that can be opened.
  expect(
    (await browser.open('/account')).html.querySelector('input[name="password"]'),
  ).toBeTruthy();
  const account = await browser.walk('/account');
  expect(account.html.querySelector('main')?.text).toContain(person.email);
  expect(await prisma.passkey.count()).toBe(1);
  // A public client goes on; one with pairwise subjects begins anew.
  const { status, body } = await refreshAt(provider.url, tokens.spa, spa);
  expect(status).toBe(200);
  expect((await refreshAt(provider.url, body.refresh_token ?? '', spa)).status).toBe(200);
  expect((await refreshAt(provider.url, tokens.apart, apart)).body.error_description).toMatch(
    /^revoked_by_admin/,
  );
  // One with a secret needs another, and goes on.
  const without = await refreshAt(provider.url, tokens.web, web);
  expect(without.status).toBeLessThan(500);
  expect(without.status).toBeGreaterThanOrEqual(400);
  const made = await symbolon('client', 'secret', 'replace', 'web', '--json');
  expect({ code: made.code, stderr: made.stderr }).toEqual({ code: 0, stderr: '' });
  const another = JSON.parse(made.stdout) as { client_id: string; client_secret: string };
  expect((await refreshAt(provider.url, tokens.web, web)).status).toBe(401);
  expect((await refreshAt(provider.url, tokens.web, another)).status).toBe(200);

  const verified = await symbolon('audit', 'verify');
  expect({ code: verified.code, stderr: verified.stderr }).toEqual({ code: 0, stderr: '' });
  const keyring = new Keyring([NEXT]);
  expect(await sealEvents({ prisma, keyring, now: () => new Date() })).toHaveLength(1);
  expect((await symbolon('audit', 'verify')).code).toBe(0);
});

test('a second time there is nothing to do', async () => {
  await provider.end();
  const events = await prisma.auditEvent.count();
  const { code, stdout } = await abandon();
  expect(code).toBe(0);
  expect(stdout).toContain('nothing is lost, nothing changed');
  expect(await prisma.auditEvent.count()).toBe(events);
});

test('client secret: one that is chosen, and who has none', async () => {
  const refused = async (input: string, id: string, ...more: string[]) =>
    (
      await run(
        ['src/cli.ts', 'client', 'secret', 'replace', id, ...more],
        { ...environment, SYMBOLON_SECRET: NEXT },
        input,
      )
    ).stderr;
  expect(await refused('short', 'web', '--secret-stdin')).toContain('at least 16 are wanted');
  expect(await refused('', 'spa')).toContain('does not use a secret');
  expect(await refused('', 'nobody')).toContain('There is no client "nobody"');
  expect(await refused(webClient.client_secret, 'web', '--secret-stdin')).toBe('');
  const again = await startProcess({ ...environment, SYMBOLON_SECRET: NEXT });
  onTestFinished(async () => {
    await again.end();
  });
  expect((await refreshAt(again.url, tokens.web, web)).status).toBe(200);
});
