// /account/applications: a person chooses until when an application stays connected, within what its policy permits, and
// the application is told (draft-ietf-oauth-refresh-token-expiration-03 §5, §6, §9).
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { Agent, type Page } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  type Tokens,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import { familyIdOf, post } from '../support/token-endpoint.ts';

const DAY = 86_400;
const IDLE = 14 * DAY;
const ABSOLUTE = 60 * DAY;
const lives = { refresh_token_idle_ttl: IDLE, refresh_token_absolute_ttl: ABSOLUTE };
const other = { email: 'grace@example.com', name: 'Grace Hopper', password: 'nanoseconds of wire' };

let provider: TestProvider;
let party: RelyingParty;
let agent: Agent;
let tokens: Tokens;

beforeAll(async () => {
  provider = await startProvider({ clients: [{ ...webClient, ...lives }] });
  party = await discover(provider.issuer);
  await addAccount(provider.storage.prisma, other, { admin: false });
});
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2030-01-01T12:00:00Z') });
  const { prisma } = provider.storage;
  for (const table of [prisma.refreshFamily, prisma.grant, prisma.artifact, prisma.auditEvent])
    await (table as typeof prisma.artifact).deleteMany();
  agent = new Agent(provider.issuer);
  tokens = await signIn(party, agent);
});
afterEach(() => void vi.useRealTimers());
afterAll(() => provider.close());

const at = (path = '') => `${provider.issuer}/account${path}`;
const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);
const open = () => agent.open(at('/applications'));
const choose = async (until: string | number, page?: Page) =>
  agent.submit(page ?? (await open()), { until: String(until) }, /\/until\//);
const notice = (page: Page) => page.html.querySelector('[role=status]')?.text;
const choices = (page: Page) =>
  page.html
    .querySelectorAll('select[name=until] option')
    .map((option) => [option.getAttribute('value'), option.text]);
const chosen = (page: Page) =>
  page.html.querySelector('select[name=until] option[selected]')?.getAttribute('value');
const family = () => provider.storage.prisma.refreshFamily.findFirstOrThrow();
const consentEnd = async () => {
  const { payload } = await provider.storage.prisma.grant.findFirstOrThrow();
  return (payload as { consentExpiresAt?: number }).consentExpiresAt;
};
const events = () =>
  provider.storage.prisma.auditEvent.findMany({ where: { type: 'family.end_chosen' } });
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000);
const told = ({ refresh_token_timeout: timeout, authorization_expires_in: left }: Tokens) => ({
  timeout,
  left,
});

describe('the choices', () => {
  test('are within the policy, each with its date, the present one first', async () => {
    const page = await open();
    expect(choices(page)).toEqual([
      [String(DAY), 'January 2, 2030 (1 day)'],
      [String(7 * DAY), 'January 8, 2030 (7 days)'],
      [String(30 * DAY), 'January 31, 2030 (30 days)'],
      ['allowed', 'March 2, 2030 (the latest)'],
    ]);
    expect(chosen(page)).toBe('allowed');
    const shortened = await choose(7 * DAY, page);
    expect(chosen(shortened)).toBe('');
    expect(choices(shortened)[0]).toEqual(['', 'January 8, 2030 (as now)']);
  });

  test('one that lasts less than a day has none but its own', async () => {
    pass(13 * DAY);
    for (let day = 13; day < 59; day += 13) {
      tokens = await refresh(party, refreshTokenOf(tokens));
      pass(13 * DAY);
    }
    vi.setSystemTime(new Date('2030-03-02T00:00:00Z'));
    await provider.storage.prisma.refreshFamily.updateMany({
      data: { idleExpiresAt: inSeconds(DAY) },
    });
    agent = new Agent(provider.issuer);
    await agent.walk(at('/applications'), person);
    const page = await open();
    expect(page.html.text).toContain('Notes');
    expect(page.html.querySelector('select[name=until]')).toBeNull();
  });
});

describe('an end that is chosen', () => {
  test('is shortened: the application is told, and is disconnected then', async () => {
    const page = await choose(DAY);
    expect(notice(page)).toBe('Notes stays connected until January 2, 2030 at the latest.');
    expect(await family()).toMatchObject({ consentExpiresAt: inSeconds(DAY), endedAt: null });
    expect(await consentEnd()).toBe(inSeconds(DAY).getTime() / 1000);
    pass(3600);
    const next = await refresh(party, refreshTokenOf(tokens));
    expect(told(next)).toEqual({ timeout: DAY - 3600, left: DAY - 3600 });
    // Access tokens do not outlast it.
    pass(DAY - 3600 - 60);
    const last = await refresh(party, refreshTokenOf(next));
    expect(told(last)).toEqual({ timeout: 60, left: 60 });
    expect(last.expires_in).toBe(60);
    expect(decodeJwt(last.id_token ?? '').sub).toBe(provider.accountId);
    pass(60);
    expect(await errorOf(refresh(party, refreshTokenOf(last)))).toMatchObject({
      error: 'invalid_grant',
    });
    const { body } = await post(`${provider.issuer}/introspect`, { token: last.access_token });
    expect(body).toEqual({ active: false });
  });

  test('is lengthened up to the policy and not further, and told at the next refresh', async () => {
    await choose(DAY);
    pass(3600);
    await choose(30 * DAY);
    const next = await refresh(party, refreshTokenOf(tokens));
    expect(told(next)).toEqual({ timeout: IDLE, left: 30 * DAY });
    await choose('allowed');
    expect(await family()).toMatchObject({ consentExpiresAt: null });
    expect(await consentEnd()).toBeUndefined();
    const after = await refresh(party, refreshTokenOf(next));
    expect(told(after)).toEqual({ timeout: IDLE, left: ABSOLUTE - 3600 });
  });

  test('is never beyond the policy, whatever is sent', async () => {
    const page = await open();
    for (const until of [90 * DAY, 36_500 * DAY, '-1', 'x', '']) await choose(until, page);
    const { consentExpiresAt, absoluteExpiresAt } = await family();
    expect({ consentExpiresAt, absoluteExpiresAt }).toEqual({
      consentExpiresAt: null,
      absoluteExpiresAt: inSeconds(ABSOLUTE),
    });
    // What is not a choice changes nothing.
    expect(await events()).toHaveLength(1);
  });

  test('is not lengthened beyond a policy that has become stricter', async () => {
    await choose(7 * DAY);
    const { prisma } = provider.storage;
    const { metadata } = await prisma.client.findUniqueOrThrow({ where: { id: 'web' } });
    const become = (seconds: number) =>
      prisma.client.update({
        where: { id: 'web' },
        data: { metadata: { ...(metadata as object), refresh_token_absolute_ttl: seconds } },
      });
    const { consentExpiresAt } = await family();
    try {
      await become(10 * DAY);
      expect(choices(await open()).map(([value]) => value)).toEqual([
        '',
        ...[DAY, 7 * DAY].map(String),
        'allowed',
      ]);
      await choose(30 * DAY);
      expect(await family()).toMatchObject({ consentExpiresAt: inSeconds(10 * DAY) });
      // What was allowed is not taken away either.
      await become(DAY);
      await choose('allowed');
      expect(await family()).toMatchObject({ consentExpiresAt: inSeconds(10 * DAY) });
      await choose(DAY);
      expect(await family()).toMatchObject({ consentExpiresAt: inSeconds(DAY) });
    } finally {
      await become(ABSOLUTE);
    }
    expect(consentExpiresAt).toEqual(inSeconds(7 * DAY));
  });

  test('goes for its line alone, and for the next sign-in of the browser', async () => {
    const beside = await signIn(party, agent);
    const id = familyIdOf(refreshTokenOf(tokens));
    await agent.submit(await open(), { until: String(DAY) }, new RegExp(`/until/${id}`));
    const next = await refresh(party, refreshTokenOf(beside));
    expect(told(next).left).toBe(ABSOLUTE);
    expect(told(await signIn(party, agent)).left).toBe(DAY);
    pass(DAY - 60);
    const late = await signIn(party, agent);
    expect({ ...told(late), token: late.expires_in }).toEqual({ timeout: 60, left: 60, token: 60 });
    pass(60);
    await refresh(party, refreshTokenOf(next));
    // The consent is over: the person is asked again.
    const asked = () => provider.storage.prisma.auditEvent.count({ where: { type: 'consent' } });
    expect(await asked()).toBe(1);
    expect(told(await signIn(party, agent)).left).toBe(ABSOLUTE);
    expect(await asked()).toBe(2);
  });

  test('is written down, and told in the history in words', async () => {
    await choose(7 * DAY);
    expect(await events()).toMatchObject([
      {
        accountId: provider.accountId,
        clientId: 'web',
        familyId: familyIdOf(refreshTokenOf(tokens)),
        ip: expect.any(String) as string,
        detail: { from: inSeconds(ABSOLUTE).toISOString(), to: inSeconds(7 * DAY).toISOString() },
      },
    ]);
    expect((await agent.open(at('/history'))).html.text).toContain(
      'You chose that Notes stays connected until January 8, 2030 at the latest.',
    );
  });

  test('is told at introspection', async () => {
    await choose(7 * DAY);
    pass(60);
    const { body } = await post(`${provider.issuer}/introspect`, {
      token: refreshTokenOf(tokens),
    });
    const left = 7 * DAY - 60;
    expect(body).toMatchObject({
      ...{ active: true, refresh_token_timeout: left, authorization_expires_in: left },
      exp: Math.floor(inSeconds(left).getTime() / 1000),
    });
    const asked = await post(`${provider.issuer}/introspect`, { token: tokens.access_token });
    expect(asked.body).not.toHaveProperty('authorization_expires_in');
  });
});

test('another person’s, an unknown and an ended one: nothing is chosen', async () => {
  const id = familyIdOf(refreshTokenOf(tokens));
  const elsewhere = new Agent(provider.issuer);
  const page = await elsewhere.walk(at(), other);
  const csrf = page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
  for (const one of [id, 'unknown']) {
    const answer = await elsewhere.open(at(`/applications/until/${one}`), { csrf, until: '86400' });
    expect(answer.status).toBe(404);
  }
  const mine = await open();
  for (const forged of ['', csrf]) {
    const answer = await agent.open(at(`/applications/until/${id}`), {
      csrf: forged,
      until: '86400',
    });
    expect(answer.status).toBe(400);
  }
  expect(await family()).toMatchObject({ consentExpiresAt: null });
  await agent.submit(mine, {}, /\/family\//);
  expect(notice(await choose(DAY, mine))).toBe('The application is not connected there any more.');
  expect(await family()).toMatchObject({ consentExpiresAt: null, endReason: 'revoked_by_user' });
  expect(await events()).toEqual([]);
});
