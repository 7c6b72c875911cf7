// `symbolon family` as real processes on a real database, beside a running server: lists by every option, and what is told
// of a family and of a token, which is what then happens to it.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../src/accounts/accounts.ts';
import { connect } from '../src/database/open.ts';
import type { PrismaClient } from '../src/generated/client.ts';
import { Keyring } from '../src/keys/keyring.ts';
import { insertClient } from '../src/storage/clients.ts';
import { commandsWith } from './support/commands.ts';
import { type TestDatabase, createDatabase } from './support/database.ts';
import { type ProviderProcess, freePort, startProcess } from './support/process.ts';
import { person, secret, webClient } from './support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt, secretOf } from './support/token-endpoint.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const WINDOW = 86_400; // seconds: longer than the slowest machine takes
const web = {
  ...webClient,
  grant_types: [...webClient.grant_types, 'password'],
  refresh_token_retry_window: WINDOW,
};
const lenient = { ...web, client_id: 'lenient', refresh_token_on_reuse: 'refuse' };

let database: TestDatabase;
let environment: Record<string, string>;
let server: ProviderProcess;
let prisma: PrismaClient;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  for (const client of [web, lenient]) await insertClient(prisma, new Keyring([secret]), client);
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  server = await startProcess({
    ...environment,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
  });
});
beforeEach(async () => {
  await prisma.refreshFamily.deleteMany();
  await prisma.auditEvent.deleteMany();
});
afterAll(async () => {
  await server.end();
  await prisma.$disconnect();
  await database.drop();
});

const { symbolon, said } = commandsWith(() => environment);
async function json<T>(args: string, input?: string): Promise<T> {
  return JSON.parse(await said(`${args} --json`, input)) as T;
}
const fresh = (client = web) => newFamily(server.url, client);
async function refresh(token: string, client = web) {
  const { status, body } = await refreshAt(server.url, token, client);
  return { status, next: body.refresh_token ?? '', why: body.error_description };
}
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);
const change = (token: string, data: Parameters<typeof prisma.refreshFamily.update>[0]['data']) =>
  prisma.refreshFamily.update({ where: { id: familyIdOf(token) }, data });

describe('list', () => {
  const list = async (options: string) =>
    (await json<{ id: string }[]>(`family list ${options}`.trim())).map(({ id }) => id);

  test('by reason, by time, alive, page by page', async () => {
    const HOUR = 3600;
    const alive = await fresh();
    const revoked = await fresh();
    const reused = await fresh();
    const idle = await fresh();
    await post(`${server.url}/revoke`, { token: revoked }, web);
    await refresh((await refresh(reused)).next);
    expect((await refresh(reused)).status).toBe(400);
    const old = (hours: number) => ({
      createdAt: ago(hours * HOUR),
      lastUsedAt: ago(hours * HOUR),
    });
    await change(idle, { ...old(4), idleExpiresAt: ago(1) });
    await change(reused, { ...old(3), endedAt: ago(10) }); // ended now
    await change(revoked, { ...old(2), endedAt: ago(2 * HOUR) });
    const ids = [alive, revoked, reused, idle].map(familyIdOf);
    const [first = '', second = '', third = '', fourth = ''] = ids;

    expect(await list('')).toEqual(ids);
    expect(await list('--alive')).toEqual([first]);
    expect(await list('--reason reuse')).toEqual([third]);
    expect(await list('--reason revoked_by_client')).toEqual([second]);
    expect(await list('--reason limit')).toEqual([]);
    // Started, used or ended since.
    expect(await list(`--since ${ago(HOUR).toISOString()}`)).toEqual([first, third]);
    expect(await list(`--since ${ago(3.5 * HOUR).toISOString()} --reason reuse`)).toEqual([third]);
    expect(await list(`--since ${ago(-HOUR).toISOString()}`)).toEqual([]);
    expect(await list('--limit 2')).toEqual([first, second]);
    expect(await list(`--limit 2 --after ${second}`)).toEqual([third, fourth]);
    expect(await list(`--after ${fourth}`)).toEqual([]);

    const page = (await symbolon('family list --limit 3')).stdout;
    expect(page).toContain(`There are more: --after ${third}`);
    expect(page).toContain('ended: reuse');
    expect((await symbolon(`family list --limit 3 --after ${third}`)).stdout).not.toContain('more');
  });

  test.each([
    ['--reason tired', 'Allowed choices'],
    ['--since yesterday', 'A time looks like'],
    ['--limit 0', 'A number from 1'],
    ['--after nobody', 'There is no family nobody'],
  ])('%s is no option: it says so', async (options, words) => {
    const { code, stdout, stderr } = await symbolon(`family list ${options}`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(words);
  });
});

test('show: generations, retries with when and from where, the former token’s end, scope, rules', async () => {
  const token = await fresh();
  const { next } = await refresh(token);
  const phone = {
    authorization: `Basic ${btoa(`web:${web.client_secret.replaceAll(' ', '%20')}`)}`,
  };
  const retried = await fetch(`${server.url}/token`, {
    method: 'POST',
    headers: { ...phone, 'user-agent': 'Phone/1.0' },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
  });
  expect(await retried.json()).toMatchObject({ refresh_token: next });
  const id = familyIdOf(token);
  const row = await prisma.refreshFamily.findUniqueOrThrow({ where: { id } });
  const until = new Date((row.rotatedAt?.getTime() ?? 0) + WINDOW * 1000).toISOString();
  const { at } = row.retries as { at: string };
  expect(await json(`family show ${id}`)).toMatchObject({
    ...{ id, state: 'active', generation: 1, rotations: 1, scope: 'openid offline_access' },
    ...{ retries: 1, retried_at: at, retried_user_agent: 'Phone/1.0' },
    retried_ip: expect.stringMatching(/127\.0\.0\.1|::1/) as string,
    former_token_until: until,
    rules: { refresh_token_retry_window: WINDOW, refresh_token_rotation: 'always' },
  });
  const story = (await symbolon(`family show ${id}`)).stdout;
  const said = (date: string) => `${date.slice(0, 19).replace('T', ' ')} UTC`;
  expect(story).toContain('Renewed once');
  expect(story).toMatch(
    new RegExp(`answered again once, last on ${said(at)} from \\S+ \\(Phone/1\\.0\\)`),
  );
  expect(story).toContain(`The token before the current one is answered until ${said(until)}.`);
  expect(story).toContain('Scope: openid offline_access.');
  expect(story).toContain(`refresh_token_retry_window ${WINDOW}`);
  // Once the window is over it says nothing of it.
  await change(token, { rotatedAt: ago(WINDOW + 1) });
  expect((await symbolon(`family show ${id}`)).stdout).not.toContain('is answered until');
  // An end that the person has chosen, after the idle one and before it.
  const ending = async (days: number) => {
    const end = ago(-days * 86_400);
    await change(token, { consentExpiresAt: end });
    return { end: said(end.toISOString()), told: (await symbolon(`family show ${id}`)).stdout };
  };
  const late = await ending(60);
  expect(late.told).toContain(`unless it is used before, and on ${late.end} at the latest.`);
  const soon = await ending(10);
  expect(soon.told).toContain(`it ends on ${soon.end}, however much it is used.`);
});

describe('explain', () => {
  const explain = (token: string) => json<Record<string, unknown>>('family explain', `${token}\n`);
  const verdict = async (token: string) => (await explain(token))['verdict'];

  test('a current, a former, a used-up and a forgotten token, and one that was made up', async () => {
    const first = await fresh();
    const second = (await refresh(first)).next;
    const third = (await refresh(second)).next;
    expect(await explain(third)).toMatchObject({ verdict: 'rotate', token_generation: 2 });
    expect(await explain(second)).toMatchObject({ verdict: 'retry', token_generation: 1 });
    expect(await verdict(first)).toBe('reuse');
    const id = familyIdOf(first);
    for (const madeUp of [`${id}.${'A'.repeat(43)}`, `symr_${id}.1.${'A'.repeat(64)}`]) {
      const { stdout } = await symbolon('family explain', madeUp);
      expect(stdout).toContain('The token was never issued: it is made up');
      expect(stdout).not.toContain('used up:');
      expect(await verdict(madeUp)).toBe('unknown');
      // So it is: nothing ends.
      expect((await refresh(madeUp)).why).toBe('grant request is invalid');
    }
    const said = (await symbolon('family explain', first)).stdout;
    expect(said).toContain('The token is used up: presenting it ends the family.');
    expect(said).not.toContain(secretOf(first));
    const nobody = await symbolon('family explain', `symr_${'A'.repeat(22)}.1.${'A'.repeat(64)}`);
    expect({ code: nobody.code, stdout: nobody.stdout }).toEqual({ code: 1, stdout: '' });
    await change(third, { generation: 0, previousHash: null });
    expect(await verdict(second)).toBe('catch_up');
    expect((await refresh(second)).status).toBe(200);
  });

  test('of one whose use is refused and ends nothing, it says so', async () => {
    const first = await fresh(lenient);
    await refresh((await refresh(first, lenient)).next, lenient);
    expect((await symbolon('family explain', first)).stdout).toContain('its family lives on');
    expect((await refresh(first, lenient)).status).toBe(400);
    expect((await prisma.refreshFamily.findFirstOrThrow()).endedAt).toBeNull();
  });

  test('foresees that one more late retry is one too many', async () => {
    const token = await fresh();
    const { next } = await refresh(token);
    const retries = (late: number, elsewhere: number) => ({
      ...{ count: late, at: ago(30).toISOString(), ip: '127.0.0.1', user_agent: 'x' },
      late: { generation: 0, length: late },
      elsewhere: { generation: 0, length: elsewhere },
    });
    const rotatedAt = ago(60);
    const from = new Date(rotatedAt.getTime() + 10_000).toISOString();
    // One or two are answered.
    await change(token, { rotatedAt, retries: retries(8, 1) });
    expect(await explain(token)).toMatchObject({ verdict: 'retry', one_too_many: null });
    // The third in a row from another device, who is not known before it comes.
    await change(token, { retries: retries(8, 2) });
    expect(await explain(token)).toMatchObject({
      verdict: 'retry',
      one_too_many: { from, by: 'another_device' },
    });
    expect((await symbolon('family explain', token)).stdout).toMatch(
      /Presented after .* from another device .* ends the family: one late retry too many/,
    );
    // The tenth from any.
    await change(token, { retries: retries(9, 0) });
    expect(await explain(token)).toMatchObject({
      verdict: 'in_step',
      one_too_many: { from, by: 'anybody' },
    });
    expect((await symbolon('family explain', token)).stdout).toContain(
      'presenting it now ends the family (in_step)',
    );
    // Not yet late, it is answered.
    await change(token, { rotatedAt: new Date(Date.now() + 60_000) });
    expect(await verdict(token)).toBe('retry');
    expect(await verdict(next)).toBe('rotate');
    await change(token, { rotatedAt });
    // What was foretold happens.
    expect((await refresh(token)).why).toMatch(/^in_step: /);
    expect((await prisma.refreshFamily.findFirstOrThrow()).endReason).toBe('in_step');
    expect(await verdict(next)).toBe('ended');
  });
});
