// A forgotten password and signing up in a real browser without JavaScript, from an application and back to it; with
// nothing for axe to find, on a phone and a desktop, in light and dark, from left and from right.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { invite } from '../../src/accounts/invitations.ts';
import { makeLink } from '../../src/accounts/links.ts';
import { axe, launchBrowser, watch } from '../support/browser.ts';
import { type CallbackServer, startCallbackServer } from '../support/callback-server.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { type RelyingParty, authorizationRequest, discover } from '../support/relying-party.ts';

let browser: Browser;
let callbacks: CallbackServer;
let server: MailServer;
let provider: TestProvider;
let party: RelyingParty;

beforeAll(async () => {
  [browser, callbacks, server] = await Promise.all([
    launchBrowser(),
    startCallbackServer(),
    startMailServer(),
  ]);
  const client = { ...webClient, redirect_uris: [`${callbacks.origin}/callback`] };
  provider = await startProvider({
    environment: { SYMBOLON_SMTP_URL: server.url, SYMBOLON_SIGN_UP: 'open' },
    clients: [client],
  });
  party = await discover(provider.issuer, client);
});
afterAll(async () => {
  await browser.close();
  await callbacks.close();
  await provider.close();
  await server.close();
});

const linkTo = async (pathname: string): Promise<string> => {
  await provider.mailer.send();
  const link = server.mails
    .flatMap(({ links }) => links)
    .findLast((one) => one.pathname === pathname);
  return link?.href ?? '';
};
const allow = (page: Page) =>
  Promise.all([page.waitForURL(/\/callback\?/), page.click('form[action$="/consent"] button')]);

test('without JavaScript: from the application over the mail back to the application', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'en' });
  const page = await context.newPage();
  const complaints = watch(page);

  await page.goto((await authorizationRequest(party)).url.href);
  await page.click('text=Forgot your password?');
  await page.fill('#email', person.email);
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=status]');
  await page.goto(await linkTo('/reset'));
  await page.fill('#password', 'a password of the browser');
  await page.keyboard.press('Enter');
  await page.click('a.button');
  await page.fill('#email', person.email);
  await page.fill('#password', 'a password of the browser');
  await page.keyboard.press('Enter');
  await allow(page);

  await context.clearCookies();
  await page.goto((await authorizationRequest(party)).url.href);
  await page.click('text=Make an account');
  await page.fill('#email', 'grace@example.com');
  await page.fill('#password', 'a nanosecond of wire');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=status]');
  await page.goto(await linkTo('/sign-up/confirm'));
  await page.click('main button');
  await page.click('a.button');
  await page.fill('#email', 'grace@example.com');
  await page.fill('#password', 'a nanosecond of wire');
  await page.keyboard.press('Enter');
  await allow(page);
  expect(complaints).toEqual([]);
  await context.close();
});

test.each([
  ['phone', { width: 360, height: 740 }, 'light', 'en'],
  ['phone', { width: 360, height: 740 }, 'dark', 'ar'],
  ['desktop', { width: 1280, height: 800 }, 'dark', 'de'],
] as const)('every page on a %s %o in %s, %s', async (size, viewport, colorScheme, locale) => {
  const { prisma, keyring } = provider.storage;
  const context = await browser.newContext({ viewport, colorScheme, locale, bypassCSP: true });
  const page = await context.newPage();
  const complaints = watch(page);
  const wish = { accountId: provider.accountId, email: person.email, now: new Date() };
  const link = async (purpose: 'password_reset' | 'verification' | 'email_change') =>
    makeLink(prisma, keyring, { purpose, ...wish });
  const data = { name: '', passwordHash: '', browser: 'x' };
  const signUp = await makeLink(prisma, keyring, { ...wish, purpose: 'sign_up', data });
  const { url: invitation } = await invite(provider, { email: `${locale}@x.example`, seconds: 60 });
  const paths = {
    forgot: `${provider.issuer}/forgot`,
    reset: `${provider.issuer}/reset?token=${await link('password_reset')}`,
    'sign-up': `${provider.issuer}/sign-up`,
    'sign-up-confirm': `${provider.issuer}/sign-up/confirm?token=${signUp}`,
    invitation,
    verify: `${provider.issuer}/verify?token=${await link('verification')}`,
    'email-change': `${provider.issuer}/verify?token=${await link('email_change')}`,
    'link-void': `${provider.issuer}/reset?token=x`,
  };
  const found: string[] = [];
  const folder = process.env['TEST_SCREENSHOTS'];
  const shot = (name: string) =>
    folder === undefined
      ? undefined
      : page.screenshot({ path: `${folder}/${name}-${size}-${locale}.png`, fullPage: true });
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(path);
    found.push(...(await axe(page)));
    const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
    if (wide) found.push(`${name} is wider than the window`);
    await shot(name);
  }
  await page.goto(paths.forgot);
  await page.fill('#email', person.email);
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=status]');
  found.push(...(await axe(page)));
  await shot('forgot-sent');
  expect(found).toEqual([]);
  expect(complaints).toEqual([]);
  await context.close();
});
