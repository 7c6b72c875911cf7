// Signing in: the second factor, levels that are asked for and told, and limits on guessing, over two processes.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { delayAfter } from '../../src/accounts/counters.ts';
import { createLimits } from '../../src/accounts/limits.ts';
import { registrationOptions } from '../../src/accounts/passkeys.ts';
import { createApp } from '../../src/app.ts';
import { sweep } from '../../src/database/sweep.ts';
import { createLog } from '../../src/operations/log.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Agent, type Page, signInForm } from '../support/agent.ts';
import { Authenticator, type Behaviour } from '../support/authenticator.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
} from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';
import {
  changePassword,
  addPasskey,
  makeRecoveryCodes,
  beginTotp,
  confirmTotp,
} from '../support/changes.ts';

const strict = {
  ...webClient,
  client_id: 'strict',
  redirect_uris: ['http://localhost:4002/callback'],
  minimum_acr: '2fa',
};
const passwordClient = {
  ...webClient,
  client_id: 'old',
  grant_types: ['password'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
};

let provider: TestProvider;
let party: RelyingParty;
let second: { server: Server; port: number };
let accountId: string;
let ahead = 0; // milliseconds of the provider's clock

beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [webClient, strict, passwordClient],
    wrap: (plain) => ({ ...plain, now: () => new Date(Date.now() + ahead) }),
  });
  party = await discover(provider.issuer);
  ({ accountId } = provider);
  // Another process of the same installation.
  const { koa } = await createApp({
    config: provider.config,
    storage: clock(), // one and the same: what one of them ends is not yet to come for the other
    log: createLog('silent'),
  });
  koa.silent = true;
  const server = createServer(koa.callback() as never);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  second = { server, port: (server.address() as AddressInfo).port };
});
beforeEach(async () => {
  const { prisma } = provider.storage;
  await prisma.attempt.deleteMany();
  await prisma.passkey.deleteMany();
  await prisma.totp.deleteMany();
  await prisma.recoveryCode.deleteMany();
  await prisma.auditEvent.deleteMany();
});
afterAll(async () => {
  second.server.close();
  await provider.close();
});

const agent = () => new Agent(provider.issuer);
const agentOfSecond = () =>
  new Agent(provider.issuer, (url) => {
    const there = new URL(url);
    there.port = String(second.port);
    return there;
  });
const clock = () => ({ ...provider.storage, now: () => new Date(Date.now() + ahead) });
const parts = () => ({ storage: clock(), config: provider.config, origin: commandLine });
const heading = (page: Page) => page.html.querySelector('h1')?.text;
const alertOf = (page: Page) => page.html.querySelector('.alert')?.text;
const inUnit = (work: () => Promise<unknown>) => runUnit(provider.storage, commandLine, work);
const typesOf = async () =>
  (await provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } })).map(
    ({ type }) => type,
  );

/** Ends every sign-in until now: those after it are a second later. */
async function newPassword() {
  ahead += 1000;
  const change = { storage: clock(), config: provider.config, origin: commandLine };
  await changePassword(change, accountId, person.password);
  ahead += 1000;
}

async function setUpTotp(id = accountId) {
  const { secret } = await beginTotp(parts(), { id, email: person.email });
  const code = (step = 0) =>
    TOTP.generate({
      secret: Secret.fromBase32(secret),
      timestamp: Date.now() + ahead + step * 30_000,
    });
  await confirmTotp(parts(), id, code(-1));
  return code;
}

async function setUpPasskey(behaviour: Behaviour = {}, options = {}) {
  const device = new Authenticator(provider.issuer, options);
  const account = await provider.storage.prisma.account.findUniqueOrThrow({
    where: { id: accountId },
  });
  const given = await registrationOptions(parts(), account, 'test');
  const response = device.create(given, behaviour);
  await inUnit(() => addPasskey(parts(), accountId, { binding: 'test', response }));
  return device;
}

/** Answers the passkey form of a page. */
function withPasskey(browser: Agent, page: Page, device: Authenticator, behaviour: Behaviour = {}) {
  const form = page.html.querySelector('form[data-passkey]');
  const options = JSON.parse(form?.getAttribute('data-passkey') ?? '') as { challenge: string };
  const passkey = JSON.stringify(device.get(options, behaviour));
  return browser.open(new URL(form?.getAttribute('action') ?? '', page.url), {
    csrf: form?.querySelector('input[name=csrf]')?.getAttribute('value') ?? '',
    passkey,
  });
}

async function begin(parameters: Record<string, string> = {}, browser = agent(), of = party) {
  const request = await authorizationRequest(of, { scope: 'openid offline_access', ...parameters });
  return { browser, ...request, page: await browser.open(request.url) };
}

const withPassword = (
  browser: Agent,
  page: Page,
  password = person.password,
  email = person.email,
) => browser.submit(page, { email, password }, signInForm);

/** Consents if need be, and exchanges the code. */
async function finished(browser: Agent, page: Page, finish: (callback: URL) => Promise<object>) {
  const end = page.away ? page : await browser.submit(page, {}, /consent$/);
  if (!end.away) throw new Error(`stuck at ${heading(end) ?? ''}`);
  return finish(end.away) as ReturnType<Awaited<ReturnType<typeof authorizationRequest>>['finish']>;
}

/** Signs in with the password and an app's code. */
async function signedInWithCode(code: string) {
  const { browser, page, finish } = await begin();
  const step = await withPassword(browser, page);
  const end = await browser.submit(step, { code }, /factor$/);
  return { browser, tokens: await finished(browser, end, finish) };
}

const errorIn = (page: Page) => page.away?.searchParams.get('error');
const essential = (...values: string[]) =>
  JSON.stringify({ id_token: { acr: { essential: true, values } } });

describe('the second factor', () => {
  test('is not asked for before there is one', async () => {
    const { browser, page, finish } = await begin();
    const tokens = await finished(browser, await withPassword(browser, page), finish);
    expect(tokens.claims()).toMatchObject({ acr: '1fa', amr: ['pwd'] });
  });

  test('a one-time code after the password', async () => {
    const code = await setUpTotp();
    const { browser, page, finish } = await begin();
    const step = await withPassword(browser, page);
    expect(heading(step)).toBe('One more step');
    expect(browser.cookies.some(({ name }) => name === 'symbolon_session')).toBe(false);
    const wrong = await browser.submit(step, { code: '000000' }, /factor$/);
    expect([wrong.status, wrong.html.querySelector('#code-note')?.text]).toEqual([
      401,
      expect.stringContaining('not right'),
    ]);
    const consent = await browser.submit(wrong, { code: code() }, /factor$/);
    const tokens = await finished(browser, consent, finish);
    expect(tokens.claims()).toMatchObject({ acr: '2fa', amr: ['pwd', 'otp', 'mfa'] });
    expect(await typesOf()).toEqual(expect.arrayContaining(['second_factor.failed', 'sign_in']));
    const event = await provider.storage.prisma.auditEvent.findFirst({
      where: { type: 'sign_in' },
    });
    expect(event?.detail).toEqual({ amr: ['pwd', 'otp', 'mfa'] });
    // Refreshing tells of the same sign-in.
    const refreshed = await refresh(party, refreshTokenOf(tokens));
    expect(refreshed.claims()).toMatchObject({
      acr: '2fa',
      amr: ['pwd', 'otp', 'mfa'],
      auth_time: tokens.claims()?.auth_time,
    });
  });

  test('a recovery code instead, once', async () => {
    await setUpTotp();
    const [code = ''] = await makeRecoveryCodes(parts(), accountId);
    const signInWith = async () => {
      const { browser, page } = await begin();
      const step = await withPassword(browser, page);
      const link = step.html.querySelector('a[href*="with=recovery"]')?.getAttribute('href') ?? '';
      const form = await browser.open(new URL(link, step.url));
      return browser.submit(form, { code }, /factor\?with=recovery$/);
    };
    expect(heading(await signInWith())).not.toBe('One more step');
    const again = await signInWith();
    expect([again.status, heading(again)]).toEqual([401, 'One more step']);
    // Who has mistyped one is asked for one again, and may take the other way.
    expect(again.html.querySelector('label[for=code]')?.text).toBe('Recovery code');
    expect(again.html.text).toContain('Use a one-time code');
  });

  test('the address of a form that was wrong leads back to its page', async () => {
    const { browser, page } = await begin();
    const wrong = await withPassword(browser, page, 'a wrong password');
    expect(heading(await browser.open(wrong.url))).toBe(heading(page));
    const own = agent();
    const url = `${provider.issuer}/sign-in/sign-in?to=/account`;
    expect((await own.open(url)).url.pathname).toBe('/sign-in');
  });

  test('a passkey after the password, with or without its user verified', async () => {
    const device = await setUpPasskey();
    const { browser, page, finish } = await begin();
    const step = await withPassword(browser, page);
    const end = await withPasskey(browser, step, device, { verifiesUser: false });
    const tokens = await finished(browser, end, finish);
    expect(tokens.claims()).toMatchObject({ acr: 'phr', amr: ['pwd', 'hwk', 'mfa'] });
  });

  test('a passkey alone, with its user verified', async () => {
    const device = await setUpPasskey({}, { isSynced: true });
    const { browser, page, finish } = await begin();
    const wrong = await withPasskey(browser, page, device, { verifiesUser: false });
    expect([wrong.status, alertOf(wrong)]).toEqual([401, expect.stringContaining('not accepted')]);
    const end = await withPasskey(browser, wrong, device);
    const tokens = await finished(browser, end, finish);
    expect(tokens.claims()).toMatchObject({ acr: 'phr', amr: ['swk', 'mfa'] });
  });

  test('an answer of another browser’s page is worth nothing', async () => {
    const device = await setUpPasskey();
    const [one, other] = [await begin(), await begin()];
    const form = one.page.html.querySelector('form[data-passkey]');
    const options = JSON.parse(form?.getAttribute('data-passkey') ?? '') as { challenge: string };
    const page = await other.browser.submit(
      other.page,
      { passkey: JSON.stringify(device.get(options)) },
      /passkey$/,
    );
    expect(page.status).toBe(401);
  });

  test('what was verified counts in its own sign-in only, for ten minutes', async () => {
    const code = await setUpTotp();
    const [one, other] = [await begin(), await begin()];
    const step = await withPassword(one.browser, one.page);
    const cookie = one.browser.cookies.find(({ name }) => name === 'symbolon_factor');
    expect(cookie).toBeDefined();
    // The same cookie in another interaction.
    const action = new URL(other.page.url.pathname, other.page.url);
    other.browser.set({
      name: 'symbolon_factor',
      value: cookie?.value ?? '',
      path: action.pathname,
    });
    const csrf = other.page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
    const moved = await other.browser.open(`${action.href}/factor`, { csrf, code: code() });
    expect(heading(moved)).toMatch(/^Sign in/);
    // Made up, cut off, or of somebody's imagination.
    for (const value of [
      '',
      'AAAA',
      cookie?.value.slice(0, -4) ?? '',
      `${cookie?.value ?? ''}AAAA`,
    ]) {
      const copy = one.browser.clone();
      copy.set({ name: 'symbolon_factor', value, path: cookie?.path ?? '' });
      const page = await copy.submit(step, { code: code() }, /factor$/);
      expect(heading(page)).toMatch(/^Sign in/);
    }
    // After ten minutes.
    ahead += 601_000;
    try {
      expect(heading(await one.browser.clone().open(step.url))).toMatch(/^Sign in/);
    } finally {
      ahead -= 601_000;
    }
    // Ended by a new password.
    await newPassword();
    const late = await one.browser.submit(step, { code: code() }, /factor$/);
    expect(heading(late)).toMatch(/^Sign in/);
  });
});

describe('levels', () => {
  test('discovery names them', () => {
    expect(party.configuration.serverMetadata().acr_values_supported).toEqual([
      '1fa',
      '2fa',
      'phr',
    ]);
  });

  test('acr_values asks who has a second factor for it, and only for it', async () => {
    const { browser, page } = await begin();
    await withPassword(browser, page);
    // Without one it is voluntary.
    const without = await begin({ acr_values: '2fa' }, browser);
    const tokens = await finished(browser, without.page, without.finish);
    expect(tokens.claims()?.['acr']).toBe('1fa');

    const code = await setUpTotp();
    const none = await begin({ acr_values: '2fa', prompt: 'none', scope: 'openid' }, browser);
    expect(none.page.away?.searchParams.get('code')).toBeTruthy();
    const before = tokens.claims()?.auth_time ?? 0;
    ahead += 2000;
    const raised = await begin({ acr_values: 'phr 2fa' }, browser);
    expect(heading(raised.page)).toBe('One more step');
    expect(raised.page.html.querySelector('input[type=password]')).toBeNull();
    const end = await browser.submit(raised.page, { code: code() }, /factor$/);
    const better = await finished(browser, end, raised.finish);
    expect(better.claims()).toMatchObject({ acr: '2fa', amr: ['pwd', 'otp', 'mfa'] });
    // One factor more is no new sign-in.
    expect(better.claims()?.auth_time).toBe(before);
    // From now on the session has it.
    const again = await begin({ acr_values: '2fa', prompt: 'none' }, browser);
    expect(errorIn(again.page)).toBeNull();
    const low = await begin({ acr_values: '1fa', prompt: 'none' }, browser);
    expect((await finished(browser, low.page, low.finish)).claims()?.['acr']).toBe('1fa');
  });

  test('an essential acr is not answered below', async () => {
    const { browser, page } = await begin();
    const consent = await withPassword(browser, page);
    if (!consent.away) await browser.submit(consent, {}, /consent$/);
    const none = await begin({ claims: essential('2fa'), prompt: 'none' }, browser);
    expect(errorIn(none.page)).toBe('login_required');
    const needed = await begin({ claims: essential('2fa') }, browser);
    expect(heading(needed.page)).toBe('A second factor is needed');
    const link = needed.page.html.querySelector('a.button')?.getAttribute('href') ?? '';
    expect((await browser.open(new URL(link, needed.page.url))).status).toBe(200);
    const cancelled = await browser.submit(needed.page, {}, /cancel$/);
    expect(errorIn(cancelled)).toBe('unmet_authentication_requirements');
    const unknown = await begin({ claims: essential('gold') }, browser);
    expect(errorIn(unknown.page)).toBe('unmet_authentication_requirements');

    // Set up meanwhile, it is asked for on the same page.
    const waiting = await begin({ claims: essential('phr', '2fa') }, browser);
    const code = await setUpTotp();
    const step = await browser.open(waiting.page.url);
    expect(heading(step)).toBe('One more step');
    const end = await browser.submit(step, { code: code() }, /factor$/);
    expect((await finished(browser, end, waiting.finish)).claims()?.['acr']).toBe('2fa');
    // acr_values besides do not make it less.
    const both = await begin(
      { claims: essential('phr'), acr_values: '1fa', prompt: 'none' },
      browser,
    );
    expect(errorIn(both.page)).toBe('login_required');
  });

  test('a client’s minimum holds whatever the request says', async () => {
    const demanding = await discover(provider.issuer, strict);
    const { browser, page } = await begin({ acr_values: '1fa' }, agent(), demanding);
    const needed = await withPassword(browser, page);
    expect(heading(needed)).toBe('A second factor is needed');
    const none = await begin({ prompt: 'none' }, browser, demanding);
    expect(errorIn(none.page)).toBe('login_required');
    const code = await setUpTotp();
    const step = await browser.open(needed.url);
    const end = await browser.submit(step, { code: code() }, /factor$/);
    expect(heading(end)).toContain('asks for your permission');
  });

  test('prompt=login and max_age ask for the password again, and what was verified before does not count', async () => {
    const code = await setUpTotp();
    const { browser } = await signedInWithCode(code());
    const again = await begin({ prompt: 'login', acr_values: '2fa' }, browser);
    expect(again.page.html.querySelector('input[type=password]')).not.toBeNull();
    const more = await withPassword(browser, again.page);
    expect(heading(more)).toBe('One more step');
  });

  test('with max_age, a sign-in that is too old is asked for all factors, also while one is asked for', async () => {
    const code = await setUpTotp();
    const wanted = { acr_values: 'phr', max_age: '300' };
    const { browser, tokens: first } = await signedInWithCode(code());
    const device = await setUpPasskey();
    const before = first.claims()?.auth_time ?? 0;
    ahead += 290_000;
    const raised = await begin(wanted, browser);
    expect(heading(raised.page)).toBe('One more step');
    ahead += 20_000;
    const late = await withPasskey(browser, raised.page, device, { verifiesUser: false });
    expect(late.html.querySelector('input[type=password]')).not.toBeNull();
    const more = await withPassword(browser, late);
    const end = await withPasskey(browser, more, device, { verifiesUser: false });
    const tokens = await finished(browser, end, raised.finish);
    expect(tokens.claims()?.['acr']).toBe('phr');
    expect(tokens.claims()?.auth_time).toBeGreaterThanOrEqual(before + 310);
    const again = await begin({ ...wanted, prompt: 'none' }, browser);
    expect(errorIn(again.page)).toBeNull();
    ahead -= 310_000;
  });

  test('a passkey with its user verified is a whole sign-in, also as a step-up', async () => {
    const { browser, page, finish } = await begin();
    const first = await finished(browser, await withPassword(browser, page), finish);
    const device = await setUpPasskey();
    ahead += 2000;
    const raised = await begin({ acr_values: 'phr' }, browser);
    const end = await withPasskey(browser, raised.page, device);
    const tokens = await finished(browser, end, raised.finish);
    expect(tokens.claims()).toMatchObject({ acr: 'phr', amr: ['hwk', 'mfa'] });
    expect(tokens.claims()?.auth_time).toBeGreaterThan(first.claims()?.auth_time ?? 0);
  });

  test('a step-up is for who is signed in, and ends with the session', async () => {
    const { browser, page, finish } = await begin();
    await finished(browser, await withPassword(browser, page), finish);
    const code = await setUpTotp();
    const raised = await begin({ acr_values: '2fa' }, browser);
    expect(heading(raised.page)).toBe('One more step');
    await newPassword();
    const late = await browser.submit(raised.page, { code: code() }, /factor$/);
    expect([late.status, late.away]).toEqual([400, undefined]);
    const none = await begin({ prompt: 'none' }, browser);
    expect(errorIn(none.page)).toBe('login_required');
  });

  test('access tokens and introspection tell acr and auth_time (RFC 9470 §6.2)', async () => {
    const code = await setUpTotp();
    const { browser, tokens } = await signedInWithCode(code());
    const introspect = async (token: string) =>
      (await post(`${provider.issuer}/introspect`, { token }, webClient)).body;
    const { auth_time: at } = tokens.claims() ?? {};
    expect(await introspect(tokens.access_token)).toMatchObject({
      active: true,
      acr: '2fa',
      auth_time: at,
    });
    expect(await introspect(refreshTokenOf(tokens))).toMatchObject({ acr: '2fa', auth_time: at });
    const next = await refresh(party, refreshTokenOf(tokens));
    expect(await introspect(next.access_token)).toMatchObject({ acr: '2fa', auth_time: at });
    await provider.storage.prisma.resource.upsert({
      where: { id: 'https://api.example' },
      create: { id: 'https://api.example', scopes: { read: '' } },
      update: {},
    });
    const forApi = await begin({ resource: 'https://api.example', scope: 'openid read' }, browser);
    const jwt = await finished(browser, forApi.page, forApi.finish);
    expect(decodeJwt(jwt.access_token)).toMatchObject({ acr: '2fa', auth_time: at });
  });

  test('the password grant does not get round a second factor', async () => {
    const grant = () =>
      post(
        `${provider.issuer}/token`,
        {
          grant_type: 'password',
          username: person.email,
          password: person.password,
          scope: 'openid',
        },
        passwordClient,
      );
    expect((await grant()).status).toBe(200);
    await setUpTotp();
    expect(await grant()).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });
});

describe('pages of our own', () => {
  test.each([
    ['https://evil.example/', '/'],
    ['//evil.example', '/'],
    ['/\\evil.example', '/'],
    ['javascript:alert(1)', '/'],
    ['/.//evil.example', '//evil.example'],
    ['/device?user_code=x', '/device'],
  ])('/sign-in leads back to pages of ours only: %s', async (to, path) => {
    const browser = agent();
    const page = await browser.open(`${provider.issuer}/sign-in?to=${encodeURIComponent(to)}`);
    const end = await withPassword(browser, page);
    expect([end.away, end.url.pathname]).toEqual([undefined, path]);
    expect(end.url.origin).toBe(new URL(provider.issuer).origin);
  });

  test('a page that wants a sign-in of late is not to be had with the second factor of an old one', async () => {
    const { browser, page } = await begin();
    await withPassword(browser, page);
    const code = await setUpTotp();
    ahead += 15 * 60_000 + 1000;
    const step = await browser.open(`${provider.issuer}/sign-in?level=2fa&to=/account/methods`);
    const asked = await browser.submit(step, { code: code() }, /factor/);
    expect(asked.html.querySelector('input[type=password]')).not.toBeNull();
    const more = await withPassword(browser, asked);
    const end = await browser.submit(more, { code: code(1) }, /factor/);
    expect(end.url.pathname).toBe('/account/methods');
    ahead -= 15 * 60_000 + 1000;
  });

  test('a session that is raised keeps the applications that it is signed in to', async () => {
    const { browser, page, finish } = await begin();
    await finished(browser, await withPassword(browser, page), finish);
    const code = await setUpTotp();
    const step = await browser.open(`${provider.issuer}/sign-in?level=2fa&to=/`);
    expect(heading(step)).toBe('One more step');
    const end = await browser.submit(step, { code: code() }, /factor/);
    expect(end.url.pathname).toBe('/');
    const silent = await begin({ prompt: 'none', acr_values: '2fa' }, browser);
    expect((await finished(browser, silent.page, silent.finish)).claims()?.['acr']).toBe('2fa');
  });
});

describe('limits', () => {
  const rule = { free: 3, window: 60, longest: 10 };
  test('the delay doubles, up to its longest', () => {
    expect([1, 3, 4, 5, 6, 7, 100].map((guesses) => delayAfter(guesses, rule))).toEqual([
      0, 0, 2, 4, 8, 10, 10,
    ]);
  });

  /** Guesses until it is told to wait. @returns how many were judged, and the last answer */
  async function guess(browsers: readonly Agent[], email: string, most = 12) {
    let judged = 0;
    for (; judged < most; judged++) {
      const browser = browsers[judged % browsers.length] ?? agent();
      const { page } = await begin({}, browser);
      const answer = await withPassword(browser, page, 'a wrong password', email);
      if (answer.status === 429) return { judged, answer };
      expect([answer.status, alertOf(answer)]).toEqual([401, expect.stringContaining('not right')]);
    }
    throw new Error('nobody was told to wait');
  }

  test('two processes count as one; the answer is the same whether there is such an account or not', async () => {
    const answers = [];
    for (const email of [person.email, 'nobody@example.com']) {
      await provider.storage.prisma.attempt.deleteMany();
      const { judged, answer } = await guess([agent(), agentOfSecond()], email);
      expect(answer.headers.get('retry-after')).toMatch(/^[12]$/);
      answers.push({
        judged,
        alert: alertOf(answer)?.replace(/\d/, 'n'),
        title: answer.html.querySelector('title')?.text,
      });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.judged).toBe(6);
    expect((await typesOf()).filter((type) => type === 'sign_in.limited')).toHaveLength(2);
    // No address is kept, of mail or of the network.
    for (const { key } of await provider.storage.prisma.attempt.findMany())
      expect(key).toMatch(/^([nw]:\w+|row):[\w-]{43}$/);
  });

  test('many at once are judged no more than one after the other', async () => {
    const browser = agent();
    const { page } = await begin({}, browser);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => withPassword(browser.clone(), page, 'a wrong password')),
    );
    expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(6);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
  });

  test('who waits may go on, and a success starts anew', async () => {
    const { prisma } = provider.storage;
    const browser = agent();
    await guess([browser], person.email);
    const { page } = await begin({}, browser);
    const early = await withPassword(browser, page);
    expect(early.status).toBe(429);
    expect(early.html.querySelector('#email')?.getAttribute('value')).toBe(person.email);
    await prisma.$executeRaw`UPDATE attempt SET expire = ${Date.now() - 1} WHERE key LIKE 'w:%'`;
    expect((await withPassword(browser, early)).status).not.toBe(429);
    expect(
      (await prisma.attempt.findMany({ where: { key: { startsWith: 'n:password' } } })).length,
    ).toBe(0);
  });

  test('an owner who has signed in with this browser before is not slowed by strangers at the same address', async () => {
    const own = agent();
    const { page, finish } = await begin({}, own);
    await finished(own, await withPassword(own, page), finish);
    await guess([agent()], person.email);
    const stranger = agent();
    expect((await withPassword(stranger, (await begin({}, stranger)).page)).status).toBe(429);
    const again = await begin({ prompt: 'login' }, own);
    const end = await withPassword(own, again.page);
    expect(end.away?.searchParams.get('code')).toBeTruthy();
    // The cookie is of this account and this browser, and cannot be made up.
    const cookie = own.cookies.find(({ name }) => name === 'symbolon_browser');
    const forged = agent();
    const [, mark = ''] = cookie?.value.split('.') ?? [];
    forged.set({ name: 'symbolon_browser', value: `AAAAAAAAAAAAAAAA.${mark}`, path: '/' });
    expect((await withPassword(forged, (await begin({}, forged)).page)).status).toBe(429);
    // Guessing with it has its own limit.
    const { judged } = await guess(
      [own.clone()].map((copy) => copy),
      person.email,
    ).catch(() => ({ judged: 0 }));
    expect(judged).toBeLessThanOrEqual(6);
  });

  test('codes are counted by the account, wherever they come from', async () => {
    await setUpTotp();
    let refusedAt = 0;
    for (let index = 0; index < 10 && refusedAt === 0; index++) {
      const browser = index % 2 ? agent() : agentOfSecond();
      const { page } = await begin({}, browser);
      const step = await withPassword(browser, page);
      const answer = await browser.submit(step, { code: '123456' }, /factor$/);
      if (answer.status === 429) refusedAt = index;
    }
    expect(refusedAt).toBe(6);
  });

  test('user codes of devices are counted by the address', async () => {
    const browser = agent();
    const statuses: number[] = [];
    for (let index = 0; index < 13; index++) {
      const page = await browser.open(`${provider.issuer}/device`);
      const answer = await browser.submit(page, { user_code: 'BBBB-BBBB' });
      statuses.push(answer.status);
      if (answer.status === 429) {
        expect(heading(answer)).toBe('Too many attempts');
        expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      }
    }
    expect(statuses.filter((status) => status === 429)).toHaveLength(2);
  });

  test('the password grant and the set-up link are counted too', async () => {
    const grant = () =>
      post(
        `${provider.issuer}/token`,
        { grant_type: 'password', username: person.email, password: 'wrong', scope: 'openid' },
        passwordClient,
      );
    const statuses = [];
    for (let index = 0; index < 8; index++) statuses.push((await grant()).status);
    expect(statuses.slice(5)).toEqual([400, 429, 429]);
    const setUp = [];
    for (let index = 0; index < 13; index++)
      setUp.push((await agent().open(`${provider.issuer}/setup`, { csrf: 'x' })).status);
    expect(setUp.slice(10)).toEqual([410, 429, 429]);
  });

  test('what has expired is swept', async () => {
    const { prisma, pool, keyring, now } = provider.storage;
    const attempt = { what: 'setup', from: { ip: '203.0.113.9' } } as const;
    await createLimits({ pool, keyring }).judge(attempt, () => Promise.resolve(undefined));
    await prisma.$executeRaw`UPDATE attempt SET expire = ${Date.now() - 120_000}`;
    await sweep({ prisma, now, retention: 60, auditRetention: 60 });
    expect(await prisma.attempt.count()).toBe(0);
  });

  test('when the database cannot answer, the answer is 503', async () => {
    const broken = await startProvider();
    const browser = new Agent(broken.issuer);
    const page = await browser.open(`${broken.issuer}/sign-in`);
    await broken.storage.prisma.$executeRaw`ALTER TABLE attempt RENAME TO gone`;
    expect((await withPassword(browser, page)).status).toBe(503);
    await broken.close();
  });
});
