// The whole way in a real browser: sign-in, consent, refresh, sign-out; with and without JavaScript, on a phone,
// by keyboard, from right to left. What holds for every page is in pages.test.ts.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

const PHONE = { width: 360, height: 740 };

let browser: Browser;
let provider: TestProvider;
let callbacks: CallbackServer;
let party: RelyingParty;

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
    clients: [client],
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

test('the set-up: wrong input, the account made', async () => {
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

test('no page can be framed', async () => {
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
