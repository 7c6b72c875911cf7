// /account: everybody sees and changes their own things, by forms of their own pages, and what they end is over at once.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { pictureType } from '../../src/pages/account/picture.ts';
import { eventually } from '../support/eventually.ts';
import { Agent, type Page } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import * as client from 'openid-client';

const other = { email: 'grace@example.com', name: 'Grace Hopper', password: 'nanoseconds of wire' };
const told: string[] = [];
const listener = createServer((request, response) => {
  told.push(request.url ?? '');
  response.end();
});
const calendar = {
  ...webClient,
  client_id: 'calendar',
  client_name: 'Calendar',
  redirect_uris: ['http://localhost:4002/callback'],
};

let provider: TestProvider;
let party: RelyingParty;
let running: { stop(): Promise<void> };
let otherId: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => listener.listen(0, 'localhost', resolve));
  const { port } = listener.address() as AddressInfo;
  const told = `http://localhost:${port}/logged-out`;
  provider = await startProvider({
    environment: { SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true' },
    clients: [{ ...webClient, backchannel_logout_uri: told }, calendar],
  });
  running = provider.outgoing.start();
  party = await discover(provider.issuer);
  ({ id: otherId } = await addAccount(provider.storage.prisma, other, { admin: false }));
});
beforeEach(async () => {
  vi.useRealTimers();
  const { prisma } = provider.storage;
  await prisma.refreshFamily.deleteMany();
  await prisma.grant.deleteMany();
  await prisma.artifact.deleteMany();
  await prisma.auditEvent.deleteMany();
  await prisma.attempt.deleteMany();
  await eventually(async () => {
    expect(await prisma.delivery.count({ where: { channel: 'logout' } })).toBe(0);
  });
  told.length = 0;
});
afterAll(async () => {
  vi.useRealTimers();
  await running.stop();
  listener.closeAllConnections();
  listener.close();
  await provider.close();
});

const at = (path = '') => `${provider.issuer}/account${path}`;
async function signedIn(path = '', as = person): Promise<{ agent: Agent; page: Page }> {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(at(path));
  return { agent, page: await agent.submit(page, { email: as.email, password: as.password }) };
}
const notice = (page: Page) => page.html.querySelector('[role=status]')?.text;
const csrfOf = (page: Page) =>
  page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
const family = () => provider.storage.prisma.refreshFamily.findFirstOrThrow();
const account = () =>
  provider.storage.prisma.account.findUniqueOrThrow({ where: { id: provider.accountId } });

describe('signing in', () => {
  test('is asked for at each page, and leads back to it', async () => {
    for (const path of ['', '/applications', '/sessions', '/methods', '/history']) {
      const agent = new Agent(provider.issuer);
      const page = await agent.open(at(path));
      expect(page.html.querySelector('h1')?.text).toBe('Sign in');
      const wrong = await agent.submit(page, { email: person.email, password: 'wrong' });
      expect(wrong.status).toBe(401);
      const inside = await agent.submit(wrong, {
        email: person.email,
        password: person.password,
      });
      expect(inside.url.pathname).toBe(new URL(at(path)).pathname);
      expect(inside.html.querySelector('nav a[aria-current=page]')).not.toBeNull();
    }
  });

  test('what is sensitive asks for a sign-in of the last 15 minutes', async () => {
    const { agent, page } = await signedIn('/methods/password');
    expect(page.html.querySelector('h1')?.text).toBe('Change the password');
    const former = agent.clone();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 15 * 60_000 + 2000 });
    const hash = (await account()).passwordHash;
    const late = await agent.submit(page, { password: 'another battery staple' });
    expect(late.html.querySelector('h1')?.text).toBe('Sign in');
    expect((await account()).passwordHash).toBe(hash);
    const confirmed = await agent.submit(late, { email: person.email, password: person.password });
    expect(confirmed.html.querySelector('h1')?.text).toBe('Change the password');
    // Its session has taken another id: what held the former one is out.
    expect((await former.open(at())).html.querySelector('h1')?.text).toBe('Sign in');
    expect((await agent.open(at('/applications'))).status).toBe(200);
  });

  test('a form without its token, of another person, or of another site is refused', async () => {
    const { agent, page } = await signedIn();
    const elsewhere = await signedIn('', other);
    for (const csrf of ['', 'forged', csrfOf(elsewhere.page)]) {
      const answer = await agent.open(at('/name'), { csrf, name: 'Mallory' });
      expect(answer.status).toBe(400);
    }
    const cookie = agent.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const form = new FormData();
    form.set('csrf', csrfOf(page));
    for (const [path, body] of [
      ['/name', new URLSearchParams({ csrf: csrfOf(page), name: 'Mallory' })],
      ['/picture', form],
    ] as const) {
      const answer = await fetch(at(path), {
        method: 'POST',
        headers: { cookie, origin: 'https://evil.example' },
        body,
        redirect: 'manual',
      });
      expect(answer.status).toBe(400);
    }
    expect((await account()).name).toBe(person.name);
  });
});

describe('the profile', () => {
  test('a name is changed, written down, and kept when it is wrong', async () => {
    const { agent, page } = await signedIn();
    const long = 'x'.repeat(201);
    const wrong = await agent.submit(page, { name: long }, /\/name$/);
    expect(wrong.status).toBe(422);
    expect(wrong.html.querySelector('#name')?.getAttribute('value')).toBe(long);
    const done = await agent.submit(page, { name: 'Ada <King>' }, /\/name$/);
    expect(notice(done)).toBe('Your name was saved.');
    expect((await account()).name).toBe('Ada <King>');
    const events = await provider.storage.prisma.auditEvent.findMany({
      where: { type: 'name.changed' },
    });
    expect(events.map(({ accountId }) => accountId)).toEqual([provider.accountId]);
    // The message is shown once, and no link can make it.
    expect(notice(await agent.open(at()))).toBeUndefined();
    await agent.submit(await agent.open(at()), { name: person.name }, /\/name$/);
  });

  test('no cookie that we have not signed says anything', async () => {
    const { agent, page } = await signedIn();
    await agent.submit(page, { name: person.name }, /\/name$/);
    const cookie = agent.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const forged = Buffer.from(JSON.stringify({ key: 'profile.name-changed' })).toString(
      'base64url',
    );
    const answer = await fetch(at(), {
      headers: {
        cookie: `${cookie}; symbolon_notice=${forged}; symbolon_notice.sig=x`,
        accept: 'text/html',
      },
    });
    expect(await answer.text()).not.toContain('role="status"');
  });

  test('a language is chosen, and the pages follow it', async () => {
    const { agent, page } = await signedIn();
    const german = await agent.submit(page, { locale: 'de' }, /\/language$/);
    expect(german.html.querySelector('html')?.getAttribute('lang')).toBe('de');
    expect(notice(german)).toBe('Ihre Sprache wurde gespeichert.');
    const arabic = await agent.submit(german, { locale: 'ar' }, /\/language$/);
    expect(arabic.html.querySelector('html')?.getAttribute('dir')).toBe('rtl');
    const none = await agent.submit(arabic, { locale: 'xx' }, /\/language$/);
    expect(none.html.querySelector('html')?.getAttribute('lang')).toBe('en');
    expect((await account()).locale).toBeNull();
  });
});

describe('the picture', () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  const send = async (agent: Agent, content: Uint8Array, csrf: string, name = 'me.png') => {
    const form = new FormData();
    form.set('csrf', csrf);
    form.set('picture', new File([new Uint8Array(content)], name, { type: 'image/png' }));
    const answer = await fetch(at('/picture'), {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie: agent.cookies.map((one) => `${one.name}=${one.value}`).join('; ') },
      body: form,
    });
    return answer.status;
  };

  test('is known by its content, served as nothing else, told as a claim, and gone when removed', async () => {
    const { agent, page } = await signedIn();
    const csrf = csrfOf(page);
    expect(await send(agent, Buffer.from('<svg onload="alert(1)"/>'), csrf, 'me.svg')).toBe(303);
    expect(await send(agent, Buffer.concat([png, Buffer.alloc(512 * 1024)]), csrf)).toBe(303);
    expect(await send(agent, png, 'forged')).toBe(400);
    expect(await provider.storage.prisma.picture.count()).toBe(0);

    expect(await send(agent, png, csrf)).toBe(303);
    const first = (await account()).pictureId ?? '';
    expect(first).toMatch(/^[\w-]{22}$/);
    const tokens = await signIn(party, new Agent(provider.issuer));
    const { picture = '' } = await client.fetchUserInfo(
      party.configuration,
      tokens.access_token,
      provider.accountId,
    );
    expect(picture).toBe(`${provider.issuer}/picture/${first}`);
    const shown = await fetch(picture);
    expect(shown.status).toBe(200);
    expect(Object.fromEntries(shown.headers)).toMatchObject({
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
      'cross-origin-resource-policy': 'cross-origin',
    });
    expect(Buffer.from(await shown.arrayBuffer())).toEqual(png);
    expect((await fetch(at('/picture'))).status).toBe(404); // of nobody
    expect((await agent.open(at('/picture'))).headers.get('content-type')).toBe('image/png');

    expect(await send(agent, png, csrf)).toBe(303);
    expect((await account()).pictureId).not.toBe(first);
    expect((await fetch(picture)).status).toBe(404);
    const gone = await agent.submit(await agent.open(at()), {}, /\/picture\/remove$/);
    expect(notice(gone)).toBe('Your picture was removed.');
    expect((await agent.open(at('/picture'))).status).toBe(404);
    expect((await account()).pictureId).toBeNull();
  });

  test.each([
    ['image/png', '89504e470d0a1a0a00'],
    ['image/jpeg', 'ffd8ffe000104a46'],
    ['image/webp', '524946460a00000057454250'],
    [undefined, '474946383961'],
    [undefined, '524946460a00000057415645'],
    [undefined, ''],
  ])('%s', (type, hex) => {
    expect(pictureType(Buffer.from(hex, 'hex'))).toBe(type);
  });
});

describe('applications', () => {
  test('a connection is told in words, and once ended refuses its refresh at once', async () => {
    const tokens = await signIn(party, new Agent(provider.issuer));
    const again = await refresh(party, refreshTokenOf(tokens));
    const { agent, page } = await signedIn('/applications');
    const text = page.html.querySelector('main')?.text.replace(/\s+/g, ' ') ?? '';
    expect(text).toContain('Notes');
    expect(text).toContain('Test browser'); // where it was allowed
    expect(text).toContain('Last renewed');
    expect(text).toContain('See your e-mail address');
    const done = await agent.submit(page, {}, /\/family\//);
    expect(notice(done)).toContain('disconnected');
    expect(done.html.text).toContain('You ended it, or signed out.');
    expect(await errorOf(refresh(party, refreshTokenOf(again)))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    expect(await family()).toMatchObject({ endReason: 'revoked_by_user', grantId: null });
    expect(await provider.storage.prisma.grant.count()).toBe(0);
    expect(done.html.text).toContain('No application stays connected.');
  });

  test('of two families on one grant the other lives on', async () => {
    const agent = new Agent(provider.issuer);
    const first = await signIn(party, agent);
    const { id } = await family();
    const second = await signIn(party, agent);
    const page = await agent.open(at('/applications'));
    await agent.submit(page, {}, new RegExp(`/family/${id}`));
    expect((await errorOf(refresh(party, refreshTokenOf(first)))).error).toBe('invalid_grant');
    await refresh(party, refreshTokenOf(second));
    await agent.submit(await agent.open(at('/applications')), {}, /\/family\//);
    expect(await provider.storage.prisma.grant.count()).toBe(0);
  });

  test('another person’s are neither seen nor ended', async () => {
    const tokens = await signIn(party, new Agent(provider.issuer));
    const { id } = await family();
    const { agent, page } = await signedIn('/applications', other);
    expect(page.html.text).toContain('No application stays connected.');
    const csrf = csrfOf(await agent.open(at()));
    const forms: [string, Record<string, string>][] = [
      [`/applications/family/${id}`, {}],
      ['/applications/family/unknown', {}],
      ['/applications/remove', { client: 'web' }],
    ];
    for (const [path, fields] of forms)
      expect((await agent.open(at(path), { csrf, ...fields })).status).toBe(404);
    await agent.open(at('/applications/end-all'), { csrf });
    await refresh(party, refreshTokenOf(tokens));
    expect(await provider.storage.prisma.grant.count()).toBe(1);
  });

  test('what has no device is shown and removed, and consent is asked for again', async () => {
    const agent = new Agent(provider.issuer);
    const scope = { scope: 'openid profile' };
    await signIn(party, agent, scope);
    const page = await agent.open(at('/applications'));
    expect(page.html.text).toContain('Remembered permission');
    const calendars = await discover(provider.issuer, calendar);
    const kept = await signIn(calendars, agent);
    const done = await agent.submit(
      await agent.open(at('/applications')),
      { client: 'web' },
      /\/remove$/,
    );
    expect(notice(done)).toBe('Notes has no access to your account any more.');
    await refresh(calendars, refreshTokenOf(kept));
    const { buildAuthorizationUrl } = client;
    const url = buildAuthorizationUrl(party.configuration, {
      redirect_uri: party.redirectUri,
      ...scope,
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    });
    expect((await agent.open(url)).html.querySelector('h1')?.text).toContain('asks for');
  });

  test('all at once', async () => {
    const agent = new Agent(provider.issuer);
    const calendars = await discover(provider.issuer, calendar);
    const tokens = [await signIn(party, agent), await signIn(calendars, agent)] as const;
    const done = await agent.submit(await agent.open(at('/applications')), {}, /\/end-all$/);
    expect(notice(done)).toBe('No application has access to your account any more.');
    for (const [which, token] of [
      [party, tokens[0]],
      [calendars, tokens[1]],
    ] as const)
      expect((await errorOf(refresh(which, refreshTokenOf(token)))).error).toBe('invalid_grant');
  });
});

describe('sessions', () => {
  test('one that is ended elsewhere is out, and its applications are told', async () => {
    const far = new Agent(provider.issuer);
    await signIn(party, far, { scope: 'openid profile' });
    const { agent, page } = await signedIn('/sessions');
    expect(page.html.querySelectorAll('.things > li')).toHaveLength(2);
    const [here, there] = page.html.querySelectorAll('.things > li');
    expect(here?.text).toContain('this browser');
    expect(there?.text).toContain('Test browser');
    expect(there?.text).toMatch(/from (::1|127\.0\.0\.1|::ffff:127\.0\.0\.1)/);
    const action = there?.querySelector('form')?.getAttribute('action') ?? '';
    const done = await agent.submit(page, {}, new RegExp(`${action}$`));
    expect(notice(done)).toBe('Signed out in one browser.');
    expect(done.html.querySelectorAll('.things > li')).toHaveLength(1);
    expect((await far.open(at())).html.querySelector('h1')?.text).toBe('Sign in');
    expect((await agent.open(at())).status).toBe(200);
    await eventually(() => {
      expect(told).toEqual(['/logged-out']);
    });
    // What was not to outlast the session has gone with it.
    expect(await provider.storage.prisma.grant.count()).toBe(0);
  });

  test('all others, and offline access outlasts them', async () => {
    const tokens = await signIn(party, new Agent(provider.issuer));
    const far = [await signedIn(), await signedIn()];
    const { agent, page } = await signedIn('/sessions');
    const done = await agent.submit(page, {}, /end-others$/);
    expect(notice(done)).toBe('Signed out in 3 browsers.');
    for (const { agent: one } of far)
      expect((await one.open(at())).html.querySelector('h1')?.text).toBe('Sign in');
    expect((await agent.open(at())).html.querySelector('h1')?.text).toBe('Your account');
    await refresh(party, refreshTokenOf(tokens));
  });

  test('another person’s are neither seen nor ended', async () => {
    const mine = await signedIn('/sessions');
    const action = mine.page.html.querySelector('.things form')?.getAttribute('action') as string;
    const { agent, page } = await signedIn('/sessions', other);
    expect(page.html.querySelectorAll('.things > li')).toHaveLength(1);
    const answer = await agent.open(action, { csrf: csrfOf(page) });
    expect(answer.status).toBe(404);
    await agent.open(at('/sessions/end-others'), { csrf: csrfOf(page) });
    expect((await mine.agent.open(at())).html.querySelector('h1')?.text).toBe('Your account');
  });
});

describe('the history', () => {
  test('tells one’s own events in words, page by page', async () => {
    const tokens = await signIn(party, new Agent(provider.issuer));
    const second = await refresh(party, refreshTokenOf(tokens));
    await refresh(party, refreshTokenOf(second));
    await errorOf(refresh(party, refreshTokenOf(tokens)));
    const { agent, page } = await signedIn('/history');
    const text = page.html.querySelector('.events')?.text.replace(/\s+/g, ' ') ?? '';
    expect(text).toMatch(
      /A used-up token of Notes was presented from [\d.:a-f]+; we signed that device out\./,
    );
    expect(text).toContain('You signed in to Notes.');
    expect(text).toContain('You allowed Notes to use your account.');
    await provider.storage.prisma.auditEvent.createMany({
      data: [...Array(30).keys()].map(() => ({ type: 'name.changed', accountId: otherId })),
    });
    const same = await agent.open(at('/history'));
    expect(same.html.querySelector('.events')?.text).not.toContain('name');
    await provider.storage.prisma.auditEvent.createMany({
      data: [...Array(30).keys()].map(() => ({
        type: 'language.changed',
        accountId: provider.accountId,
      })),
    });
    const first = await agent.open(at('/history'));
    expect(first.html.querySelectorAll('.events > li')).toHaveLength(25);
    const next = first.html.querySelector('a[rel=next]')?.getAttribute('href') ?? '';
    const older = await agent.open(next);
    expect(older.html.querySelector('.events')?.text).toContain('A used-up token of Notes');
    expect(older.html.querySelector('a[rel=next]')).toBeNull();
    expect((await agent.open(at('/history?before=x'))).status).toBe(200);
  });

  test('every event that is told, in every language', async () => {
    const reasons = ['reuse', 'revoked_by_user', 'revoked_by_admin', 'revoked_by_client'];
    reasons.push(
      'password_changed',
      'account_locked',
      'account_deleted',
      'client_removed',
      'limit',
    );
    const { isTold } = await import('../../src/pages/account/history.ts');
    const types = Object.entries(isTold).flatMap(([type, isShown]) => (isShown ? [type] : []));
    const { agent, page } = await signedIn();
    for (const locale of ['en', 'de', 'fr', 'es', 'ja', 'ar']) {
      await agent.submit(await agent.open(at()), { locale }, /\/language$/);
      await provider.storage.prisma.auditEvent.deleteMany();
      await provider.storage.prisma.auditEvent.createMany({
        data: types.flatMap((type) =>
          (type === 'family.ended' ? reasons : ['idle_expired']).map((reason) => ({
            ...{ type, accountId: provider.accountId, clientId: 'web', detail: { reason } },
          })),
        ),
      });
      expect((await agent.open(at('/history'))).status).toBe(200);
    }
    await agent.submit(page, { locale: '' }, /\/language$/);
  });
});

test('another password wants the present one, whose guesses are counted, and not the same again', async () => {
  const { agent, page } = await signedIn('/methods/password');
  const before = await account();
  const mistake = (answer: Page) => answer.html.querySelector('.mistake')?.text;
  for (const current of ['', 'wrong']) {
    const wrong = await agent.submit(page, { current, password: 'a lovely new engine' });
    expect(wrong.status).toBe(422);
    expect(mistake(wrong)).toBe('This is not your present password.');
  }
  const current = person.password;
  const same = await agent.submit(page, { current, password: current });
  expect(same.status).toBe(422);
  expect(mistake(same)).toBe('This is your password already. Please choose another.');
  // Nothing was ended by it.
  expect(await account()).toEqual(before);
  const events = await provider.storage.prisma.auditEvent.findMany({
    where: { type: { in: ['sign_in.failed', 'password.changed'] }, accountId: provider.accountId },
    orderBy: { id: 'desc' },
    take: 2,
  });
  expect(events.map(({ type }) => type)).toEqual(['sign_in.failed', 'sign_in.failed']);

  let limited = await agent.submit(page, { current: 'guess', password: 'a lovely new engine' });
  for (let guess = 0; guess < 20 && limited.status !== 429; guess++)
    limited = await agent.submit(page, { current: 'guess', password: 'a lovely new engine' });
  expect(limited.status).toBe(429);
  expect(mistake(limited)).toContain('Please wait');
  expect((await account()).passwordHash).toBe(before.passwordHash);
  await provider.storage.prisma.attempt.deleteMany();
});

test('a new password ends every other browser, and this one goes on', async () => {
  const far = await signedIn();
  const { agent, page } = await signedIn('/methods/password');
  const current = person.password;
  const short = await agent.submit(page, { current, password: 'short' });
  expect(short.status).toBe(422);
  const done = await agent.submit(short, { current, password: 'a lovely new engine' });
  expect(notice(done)).toContain('Your password was changed.');
  expect((await far.agent.open(at())).html.querySelector('h1')?.text).toBe('Sign in');
  expect((await agent.open(at())).html.querySelector('h1')?.text).toBe('Your account');
  // A sign-in of the same second counts as one from before.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2000 });
  const { page: inside } = await signedIn('', { ...person, password: 'a lovely new engine' });
  expect(inside.html.querySelector('h1')?.text).toBe('Your account');
  await agent.submit(await agent.open(at('/methods/password')), {
    current: 'a lovely new engine',
    password: person.password,
  });
});
