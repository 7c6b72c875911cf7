// Every page that there is, and how a browser gets to it, in any language and without JavaScript. A story goes through
// the pages of one subject, in a browser of its own, and says at each where it is.
import { TOTP, Secret } from 'otpauth';
import pg from 'pg';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { inject } from 'vitest';
import { hashPassword } from '../../src/accounts/hashing.ts';
import { type LinkPurpose, linkUrl, makeLink } from '../../src/accounts/links.ts';
import { registrationOptions } from '../../src/accounts/passkeys.ts';
import { setupLink } from '../../src/pages/setup.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Agent } from './agent.ts';
import { Authenticator } from './authenticator.ts';
import { watch } from './browser.ts';
import { type CallbackServer, startCallbackServer } from './callback-server.ts';
import { type TestProvider, person, startProvider, webClient } from './provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn as connect,
} from './relying-party.ts';
import { post } from './token-endpoint.ts';
import { invite, addPasskey, makeRecoveryCodes, beginTotp, confirmTotp } from './changes.ts';

const API = 'https://api.notes.example';
const CIBA = 'urn:openid:params:grant-type:ciba';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const PHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';

const tv = {
  client_id: 'tv',
  client_secret: 'the secret of the television',
  client_name: 'Television',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};
const bank = {
  client_id: 'bank',
  client_secret: 'the secret of the bank',
  client_name: 'Riverside Bank',
  grant_types: [CIBA, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  backchannel_token_delivery_mode: 'poll',
};
const calendar = {
  ...webClient,
  client_id: 'calendar',
  client_name: 'Calendar',
  redirect_uris: ['http://localhost:4002/callback'],
};

/** An application that registered itself. */
const stranger = {
  ...webClient,
  ...{ client_id: 'stranger', client_id_issued_at: 1, client_name: 'Google' },
  redirect_uris: ['https://evil.example/callback'],
};

interface Stage {
  readonly page: Page;
  readonly provider: TestProvider;
  readonly callbacks: CallbackServer;
  /** Notes, the application that people sign in to. */
  readonly notes: RelyingParty;
}

type Story = (stage: Stage) => AsyncGenerator<string, void>;

/** A page that a browser stands at. */
export interface Stop {
  readonly name: string;
  readonly page: Page;
}

interface TourOptions {
  /** Is told what the pages did that they must not. */
  readonly complaints?: string[];
  /** A folder of templates that replace ours. */
  readonly views?: string;
}

/** Goes to every page, one after the other. */
export async function* tour(
  browser: Browser,
  options: BrowserContextOptions,
  { complaints, views }: TourOptions = {},
): AsyncGenerator<Stop, void> {
  const callbacks = await startCallbackServer();
  const client = {
    ...webClient,
    redirect_uris: [`${callbacks.origin}/callback`],
    client_uri: `${callbacks.origin}/`,
    policy_uri: `${callbacks.origin}/privacy`,
    tos_uri: `${callbacks.origin}/terms`,
    authorization_details_types: ['payment'],
  };
  const provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_SIGN_UP: 'open',
      SYMBOLON_AUTHORIZATION_DETAILS_TYPES: 'payment',
      SYMBOLON_VIEWS_DIR: views,
    },
    clients: [client, tv, bank, calendar, stranger],
  });
  const scopes = { 'notes:read': 'Read your notes', 'notes:write': 'Change your notes' };
  await provider.storage.prisma.resource.create({
    data: { id: API, name: 'The library of notes', scopes },
  });
  try {
    const notes = await discover(provider.issuer, client);
    for (const story of stories) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      const heard = watch(page);
      for await (const name of story({ page, provider, callbacks, notes })) yield { name, page };
      complaints?.push(...heard);
      await context.close();
    }
  } finally {
    await callbacks.close();
    await provider.close();
  }
}

/** Fills in a form, and sends it. @param form the end of its action @param button which of its buttons */
async function send(
  page: Page,
  form: string,
  fields: Readonly<Record<string, string>> = {},
  button = 'button',
): Promise<void> {
  const one = page.locator(`form[action$="${form}"]`).first();
  for (const [name, value] of Object.entries(fields))
    await one.locator(`[name="${name}"]`).fill(value);
  await Promise.all([page.waitForEvent('load'), one.locator(button).first().click()]);
}

const credentials = { email: person.email, password: person.password };

async function signIn({ page, provider }: Stage, path: string): Promise<void> {
  await page.goto(provider.issuer + path);
  await page.locator('#email').fill(person.email);
  await page.locator('#password').fill(person.password);
  await Promise.all([
    page.waitForEvent('load'),
    page.locator('form:has(#password) button').click(),
  ]);
}

async function authorize(
  { page, notes }: Stage,
  parameters: Record<string, string> = {},
): Promise<void> {
  await page.goto((await authorizationRequest(notes, parameters)).url.href);
}

async function account({ provider }: Stage) {
  return provider.storage.prisma.account.findUniqueOrThrow({ where: { email: person.email } });
}

async function* settingUp(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const { prisma, keyring } = provider.storage;
  await prisma.account.deleteMany();
  await page.goto(provider.issuer);
  yield 'home-new';
  const link = setupLink(provider.config, keyring);
  await page.goto(link);
  yield 'setup';
  await send(page, '/setup', { email: 'nobody@example', password: 'long enough' });
  yield 'setup-wrong';
  await send(page, '/setup', { ...credentials, name: person.name });
  yield 'setup-done';
  await page.goto(link);
  yield 'setup-used';
  await page.goto(provider.issuer);
  yield 'home';
}

async function* authorizing(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider, callbacks } = stage;
  const { prisma } = provider.storage;
  await authorize(stage, { prompt: 'consent' });
  yield 'sign-in';
  const wrong = { email: person.email, password: 'wrong' };
  await send(page, '/sign-in', wrong);
  yield 'sign-in-wrong';
  // As if there had been so many guesses that the next one waits for minutes.
  await prisma.attempt.updateMany({ where: { key: { startsWith: 'n:' } }, data: { points: 12 } });
  await send(page, '/sign-in', wrong);
  await send(page, '/sign-in', wrong);
  yield 'sign-in-limited';
  await prisma.attempt.deleteMany();
  await send(page, '/sign-in', credentials);
  yield 'consent';
  await send(page, '/consent');
  await callbacks.next();

  await authorize(stage, {
    prompt: 'consent',
    scope: 'openid profile email phone offline_access notes:read notes:write',
    resource: API,
    claims: JSON.stringify({ userinfo: { birthdate: null, locale: { essential: true } } }),
    authorization_details: JSON.stringify([
      {
        type: 'payment',
        locations: ['https://bank.example'],
        instructedAmount: { currency: 'EUR', amount: '123.50' },
        creditorName: 'Merchant A',
      },
    ]),
  });
  yield 'consent-details';
  await authorize(stage, { prompt: 'select_account' });
  yield 'select-account';
  await prisma.$executeRaw`UPDATE client SET metadata = metadata || '{"allowed_groups": ["staff"]}'`;
  await authorize(stage);
  yield 'no-access';
  await prisma.$executeRaw`UPDATE client SET metadata = metadata - 'allowed_groups'`;
  await authorize(stage, { prompt: 'login' });
  yield 'sign-in-again';
  await prisma.account.updateMany({ data: { deleteAt: new Date(Date.now() + 604_800_000) } });
  await send(page, '/sign-in', credentials);
  yield 'leaving';
  await prisma.account.updateMany({ data: { deleteAt: null } });
  await authorize(stage, { prompt: 'login' });

  // The application answers with nothing, so that the page stays.
  await page.route(/\/callback/, (route) => route.fulfill({ status: 204 }));
  const { url } = await authorizationRequest(stage.notes, {
    scope: 'openid profile',
    response_mode: 'form_post',
  });
  await page.goto(url.href, { waitUntil: 'commit' });
  await page.locator('form[action$="/callback"] button').waitFor();
  yield 'continue';

  await page.goto(`${provider.issuer}/logout?client_id=${webClient.client_id}`);
  yield 'sign-out';
  await send(page, '/logout/confirm', {}, 'button.quiet');
  yield 'signed-out-stay';
  await page.goto(`${provider.issuer}/logout`);
  await send(page, '/logout/confirm');
  yield 'signed-out';
}

async function* strangers(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const party = await discover(provider.issuer, stranger);
  await page.goto((await authorizationRequest(party, { prompt: 'consent' })).url.href);
  yield 'sign-in-stranger';
  await send(page, '/sign-in', credentials);
  yield 'consent-stranger';
  const other = { redirect_uri: 'https://evil.example/other' };
  await page.goto((await authorizationRequest(party, other)).url.href);
  yield 'error-redirect';
}

async function* secondFactors(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const { storage, config } = provider;
  const { id, email } = await account(stage);
  const parts = { storage, config, origin: commandLine };
  const enterPassword = async (parameters?: Record<string, string>) => {
    await page.context().clearCookies();
    await authorize(stage, parameters);
    await send(page, '/sign-in', credentials);
  };
  await enterPassword({
    claims: JSON.stringify({ id_token: { acr: { essential: true, value: '2fa' } } }),
  });
  yield 'factor-needed';

  await addPhone(stage);
  await enterPassword();
  yield 'second-factor-passkey';
  const { secret } = await beginTotp(parts, { id, email });
  const timestamp = Date.now() - 30_000;
  await confirmTotp(parts, id, TOTP.generate({ secret: Secret.fromBase32(secret), timestamp }));
  await makeRecoveryCodes(parts, id);
  await enterPassword();
  yield 'second-factor';
  await send(page, '/factor', { code: '000000' });
  yield 'second-factor-wrong';
  await page.goto(`${new URL(page.url()).href}?with=recovery`);
  yield 'second-factor-recovery';
  for (const table of ['passkey', 'totp', 'recoveryCode', 'attempt'] as const)
    await (storage.prisma[table] as { deleteMany(): Promise<unknown> }).deleteMany();
}

async function* devices(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const start = async () => {
    const scope = 'openid offline_access';
    const { body } = await post(`${provider.issuer}/device_authorization`, { scope }, tv);
    return (body as unknown as { verification_uri_complete: string }).verification_uri_complete;
  };
  await signIn(stage, '/account');
  await page.goto(`${provider.issuer}/device`);
  yield 'device-code';
  await send(page, '/device', { user_code: 'WRNG-CODE' });
  yield 'device-code-wrong';
  await page.goto(await start());
  await send(page, '/device');
  yield 'device-confirm';
  await send(page, '/device');
  yield 'consent-device';
  await send(page, '/consent');
  yield 'device-done';
  await page.goto(await start());
  await send(page, '/device');
  await send(page, '/device', {}, '[name=abort]');
  yield 'device-aborted';
}

async function* approvals(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  await signIn(stage, '/approve');
  yield 'approve-none';
  const wish = { scope: 'openid profile offline_access', login_hint: person.email };
  await post(
    `${provider.issuer}/backchannel_authentication`,
    { ...wish, binding_message: 'TIGER-42' },
    bank,
  );
  await page.reload();
  yield 'approve';
  await Promise.all([page.waitForEvent('load'), page.locator('button[value=allow]').click()]);
  yield 'approved';
}

async function* waysIn(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const { prisma, keyring } = provider.storage;
  const { id } = await account(stage);
  const open = async (purpose: LinkPurpose, wish: { accountId?: string; data?: object } = {}) => {
    const email = wish.accountId === undefined ? 'grace@example.com' : person.email;
    const token = await makeLink(prisma, keyring, { purpose, email, now: new Date(), ...wish });
    await page.goto(linkUrl(provider.issuer, purpose, token));
  };
  await page.goto(`${provider.issuer}/sign-in?to=/account`);
  yield 'sign-in-own';
  await page.goto(`${provider.issuer}/forgot`);
  yield 'forgot';
  await send(page, '/forgot', { email: person.email });
  yield 'forgot-sent';
  await open('password_reset', { accountId: id });
  yield 'reset';
  await send(page, '/reset', { password: 'password1' });
  yield 'reset-wrong';
  await send(page, '/reset', { password: person.password });
  yield 'reset-done';
  await page.goto(`${provider.issuer}/reset?token=spent`);
  yield 'link-void';

  await page.goto(`${provider.issuer}/sign-up`);
  yield 'sign-up';
  const newcomer = { email: 'grace@example.com', password: 'a nanosecond of wire' };
  await send(page, '/sign-up', { ...newcomer, password: 'password1' });
  yield 'sign-up-wrong';
  await send(page, '/sign-up', newcomer);
  yield 'sign-up-sent';
  await prisma.attempt.updateMany({ data: { points: 1000 } });
  await page.goto(`${provider.issuer}/sign-up`);
  await send(page, '/sign-up', newcomer);
  yield 'sign-up-limited';
  await prisma.attempt.deleteMany();
  const passwordHash = await hashPassword(newcomer.password);
  await open('sign_up', { data: { name: '', passwordHash, browser: 'another' } });
  yield 'sign-up-confirm';
  await send(page, '/sign-up/confirm', { password: newcomer.password });
  yield 'sign-up-done';
  const { url } = await invite(provider, { email: 'alan@example.com', name: 'Alan', seconds: 600 });
  await page.goto(url);
  yield 'invitation';
  await signIn(stage, '/account');
  await open('email_change', { accountId: id });
  yield 'verify-change';
  await open('verification', { accountId: id });
  yield 'verify';
  await send(page, '/verify');
  yield 'verify-done';
}

async function* ownAccount(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  const { storage, config } = provider;
  const open = (path: string) => page.goto(`${provider.issuer}/account${path}`);
  await storage.prisma.grant.deleteMany();
  await signIn(stage, '/account');
  yield 'account';
  await send(page, '/account/name', { name: 'Ada King' });
  yield 'account-saved';
  await open('/email');
  yield 'account-email';
  await open('/applications');
  yield 'account-applications-none';
  await connectApplications(stage);
  await page.reload();
  await page.locator('summary').first().click();
  yield 'account-applications';
  await open('/sessions');
  yield 'account-sessions';
  await open('/history');
  yield 'account-history';

  await open('/methods');
  yield 'account-methods-none';
  await open('/methods/password');
  yield 'account-password';
  await send(page, '/methods/password', {
    current: person.password,
    password: 'password1',
  });
  yield 'account-password-wrong';
  await open('/methods/totp');
  yield 'account-totp';
  await send(page, '/methods/totp', { code: '000000' });
  yield 'account-totp-wrong';
  const parts = { storage, config, origin: commandLine };
  const { id, email } = await account(stage);
  const { secret } = await beginTotp(parts, { id, email });
  const code = TOTP.generate({ secret: Secret.fromBase32(secret) });
  await send(page, '/methods/totp', { code });
  await open('/methods');
  await send(page, '/methods/totp/remove');
  yield 'account-last-factor';
  await open('/methods');
  await send(page, '/methods/recovery');
  yield 'account-recovery';
  await addPhone(stage);
  await open('/methods');
  yield 'account-methods';
  await open('/data');
  yield 'account-data';
  await send(page, '/data/delete');
  yield 'account-data-needed';
  await storage.prisma.account.updateMany({ data: { admin: false } });
  await send(page, '/data/delete');
  yield 'account-leaving';
}

/** Where an account is deleted at once. */
async function* leaving({ page, provider, ...stage }: Stage): AsyncGenerator<string, void> {
  const { views } = provider.config.theme;
  const environment = { SYMBOLON_DELETION_DAYS: '0', SYMBOLON_VIEWS_DIR: views };
  const other = await startProvider({ environment });
  try {
    await signIn({ ...stage, page, provider: other }, '/account/data');
    yield 'account-data-at-once';
    await send(page, '/data/delete', { email: 'a@example.com' });
    yield 'account-data-wrong';
    await send(page, '/data/delete', { email: person.email });
    yield 'deleted';
  } finally {
    await other.close();
  }
}

/** A passkey that is called like a phone. */
async function addPhone(stage: Stage): Promise<void> {
  const { storage, config, issuer } = stage.provider;
  const parts = { storage, config, origin: commandLine };
  const person = await account(stage);
  const device = new Authenticator(issuer, { isSynced: true });
  const response = device.create(await registrationOptions(parts, person, 'tour'));
  await runUnit(storage, commandLine, () =>
    addPasskey(parts, person.id, { binding: 'tour', response, name: 'Ada’s phone' }),
  );
}

/** Two applications, one of them with a token that was presented twice. */
async function connectApplications({ provider, notes }: Stage): Promise<void> {
  const by = (agent: string) => new Agent(provider.issuer, undefined, { 'user-agent': agent });
  const calendars = await discover(provider.issuer, calendar);
  const stolen = refreshTokenOf(await connect(calendars, by(LAPTOP)));
  const next = refreshTokenOf(await refresh(calendars, stolen));
  await refresh(calendars, next);
  await errorOf(refresh(calendars, stolen));
  const phone = by(PHONE);
  await connect(calendars, phone);
  await connect(notes, phone);
}

async function* errors(stage: Stage): AsyncGenerator<string, void> {
  const { page, provider } = stage;
  await page.goto(`${provider.issuer}/nowhere`);
  yield 'error-not-found';
  await page.goto(`${provider.issuer}/interaction/of-yesterday`);
  yield 'error-ended';
  await authorize(stage);
  await page.context().clearCookies();
  await page.reload();
  yield 'error-cookie';
  await page.goto(`${provider.issuer}/authorize?client_id=nobody&response_type=code`);
  yield 'error-client';
  await closeDatabase(provider.databaseUrl);
  await page.goto(`${provider.issuer}/sign-up/confirm?token=any`);
  yield 'error-unavailable';
}

/** The database takes no connections any more. */
async function closeDatabase(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  const admin = new pg.Client({ connectionString: inject('postgres') });
  await admin.connect();
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
    name,
  ]);
  await admin.end();
}

// The first makes the account that the others sign in with; the last needs no database.
const stories: readonly Story[] = [
  settingUp,
  authorizing,
  strangers,
  secondFactors,
  devices,
  approvals,
  waysIn,
  ownAccount,
  leaving,
  errors,
];
