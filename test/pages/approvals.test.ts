// What waits for a person's answer (CIBA): answered once, by who is signed in, from this page, and never in a flood.
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { artifactId } from '../../src/storage/artifacts.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { hold, queued } from '../faults/locks.ts';
import { Agent } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';
import { signOutEverywhere } from '../support/changes.ts';

const CIBA = 'urn:openid:params:grant-type:ciba';
const MODEL = 'BackchannelAuthenticationRequest';
const bank = {
  ...webClient,
  client_id: 'bank',
  grant_types: [CIBA, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
  backchannel_token_delivery_mode: 'poll',
};

const lately = { ...bank, client_id: 'lately', default_max_age: 60 };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_CIBA: 'true' },
    clients: [bank, lately],
  });
});
afterEach(async () => {
  vi.useRealTimers();
  await provider.storage.prisma.artifact.deleteMany({ where: { model: MODEL } });
});
afterAll(() => provider.close());

const start = (client: { client_id: string; client_secret?: string } = bank) =>
  post(
    `${provider.issuer}/backchannel_authentication`,
    { scope: 'openid offline_access', login_hint: person.email },
    client,
  ) as Promise<{ status: number; body: { auth_req_id?: string; error?: string } }>;
const poll = (id: string | undefined, client = bank) =>
  post(`${provider.issuer}/token`, { grant_type: CIBA, auth_req_id: id ?? '' }, client);
const signedIn = async () => {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(`${provider.issuer}/approve`);
  const list = await agent.submit(page, { email: person.email, password: person.password });
  return { agent, list };
};

describe('of two answers at once the first one counts', () => {
  test.each([
    ['deny', 'allow'],
    ['allow', 'allow'],
    ['allow', 'deny'],
  ])('%s, then %s', async (first, second) => {
    const { prisma } = provider.storage;
    const before = await prisma.grant.count();
    const { body } = await start();
    const { agent, list } = await signedIn();
    const id = Buffer.from(artifactId(MODEL, body.auth_req_id ?? ''));
    // Both have found it unanswered, and wait for its row.
    const held = await hold(provider.databaseUrl, 'SELECT FROM artifact WHERE id = $1 FOR UPDATE', [
      id,
    ]);
    const one = agent.submit(list, { answer: first }, /approve\/.+/);
    await queued(held.holder, 1);
    const other = agent.clone().submit(list, { answer: second }, /approve\/.+/);
    await queued(held.holder, 2);
    await held.release();
    const pages = await Promise.all([one, other]);
    expect(pages.map(({ status }) => status).sort()).toEqual([200, 400]);
    const allowed = pages.some((page) => page.html.querySelector('h1')?.text === 'Done');
    expect(await prisma.grant.count()).toBe(before + (allowed ? 1 : 0));
    const answer = await poll(body.auth_req_id);
    expect(answer.status).toBe(allowed ? 200 : 400);
  });

  test('an answer that comes after the tokens were fetched changes nothing', async () => {
    const { body } = await start();
    const { agent, list } = await signedIn();
    const late = agent.clone();
    await agent.submit(list, { answer: 'allow' }, /approve\/.+/);
    const tokens = await poll(body.auth_req_id);
    expect(tokens.status).toBe(200);
    const again = await late.submit(list, { answer: 'deny' }, /approve\/.+/);
    expect(again.html.text).toContain('Nothing waits for you');
  });
});

test('signing out everywhere while the answer is on its way: it does not count', async () => {
  const { body } = await start();
  const { agent, list } = await signedIn();
  const held = await hold(provider.databaseUrl, 'SELECT FROM artifact WHERE id = $1 FOR UPDATE', [
    Buffer.from(artifactId(MODEL, body.auth_req_id ?? '')),
  ]);
  const answer = agent.submit(list, { answer: 'allow' }, /approve\/.+/);
  await queued(held.holder, 1);
  await signOutEverywhere(
    { storage: provider.storage, origin: commandLine },
    provider.accountId,
    'revoked_by_user',
  );
  await held.release();
  expect((await answer).status).toBe(400);
  expect((await poll(body.auth_req_id)).body.error).toBe('authorization_pending');
  await provider.storage.prisma.account.update({
    where: { id: provider.accountId },
    data: { signedOutAt: null },
  });
});

test('a client’s default_max_age asks for another sign-in before the answer, and once', async () => {
  const { agent } = await signedIn();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 });
  const { body } = await start(lately);
  const list = await agent.open(`${provider.issuer}/approve`);
  const old = await agent.submit(list, { answer: 'allow' }, /approve\/.+/);
  expect(old.url.pathname).toBe('/sign-in');
  expect((await poll(body.auth_req_id, lately)).body.error).toBe('authorization_pending');
  const again = await agent.submit(old, { email: person.email, password: person.password });
  // A while is left for reading.
  vi.setSystemTime(Date.now() + 90_000);
  const done = await agent.submit(again, { answer: 'allow' }, /approve\/.+/);
  expect(done.url.pathname).toMatch(/^\/approve\/.+/);
  const { status, body: tokens } = await poll(body.auth_req_id, lately);
  expect(status).toBe(200);
  const { auth_time: at = 0 } = decodeJwt<{ auth_time?: number }>(tokens.id_token ?? '');
  expect(Date.now() / 1000 - at).toBeLessThan(100);
});

test('no is said without another sign-in', async () => {
  const { agent } = await signedIn();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 });
  const { body } = await start(lately);
  const list = await agent.open(`${provider.issuer}/approve`);
  await agent.submit(list, { answer: 'deny' }, /approve\/.+/);
  expect((await poll(body.auth_req_id, lately)).body.error).toBe('access_denied');
});

test('one client cannot bury a person in requests', async () => {
  for (let count = 0; count < 5; count++) expect((await start()).status).toBe(200);
  expect((await start()).body.error).toBe('access_denied');
  const { agent, list } = await signedIn();
  expect(list.html.querySelectorAll('.request')).toHaveLength(5);
  await agent.submit(list, { answer: 'deny' }, /approve\/.+/);
  expect((await start()).status).toBe(200); // what was answered does not count
});

test('only clients that authenticate may ask', async () => {
  await provider.addClient({
    ...publicClient,
    client_id: 'anybody',
    grant_types: bank.grant_types,
    response_types: [],
    redirect_uris: [],
    backchannel_token_delivery_mode: 'poll',
  });
  const answer = await start({ client_id: 'anybody' });
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(
    await provider.storage.prisma.artifact.count({ where: { model: MODEL, clientId: 'anybody' } }),
  ).toBe(0);
});

test('a request of a client that has gone is not shown, and hides no other', async () => {
  await provider.addClient({ ...bank, client_id: 'gone' });
  await start({ ...bank, client_id: 'gone' });
  await start();
  await provider.storage.prisma.client.delete({ where: { id: 'gone' } });
  const { list } = await signedIn();
  expect(list.status).toBe(200);
  expect(list.html.querySelectorAll('.request')).toHaveLength(1);
});

test('a form that another site sends is refused, and a body that cannot be read is no fault of ours', async () => {
  const { agent, list } = await signedIn();
  const cookie = agent.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const csrf = list.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
  const send = (headers: Record<string, string>, body: string | Buffer) =>
    fetch(`${provider.issuer}/approve/sign-in`, {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body,
      redirect: 'manual',
    });
  const form = new URLSearchParams({ csrf, email: person.email, password: person.password });
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of foreign) {
    const answer = await send(headers, form.toString());
    expect({ headers, status: answer.status }).toEqual({ headers, status: 400 });
    expect(answer.headers.getSetCookie()).toEqual([]);
  }
  expect((await send({ 'content-encoding': 'gzip' }, Buffer.from('no gzip'))).status).toBe(400);
});
