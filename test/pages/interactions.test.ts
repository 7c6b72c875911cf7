// What a person is asked, and what goes wrong on the way: with a browser that keeps cookies but has no window.
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { setupLink } from '../../src/pages/setup.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent, type Page } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  signIn,
} from '../support/relying-party.ts';
import { post, refreshAt, familyIdOf } from '../support/token-endpoint.ts';
import {
  changePassword,
  lockAccount,
  signOutEverywhere,
  unlockAccount,
} from '../support/changes.ts';

const other = { email: 'grace@example.com', name: 'Grace', password: 'another battery staple' };
const strict = { ...webClient, client_id: 'strict', offline_access_prompt: 'required' };
const native = {
  ...publicClient,
  client_id: 'native',
  application_type: 'native',
  redirect_uris: ['com.example.app:/callback'],
};
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const tv = {
  client_id: 'tv',
  client_secret: 'the secret of the television',
  client_name: 'Television',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};

let provider: TestProvider;
let party: RelyingParty;

beforeAll(async () => {
  provider = await startProvider({ clients: [webClient, publicClient, strict, native, tv] });
  party = await discover(provider.issuer);
  await addAccount(provider.storage.prisma, other, { admin: false });
});
afterAll(() => provider.close());
afterEach(() => {
  vi.useRealTimers();
});

const agent = () => new Agent(provider.issuer);
const heading = (page: Page) => page.html.querySelector('h1')?.text.trim();
const open = async (browser: Agent, parameters: Record<string, string> = {}, from = party) =>
  browser.open((await authorizationRequest(from, parameters)).url);
const answerOf = (page: Page) => Object.fromEntries(page.away?.searchParams ?? []);
const grants = () => provider.storage.prisma.grant.count();

describe('signing in', () => {
  test('a wrong password says so, keeps the address and not the password', async () => {
    const browser = agent();
    const page = await browser.submit(
      await open(browser),
      { email: 'Ada@Example.com', password: 'wrong' },
      /sign-in$/,
    );
    expect(page.status).toBe(401);
    expect(page.html.querySelector('[role=alert]')?.text).toContain('not right');
    expect(page.html.querySelector('#email')?.getAttribute('value')).toBe('Ada@Example.com');
    expect(page.html.querySelector('#password')?.getAttribute('value')).toBe('');
    const again = await browser.submit(
      page,
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    expect(heading(again)).toBe('Notes asks for your permission');
  });

  test('login_hint fills in the address', async () => {
    const page = await open(agent(), { login_hint: 'somebody@example.com' });
    expect(page.html.querySelector('#email')?.getAttribute('value')).toBe('somebody@example.com');
  });

  test('going back tells the relying party, with state and issuer', async () => {
    const browser = agent();
    const { url } = await authorizationRequest(party);
    const page = await browser.submit(await browser.open(url), {}, /cancel$/);
    expect(answerOf(page)).toMatchObject({
      error: 'access_denied',
      state: url.searchParams.get('state'),
      iss: provider.issuer,
    });
  });

  test('denying does the same, and grants nothing', async () => {
    const browser = agent();
    const before = await grants();
    const consent = await browser.submit(
      await open(browser, { prompt: 'consent' }),
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    expect(answerOf(await browser.submit(consent, {}, /cancel$/))).toMatchObject({
      error: 'access_denied',
    });
    expect(await grants()).toBe(before);
  });

  test('prompt=login asks again, and the sign-in is a later one', async () => {
    const browser = agent();
    const first = decodeJwt((await signIn(party, browser, { max_age: '10000' })).id_token ?? '')[
      'auth_time'
    ] as number;
    const page = await open(browser, { prompt: 'login', max_age: '10000' });
    expect(heading(page)).toBe('Sign in to Notes');
    expect(page.html.querySelector('#email')?.getAttribute('value')).toBe(person.email);
    const again = await signIn(party, browser, { prompt: 'login', max_age: '10000' });
    expect(decodeJwt(again.id_token ?? '')['auth_time']).toBeGreaterThanOrEqual(first);
  });

  test('a locked account, a changed password and a sign-out everywhere end sign-ins, also one that is parked', async () => {
    const { storage, config } = provider;
    const parts = { storage, config, origin: commandLine };
    const account = await addAccount(
      storage.prisma,
      { email: 'eve@example.com', password: 'the first password' },
      { admin: false },
    );
    const password = async (browser: Agent, given: string) =>
      browser.submit(
        await open(browser, { prompt: 'consent' }),
        { email: account.email, password: given },
        /sign-in$/,
      );
    const ends = [
      () => changePassword(parts, account.id, 'the second password'),
      () => signOutEverywhere(parts, account.id, 'revoked_by_admin'),
      () => lockAccount(parts, account.id),
    ];
    let current = 'the first password';
    for (const end of ends) {
      const signedIn = agent();
      const consent = await password(signedIn, current);
      expect(heading(consent)).toBe('Notes asks for your permission');
      // Signed in, and not yet resumed: the answer to the form is not followed.
      const parked = agent();
      const form = await open(parked, { prompt: 'consent' });
      const action = form.html.querySelector('form')?.getAttribute('action') ?? '';
      const csrf = form.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
      const resume = await parked.post(new URL(action, form.url), {
        csrf,
        email: account.email,
        password: current,
      });
      await end();
      // Sign-ins are dated in seconds: one in the second of the sign-out does not count.
      vi.useFakeTimers({ toFake: ['Date'] });
      vi.setSystemTime(Date.now() + 1000);
      expect(heading(await parked.open(resume))).toBe('Sign in to Notes');
      expect(heading(await open(signedIn))).toBe('Sign in to Notes');
      expect(
        (
          await parked.open((await authorizationRequest(party, { prompt: 'none' })).url)
        ).away?.searchParams.get('error'),
      ).toBe('login_required');
      current = 'the second password';
    }
    expect((await password(agent(), current)).status).toBe(401); // locked
    await unlockAccount({ storage }, account.id);
    expect(heading(await password(agent(), current))).toBe('Notes asks for your permission');
  });
});

describe('silent requests', () => {
  test('prompt=none: login_required, then a code, and consent_required for what was not granted', async () => {
    const browser = agent();
    const silent = (scope: string) => open(browser, { prompt: 'none', scope }, party);
    expect(answerOf(await silent('openid'))).toMatchObject({ error: 'login_required' });
    const { storage } = provider;
    const fresh = await addAccount(
      storage.prisma,
      { email: 'fay@example.com', password: 'quite another one' },
      { admin: false },
    );
    const { url, finish } = await authorizationRequest(party, { scope: 'openid profile' });
    await finish(
      await browser.authorize(url, { email: fresh.email, password: 'quite another one' }),
    );
    expect(answerOf(await silent('openid profile'))).toHaveProperty('code');
    expect(answerOf(await silent('openid offline_access'))).toMatchObject({
      error: 'consent_required',
    });
  });
});

describe('offline access', () => {
  test('asks for consent by itself, once: not again in this browser nor in another', async () => {
    const fresh = await addAccount(
      provider.storage.prisma,
      { email: 'hal@example.com', password: 'one more password' },
      { admin: false },
    );
    const as = { email: fresh.email, password: 'one more password' };
    const browser = agent();
    const consent = await browser.submit(await open(browser), as, /sign-in$/);
    expect(heading(consent)).toBe('Notes asks for your permission');
    expect(consent.html.querySelector('.offline')?.text).toContain('30 days');
    expect((await browser.submit(consent, {}, /consent$/)).away).toBeDefined();
    expect(answerOf(await open(browser))).toHaveProperty('code');
    const elsewhere = agent();
    expect((await elsewhere.submit(await open(elsewhere), as, /sign-in$/)).away).toBeDefined();
  });

  test('a strict client gets it with prompt=consent only', async () => {
    const from = await discover(provider.issuer, strict);
    expect((await signIn(from, agent())).refresh_token).toBeUndefined();
    expect((await signIn(from, agent(), { prompt: 'consent' })).refresh_token).toBeDefined();
  });

  test('can be allowed for a time: then it ends, and is asked for again', async () => {
    const browser = agent();
    const { url, finish } = await authorizationRequest(party, { prompt: 'consent' });
    const consent = await browser.submit(
      await browser.open(url),
      { email: other.email, password: other.password },
      /sign-in$/,
    );
    const back = await browser.submit(consent, { duration: '86400' }, /consent$/);
    const tokens = await finish(back.away ?? new URL('x:'));
    const id = familyIdOf(tokens.refresh_token ?? '');
    const { prisma } = provider.storage;
    const row = await prisma.refreshFamily.findUniqueOrThrow({ where: { id } });
    expect((row.consentExpiresAt?.getTime() ?? 0) - row.createdAt.getTime()).toBeLessThanOrEqual(
      86_400_000,
    );
    await prisma.refreshFamily.update({ where: { id }, data: { consentExpiresAt: new Date() } });
    await prisma.$executeRaw`UPDATE "grant" SET payload = jsonb_set(payload, '{consentExpiresAt}', '1') WHERE id = ${row.grantId}`;
    expect((await refreshAt(provider.issuer, tokens.refresh_token ?? '')).body.error).toBe(
      'invalid_grant',
    );
    const refusal = await prisma.auditEvent.findFirst({
      where: { familyId: id, type: 'refresh.refused' },
    });
    expect(refusal?.detail).toEqual({ reason: 'consent_expired' });
    expect(heading(await open(browser))).toBe('Notes asks for your permission');
  });
});

test('a native application’s people are asked every time: anyone could claim its redirect URI', async () => {
  const from = await discover(provider.issuer, native);
  const browser = agent();
  for (let time = 0; time < 2; time++) {
    const { url, finish } = await authorizationRequest(from);
    let page = await browser.open(url);
    if (time === 0)
      page = await browser.submit(
        page,
        { email: person.email, password: person.password },
        /sign-in$/,
      );
    expect(heading(page)).toBe('Sketches asks for your permission');
    await finish((await browser.submit(page, {}, /consent$/)).away ?? new URL('x:'));
  }
});

describe('choosing an account', () => {
  test('prompt=select_account, and a login_hint that differs, offer the choice', async () => {
    const browser = agent();
    await signIn(party, browser);
    expect(
      heading(await open(browser, { login_hint: person.email.toUpperCase() })),
    ).toBeUndefined();
    const page = await open(browser, { login_hint: other.email });
    expect(heading(page)).toBe('Which account?');
    expect(page.html.text).toContain(other.email);
    expect(answerOf(await browser.submit(page, { account: 'current' }, /account$/))).toHaveProperty(
      'code',
    );
    expect(heading(await open(browser, { prompt: 'select_account' }))).toBe('Which account?');
  });

  test('another account takes the session over', async () => {
    const browser = agent();
    await signIn(party, browser);
    const { url, finish } = await authorizationRequest(party, {
      prompt: 'select_account',
      scope: 'openid',
    });
    const form = await browser.submit(await browser.open(url), { account: 'other' }, /account$/);
    let page = await browser.submit(
      form,
      { email: other.email, password: other.password },
      /sign-in$/,
    );
    expect(page.html.querySelector('script')?.getAttribute('src')).toMatch(/^\/assets\/continue-/);
    page = await browser.submit(page, {}); // what the page's script does
    if (!page.away) page = await browser.submit(page, {}, /consent$/);
    expect((await finish(page.away ?? new URL('x:'))).claims()?.sub).not.toBe(provider.accountId);
  });
});

describe('what goes wrong', () => {
  test('the back button after the end, and a form sent twice', async () => {
    const browser = agent();
    const page = await open(browser, { prompt: 'consent' });
    const consent = await browser.submit(
      page,
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    expect((await browser.submit(consent, {}, /consent$/)).away).toBeDefined();
    for (const again of [
      await browser.open(consent.url),
      await browser.submit(consent, {}, /consent$/),
      await browser.submit(page, { email: person.email, password: person.password }, /sign-in$/),
    ]) {
      expect(again.status).toBe(400);
      expect(again.html.text).toContain('start again');
    }
  });

  test('an answer that is sent twice before it is followed counts once', async () => {
    const browser = agent();
    await provider.storage.prisma.grant.deleteMany();
    const { url, finish } = await authorizationRequest(party, { prompt: 'consent' });
    const consent = await browser.submit(
      await browser.open(url),
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    const form = consent.html.querySelector('form[action$="/consent"]');
    const action = new URL(form?.getAttribute('action') ?? '', consent.url);
    const csrf = form?.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
    const fields = { csrf, scope: 'email' };
    await browser.post(action, fields);
    const { away } = await browser.open(await browser.post(action, fields));
    expect((await finish(away ?? new URL('x:'))).scope).toBe('openid email');
    expect(await grants()).toBe(1);
  });

  test('a sign-in that took too long says so, also when the browser has forgotten its cookie', async () => {
    for (const forgets of [false, true]) {
      const browser = agent();
      const page = await open(browser);
      vi.useFakeTimers({ toFake: ['Date'] });
      vi.setSystemTime(Date.now() + 3_601_000);
      if (forgets) browser.forget();
      for (const late of [
        await browser.open(page.url),
        await browser.submit(page, { email: person.email, password: person.password }, /sign-in$/),
      ]) {
        expect(late.status).toBe(400);
        expect(heading(late)).toBe('This sign-in has ended');
        expect(late.html.text).toContain('start again');
      }
      vi.useRealTimers();
    }
  });

  test('signing out twice is signing out', async () => {
    const browser = agent();
    await signIn(party, browser);
    const page = await browser.open(`${provider.issuer}/logout`);
    for (let time = 0; time < 2; time++) {
      const done = await browser.submit(page, { logout: 'yes' });
      expect([done.status, heading(done)]).toEqual([200, 'You are signed out']);
    }
  });

  test('a sign-out that was not asked for from here leaves the person signed in', async () => {
    const browser = agent();
    await signIn(party, browser);
    const page = await browser.open(`${provider.issuer}/logout`);
    const foreign = await browser.submit(page, { logout: 'yes', xsrf: 'wrong' });
    expect(foreign.status).toBe(400);
    expect(heading(foreign)).not.toBe('You are signed out');
  });

  test('blocked cookies', async () => {
    const browser = agent();
    const page = await open(browser);
    browser.forget();
    const without = await browser.open(page.url);
    expect(without.status).toBe(400);
    expect(heading(without)).toBe('Your browser did not bring its cookie');
    expect(without.html.text).toContain('Allow cookies');
  });

  test('two tabs at once: both end, whichever is first', async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const browser = agent();
      const requests = [
        await authorizationRequest(party, { prompt: 'consent' }),
        await authorizationRequest(party, { prompt: 'consent' }),
      ];
      const tabs = [];
      for (const { url } of requests) tabs.push(await browser.open(url));
      for (const index of order) {
        const tab = tabs[index];
        const request = requests[index];
        if (!tab || !request) throw new Error('there are two');
        const consent = await browser.submit(
          tab,
          { email: person.email, password: person.password },
          /sign-in$/,
        );
        const back = await browser.submit(consent, {}, /consent$/);
        await request.finish(back.away ?? new URL('x:'));
      }
    }
  });

  test('a tab that another account has overtaken', async () => {
    const browser = agent();
    const first = await open(browser, { prompt: 'consent' });
    const consent = await browser.submit(
      first,
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    const { url } = await authorizationRequest(party, { prompt: 'select_account' });
    const choice = await browser.submit(await browser.open(url), { account: 'other' }, /account$/);
    await browser.submit(
      await browser.submit(choice, { email: other.email, password: other.password }, /sign-in$/),
      {},
    );
    const overtaken = await browser.submit(consent, {}, /consent$/);
    expect(overtaken.status).toBe(400);
    expect(overtaken.html.text).toMatch(/another tab|start again/);
  });

  test('a session that ended while a request was on its way does not come back', async () => {
    const browser = agent();
    await signIn(party, browser, { scope: 'openid' });
    const thief = browser.clone();
    // What the page keeps in the session is there before others write the session.
    const page = await browser.open(`${provider.issuer}/logout`);
    const polling = Promise.all(
      Array.from({ length: 10 }, async () =>
        thief
          .clone()
          .open((await authorizationRequest(party, { prompt: 'none', scope: 'openid' })).url),
      ),
    );
    await browser.submit(page, { logout: 'yes' });
    await polling;
    expect(answerOf(await open(thief, { prompt: 'none', scope: 'openid' }))).toMatchObject({
      error: 'login_required',
    });
  });
});

describe('forms of other sites', () => {
  test('without the token, with a wrong one, with that of another interaction: refused', async () => {
    for (const path of ['sign-in', 'consent', 'account', 'cancel']) {
      const browser = agent();
      const page = await open(browser);
      const foreign =
        (await open(agent())).html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
      for (const csrf of ['', 'wrong', foreign]) {
        const answer = await browser.open(new URL(`${page.url.pathname}/${path}`, page.url), {
          csrf,
          email: person.email,
          password: person.password,
        });
        expect(answer.status).toBe(400);
        expect(answer.away).toBeUndefined();
      }
    }
  });

  test('consent without a sign-in grants nothing', async () => {
    const browser = agent();
    const page = await open(browser);
    const csrf = page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
    const before = await grants();
    expect(
      (await browser.open(new URL(`${page.url.pathname}/consent`, page.url), { csrf })).status,
    ).toBe(400);
    expect(await grants()).toBe(before);
  });

  test('consent is taken from the consent page only', async () => {
    const browser = agent();
    await signIn(party, browser, { scope: 'openid' });
    const page = await open(browser, { prompt: 'login', scope: 'openid email' });
    const csrf = page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
    const before = await provider.storage.prisma.grant.findMany({ orderBy: { id: 'asc' } });
    const answer = await browser.open(new URL(`${page.url.pathname}/consent`, page.url), { csrf });
    expect(answer.status).toBe(400);
    expect(await provider.storage.prisma.grant.findMany({ orderBy: { id: 'asc' } })).toEqual(
      before,
    );
  });

  test('the cookie of one interaction does not open another', async () => {
    const [mine, theirs] = [agent(), agent()];
    const page = await open(mine);
    const foreign = await open(theirs);
    expect((await mine.open(foreign.url)).status).toBe(400);
    // Also when a browser is made to send it there.
    const cookie = mine.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const forced = await fetch(foreign.url, { headers: { cookie, accept: 'text/html' } });
    expect(forced.status).toBe(400);
    expect(await forced.text()).toContain('another tab');
    expect((await mine.open(page.url)).status).toBe(200);
  });
});

describe('errors of the application', () => {
  test.each([
    ['an unknown client', { client_id: 'nobody' }],
    ['an unregistered redirect URI', { redirect_uri: 'https://evil.example/callback' }],
    ['a redirect URI with more', { redirect_uri: `${webClient.redirect_uris[0] ?? ''}?x=1` }],
    ['markup for a client', { client_id: '<script>alert(1)</script>' }],
    ['a character that cannot be stored', { client_id: 'a\0b' }, 422],
  ])('%s: a page, never a redirect', async (_what, parameters, status = 400) => {
    const page = await open(agent(), parameters);
    expect(page.away).toBeUndefined();
    expect(page.status).toBe(status);
    expect(heading(page)).toBeTruthy();
    expect(page.html.toString()).not.toContain('<script');
  });

  test('markup in what is shown is escaped', async () => {
    const page = await open(agent(), { login_hint: '"><script>alert(1)</script>' });
    expect(
      page.html
        .querySelectorAll('script')
        .map(({ text }) => text.trim())
        .join(''),
    ).toBe('');
    expect(page.html.querySelector('#email')?.getAttribute('value')).toContain('<script>');
  });
});

describe('the set-up link', () => {
  test('makes one administrator, once', async () => {
    const fresh = await startProvider();
    await fresh.storage.prisma.account.deleteMany();
    const link = setupLink(fresh.config, fresh.storage.keyring);
    const browser = new Agent(fresh.issuer);
    expect((await browser.open(`${fresh.issuer}/setup?token=wrong`)).status).toBe(410);
    const page = await browser.open(link);
    const wrong = await browser.submit(page, {
      name: 'Ada',
      email: 'ada@example.com',
      password: 'short',
    });
    expect(wrong.status).toBe(422);
    expect(wrong.html.querySelector('#password-note')?.text).toContain('at least 8');
    expect(wrong.html.querySelector('#email')?.getAttribute('value')).toBe('ada@example.com');
    expect(
      (
        await browser.open(`${fresh.issuer}/setup`, {
          csrf: 'wrong',
          email: 'eve@example.com',
          password: 'long enough',
        })
      ).status,
    ).toBe(410);
    const both = await Promise.all(
      ['ada@example.com', 'bob@example.com'].map((email) =>
        browser.submit(page, { email, name: '', password: 'long enough' }),
      ),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 410]);
    expect(await fresh.storage.prisma.account.findMany()).toMatchObject([{ admin: true }]);
    expect((await browser.open(link)).status).toBe(410);
    await fresh.close();
  });
});

describe('a device', () => {
  const start = async () =>
    (await post(`${provider.issuer}/device_authorization`, { scope: 'openid offline_access' }, tv))
      .body as unknown as {
      device_code: string;
      user_code: string;
      verification_uri: string;
      verification_uri_complete: string;
    };
  const poll = (code: string) =>
    post(`${provider.issuer}/token`, { grant_type: DEVICE, device_code: code }, tv);

  test('is connected: code, confirmation, sign-in, consent, tokens; the code works once', async () => {
    const { device_code: code, user_code: userCode, verification_uri: uri } = await start();
    expect((await poll(code)).body.error).toBe('authorization_pending');
    const browser = agent();
    const confirm = await browser.submit(await browser.open(uri), {
      user_code: userCode.toLowerCase(),
    });
    expect(confirm.html.querySelector('output')?.text).toBe(userCode);
    let page = await browser.submit(confirm, {});
    page = await browser.submit(
      page,
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    page = await browser.submit(page, {}, /consent$/);
    expect(heading(page)).toBe('Your device is connected');
    const answers = await Promise.all([poll(code), poll(code)]);
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
    const used = await browser.submit(await browser.open(uri), { user_code: userCode });
    expect(used.html.text).toMatch(/used already|no such code/);
  });

  test('is named before it is connected, as everywhere', async () => {
    const userAgent =
      'Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36';
    const response = await fetch(`${provider.issuer}/device_authorization`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${tv.client_id}:${tv.client_secret}`).toString('base64')}`,
        'user-agent': userAgent,
      },
      body: new URLSearchParams({ scope: 'openid' }),
    });
    const { user_code: code, verification_uri: uri } = (await response.json()) as {
      user_code: string;
      verification_uri: string;
    };
    const browser = agent();
    const confirm = await browser.submit(await browser.open(uri), { user_code: code });
    expect(confirm.html.text).toContain('by “Chrome on Android”');
  });

  test('once connected refreshes', async () => {
    const {
      device_code: code,
      verification_uri_complete: complete,
      user_code: userCode,
    } = await start();
    const browser = agent();
    const entry = await browser.open(complete);
    expect(entry.html.querySelector('#user_code')?.getAttribute('value')).toBe(userCode);
    let page = await browser.submit(entry, { user_code: userCode });
    page = await browser.submit(page, {});
    page = await browser.submit(
      page,
      { email: person.email, password: person.password },
      /sign-in$/,
    );
    if (heading(page) !== 'Your device is connected')
      page = await browser.submit(page, {}, /consent$/);
    const { body } = await poll(code);
    const refreshed = await refreshAt(provider.issuer, body.refresh_token ?? '', tv);
    expect(refreshed.status).toBe(200);
  });

  test('is not, when the person cancels', async () => {
    const { device_code: code, verification_uri: uri, user_code: userCode } = await start();
    const browser = agent();
    const confirm = await browser.submit(await browser.open(uri), { user_code: userCode });
    expect(heading(await browser.submit(confirm, { abort: 'yes' }))).toBe(
      'The device was not connected',
    );
    expect((await poll(code)).body.error).toBe('access_denied');
  });
});
