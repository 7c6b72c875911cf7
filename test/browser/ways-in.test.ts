// A forgotten password and signing up in a real browser without JavaScript, from an application and back to it. What
// holds for every page is in pages.test.ts.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, watch } from '../support/browser.ts';
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
