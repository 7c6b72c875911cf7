// The whole way in a real browser: sign-in, consent, refresh, sign-out; with and without JavaScript, on a phone,
// by keyboard, in light and dark, with nothing for axe to find.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setupLink } from '../../src/pages/setup.ts';
import { type CallbackServer, startCallbackServer } from '../support/callback-server.ts';
import { axe, launchBrowser, watch } from '../support/browser.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
} from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';

const PHONE = { width: 360, height: 740 };
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

let browser: Browser;
let provider: TestProvider;
let callbacks: CallbackServer;
let party: RelyingParty;
const tv = {
  client_id: 'tv',
  client_secret: 'the secret of the television',
  client_name: 'Television',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};

const CIBA = 'urn:openid:params:grant-type:ciba';
const bank = {
  client_id: 'bank',
  client_secret: 'the secret of the bank',
  client_name: 'Riverside Bank',
  grant_types: [CIBA, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  backchannel_token_delivery_mode: 'poll',
};

beforeAll(async () => {
  [browser, callbacks] = await Promise.all([launchBrowser(), startCallbackServer()]);
  const client = {
    ...webClient,
    redirect_uris: [`${callbacks.origin}/callback`],
    post_logout_redirect_uris: [`${callbacks.origin}/`],
    policy_uri: `${callbacks.origin}/privacy`,
    tos_uri: `${callbacks.origin}/terms`,
  };
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_CIBA: 'true' },
    clients: [client, tv, bank],
  });
  party = await discover(provider.issuer, client);
});
afterAll(async () => {
  await browser.close();
  await callbacks.close();
  await provider.close();
});

async function inBrowser(
  options: BrowserContextOptions,
  visit: (page: Page) => Promise<void>,
): Promise<string[]> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = watch(page);
  try {
    await visit(page);
  } finally {
    await context.close();
  }
  return complaints;
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('E-mail address').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function startDevice(): Promise<{
  user_code: string;
  verification_uri: string;
  verification_uri_complete: string;
}> {
  const { body } = await post(
    `${provider.issuer}/device_authorization`,
    { scope: 'openid offline_access' },
    tv,
  );
  return body as never;
}

/** An application asks the person by CIBA. */
async function askPerson(): Promise<void> {
  const { status } = await post(
    `${provider.issuer}/backchannel_authentication`,
    { scope: 'openid offline_access', login_hint: person.email, binding_message: 'TIGER-42' },
    bank,
  );
  expect(status).toBe(200);
}

for (const javaScriptEnabled of [false, true]) {
  test(`sign-in, consent, refresh and sign-out, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
    const complaints = await inBrowser({ javaScriptEnabled, viewport: PHONE }, async (page) => {
      const { url, finish } = await authorizationRequest(party, { prompt: 'consent' });
      await page.goto(url.href);
      expect(await page.title()).toContain('Sign in');
      expect(page.url()).toContain(provider.issuer);
      await signIn(page);
      await page.getByRole('heading', { name: 'Notes asks for your permission' }).waitFor();
      expect(await page.getByText('It stays connected while you are away').isVisible()).toBe(true);
      expect(await page.locator('.offline').innerText()).toContain('30 days');
      await page.getByRole('button', { name: 'Allow', exact: true }).click();
      await page.getByText('Welcome to Notes').waitFor();

      const tokens = await finish(await callbacks.next());
      const refreshed = await refresh(party, refreshTokenOf(tokens));
      expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);

      const logout = new URL(`${provider.issuer}/logout`);
      logout.search = new URLSearchParams({
        id_token_hint: tokens.id_token ?? '',
        post_logout_redirect_uri: `${callbacks.origin}/`,
      }).toString();
      await page.goto(logout.href);
      await page.getByRole('heading', { name: 'Do you want to sign out?' }).waitFor();
      await page.getByRole('button', { name: 'Sign out', exact: true }).click();
      await page.getByText('Welcome to Notes').waitFor();
      expect(page.url()).toBe(`${callbacks.origin}/`);
      // OIDC Core §11: offline access outlasts the session.
      await refresh(party, refreshTokenOf(refreshed));
      const again = await authorizationRequest(party);
      await page.goto(again.url.href);
      await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    });
    expect(complaints).toEqual([]);
  });
}

test('by keyboard alone', async () => {
  const complaints = await inBrowser({}, async (page) => {
    const { url, finish } = await authorizationRequest(party, { prompt: 'consent' });
    await page.goto(url.href);
    await page.waitForFunction('document.activeElement.id === "email"');
    await page.keyboard.type(person.email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(person.password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Notes asks' }).waitFor();
    for (let tabs = 0; tabs < 12; tabs++) {
      if ((await page.evaluate('document.activeElement.textContent')) === 'Allow') break;
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.getByText('Welcome to Notes').waitFor();
    await finish(await callbacks.next());
  });
  expect(complaints).toEqual([]);
});

test('in Arabic, from right to left: what is unticked is not granted', async () => {
  const found: string[] = [];
  const options = { locale: 'ar-EG', viewport: PHONE, javaScriptEnabled: true, bypassCSP: true };
  const complaints = await inBrowser(options, async (page) => {
    const look = async () => {
      expect(await page.evaluate('getComputedStyle(document.body).direction')).toBe('rtl');
      found.push(...(await axe(page)));
      if (await page.evaluate('document.documentElement.scrollWidth > innerWidth'))
        found.push(`${page.url()} scrolls sideways`);
    };
    const { url, finish } = await authorizationRequest(party, { prompt: 'consent' });
    await page.goto(url.href);
    await look();
    await page.locator('#email').fill(person.email);
    await page.locator('#password').fill(person.password);
    await page.locator('form[action$="/sign-in"] button').click();
    await page.locator('form[action$="/consent"]').waitFor();
    await look();
    // The box stands before its words: to the right of them.
    const box = await page.locator('input[value=email]').boundingBox();
    const words = await page.locator('label:has(input[value=email]) span').boundingBox();
    expect(box?.x).toBeGreaterThan(words?.x ?? Infinity);
    await page.locator('input[value=email]').uncheck();
    await page.locator('input[value=offline_access]').uncheck();
    await page.locator('form[action$="/consent"] button').click();
    await page.getByText('Welcome to Notes').waitFor();
    const tokens = await finish(await callbacks.next());
    expect(tokens.scope).toBe('openid profile');
    expect(tokens.refresh_token).toBeUndefined();
  });
  expect(complaints).toEqual([]);
  expect(found).toEqual([]);
  await provider.storage.prisma.grant.deleteMany();
});

test('another account takes over by a page whose script is no inline script', async () => {
  const other = { email: 'grace@example.com', password: 'another battery staple', name: 'Grace' };
  const { addAccount } = await import('../../src/accounts/accounts.ts');
  await addAccount(provider.storage.prisma, other, { admin: false });
  const complaints = await inBrowser({}, async (page) => {
    const first = await authorizationRequest(party);
    await page.goto(first.url.href);
    await signIn(page);
    await page
      .getByText('Welcome to Notes')
      .or(page.getByRole('button', { name: 'Allow' }))
      .first()
      .waitFor();
    if (await page.getByRole('button', { name: 'Allow' }).isVisible())
      await page.getByRole('button', { name: 'Allow' }).click();
    await callbacks.next();
    const { url, finish } = await authorizationRequest(party, { login_hint: other.email });
    await page.goto(url.href);
    await page.getByText('expects').waitFor();
    await page.getByRole('button', { name: 'Use another account' }).click();
    await page.getByLabel('E-mail address').fill(other.email);
    await page.getByLabel('Password').fill(other.password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.getByText('Welcome to Notes').waitFor();
    const tokens = await finish(await callbacks.next());
    expect(tokens.claims()?.sub).not.toBe(provider.accountId);
  });
  expect(complaints).toEqual([]);
});

describe('every page', () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of [PHONE, { width: 1280, height: 800 }]) {
      test(`in ${colorScheme} at ${viewport.width} pixels: axe finds nothing, nothing scrolls sideways`, async () => {
        const found: string[] = [];
        const context = await browser.newContext({ colorScheme, viewport, bypassCSP: true });
        const page = await context.newPage();
        const look = async (heading: string) => {
          await page.getByRole('heading', { name: heading }).waitFor();
          found.push(...(await axe(page)));
          if (await page.evaluate('document.documentElement.scrollWidth > innerWidth'))
            found.push(`${heading} scrolls sideways`);
        };
        await page.goto(`${provider.issuer}/`);
        await look('Symbolon is running');
        await page.goto(`${provider.issuer}/nowhere`);
        await look('There is nothing here');
        await page.goto(setupLink(provider.config, provider.storage.keyring));
        await look('This link does not work any more');
        await page.goto(`${provider.issuer}/authorize?client_id=nobody&response_type=code`);
        await look('This application is not set up correctly');
        const { url } = await authorizationRequest(party, { prompt: 'consent' });
        await page.goto(url.href);
        await look('Sign in to Notes');
        await page.getByLabel('E-mail address').fill(person.email);
        await page.getByLabel('Password').fill('wrong');
        await page.getByRole('button', { name: 'Sign in', exact: true }).click();
        await page.getByRole('alert').waitFor();
        await look('Sign in to Notes');
        await signIn(page);
        await look('Notes asks for your permission');
        await page.getByRole('button', { name: 'Allow' }).click();
        await callbacks.next();
        await page.goto((await authorizationRequest(party, { prompt: 'select_account' })).url.href);
        await look('Which account?');
        await page.getByRole('button', { name: 'Use another account' }).click();
        await look('Sign in to Notes');

        const { user_code: code, verification_uri_complete: complete } = await startDevice();
        await page.goto(`${provider.issuer}/device`);
        await look('Connect a device');
        await page.getByLabel('Code').fill('WRNG-CODE');
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByText('There is no such code').waitFor();
        await look('Connect a device');
        await page.goto(complete);
        expect(await page.getByLabel('Code').inputValue()).toBe(code);
        await page.getByRole('button', { name: 'Continue' }).click();
        await look('Does your device show this code?');
        await page.getByRole('button', { name: 'Yes, continue' }).click();
        await page
          .getByRole('button', { name: 'Allow' })
          .or(page.getByRole('heading', { name: 'Your device is connected' }))
          .first()
          .waitFor();
        if (await page.getByRole('button', { name: 'Allow' }).isVisible())
          await page.getByRole('button', { name: 'Allow' }).click();
        await look('Your device is connected');
        await page.goto((await startDevice()).verification_uri_complete);
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByRole('button', { name: 'No, cancel' }).click();
        await look('The device was not connected');
        await page.goto(`${provider.issuer}/approve`);
        await look('Nothing waits for you');
        await askPerson();
        await page.goto(`${provider.issuer}/approve`);
        await look('An application asks for you');
        await page.getByRole('button', { name: 'Yes, it is me' }).click();
        await look('Done');
        await askPerson();
        await page.getByRole('link', { name: 'Other requests' }).click();
        await page.getByRole('button', { name: 'No', exact: true }).click();
        await look('It was not allowed');
        await page.goto(`${provider.issuer}/logout`);
        await look('Do you want to sign out?');
        await page.getByRole('button', { name: 'Sign out', exact: true }).click();
        await look('You are signed out');
        await page.goto(`${provider.issuer}/approve`);
        await look('Sign in');
        await context.close();
        expect(found).toEqual([]);
      });
    }
  }

  test('of the set-up: wrong input, the account made', async () => {
    const fresh = await startProvider();
    await fresh.storage.prisma.account.deleteMany();
    const link = setupLink(fresh.config, fresh.storage.keyring);
    for (const colorScheme of ['light', 'dark'] as const) {
      await fresh.storage.prisma.account.deleteMany();
      const context = await browser.newContext({ colorScheme, viewport: PHONE, bypassCSP: true });
      const page = await context.newPage();
      await page.goto(link);
      expect(await axe(page)).toEqual([]);
      await page.getByLabel('E-mail address').fill('nobody@example');
      await page.getByLabel('Password').fill('long enough');
      await page.getByRole('button', { name: 'Make the account' }).click();
      await page.getByText('This is not an e-mail address.').waitFor();
      expect(await page.getByLabel('E-mail address').inputValue()).toBe('nobody@example');
      expect(await axe(page)).toEqual([]);
      await page.getByLabel('E-mail address').fill('admin@example.com');
      await page.getByLabel('Password').fill('long enough');
      await page.getByRole('button', { name: 'Make the account' }).click();
      await page.getByText('Your account is ready').waitFor();
      expect(await axe(page)).toEqual([]);
      await context.close();
    }
    await fresh.close();
  });

  test('cannot be framed', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${callbacks.origin}/`);
    await page.setContent(`<iframe src="${provider.issuer}/"></iframe>`);
    await page.waitForFunction('document.querySelector("iframe") !== null');
    await page.locator('iframe').waitFor();
    const frame = page.frames().at(-1);
    await frame?.waitForLoadState();
    expect(await frame?.content()).not.toContain('Symbolon is running');
    await context.close();
  });
});
