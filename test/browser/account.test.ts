// /account in a real browser: without JavaScript, and a passkey, which needs it and the browser's own prompt. What holds
// for every page is in pages.test.ts.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { launchBrowser, watch } from '../support/browser.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import {
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn as connect,
} from '../support/relying-party.ts';

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };
const calendar = {
  ...webClient,
  client_id: 'calendar',
  client_name: 'Calendar',
  redirect_uris: ['http://localhost:4002/callback'],
};

let browser: Browser;
let provider: TestProvider;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());
beforeEach(async () => {
  provider = await startProvider({ clients: [webClient, calendar] });
});
afterEach(() => provider.close());

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

const open = (page: Page, path = '') => page.goto(`${provider.issuer}/account${path}`);
async function signIn(page: Page, path = ''): Promise<void> {
  await open(page, path);
  await page.getByLabel('E-mail address').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.locator('.account').waitFor();
}

/** Two applications that stay connected, one whose token was presented twice, and another browser. */
async function live(): Promise<string> {
  const [notes, calendars] = [
    await discover(provider.issuer),
    await discover(provider.issuer, calendar),
  ];
  const agent = new Agent(provider.issuer);
  const stolen = await connect(calendars, new Agent(provider.issuer));
  const second = await refresh(calendars, refreshTokenOf(stolen));
  await refresh(calendars, refreshTokenOf(second));
  await errorOf(refresh(calendars, refreshTokenOf(stolen)));
  await connect(calendars, agent);
  return refreshTokenOf(await connect(notes, agent));
}

test('without JavaScript: everything but adding a passkey', async () => {
  const token = await live();
  const complaints = await inBrowser(
    { javaScriptEnabled: false, viewport: PHONE },
    async (page) => {
      await signIn(page);
      await page.getByLabel('Your name').fill('Ada King');
      await page.getByRole('button', { name: 'Save the name' }).click();
      await page.getByText('Your name was saved.').waitFor();
      await page.getByLabel('Choose a picture').setInputFiles({
        name: 'me.png',
        mimeType: 'image/png',
        buffer: Buffer.from(
          'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
          'base64',
        ),
      });
      await page.getByRole('button', { name: 'Save the picture' }).click();
      await page.getByText('Your picture was saved.').waitFor();
      await page.getByRole('img', { name: 'Your picture' }).waitFor();
      await page.getByRole('link', { name: 'Applications' }).click();
      const notes = page.getByRole('region', { name: 'Notes' });
      await notes.getByText('What it may do').first().click();
      await notes.getByText('See your e-mail address').first().waitFor();
      await notes.getByRole('button', { name: 'Disconnect' }).click();
      await page.getByText('The application is disconnected there.').waitFor();
      expect((await errorOf(refresh(await discover(provider.issuer), token))).error).toBe(
        'invalid_grant',
      );
      await page.getByRole('link', { name: 'Browsers' }).click();
      await page.getByText('this browser').waitFor();
      await page.getByRole('button', { name: 'Sign out everywhere else' }).click();
      await page.getByText('Signed out in 2 browsers.').waitFor();
      await page.getByRole('link', { name: 'Signing in' }).click();
      await page.getByText('You have no passkey yet.').waitFor();
      expect(await page.getByRole('button', { name: 'Add a passkey' }).isVisible()).toBe(false);
      await page.getByRole('link', { name: 'History' }).click();
      await page.getByText('A used-up token of Calendar was presented from').waitFor();
      await page.getByRole('link', { name: 'Sign out' }).click();
      await page.getByRole('button', { name: 'Sign out', exact: true }).click();
      await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    },
  );
  expect(complaints).toEqual([]);
});

test('a passkey is added by the browser, renamed and removed', async () => {
  const complaints = await inBrowser({ viewport: DESKTOP }, async (page) => {
    const session = await page.context().newCDPSession(page);
    await session.send('WebAuthn.enable');
    await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
      },
    });
    await signIn(page, '/methods');
    await page.getByLabel('Name of the passkey').fill('My laptop');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The passkey “My laptop” was added.').waitFor();
    await page.getByText('You have no recovery codes.').waitFor();
    const item = page.getByRole('listitem').filter({ hasText: 'My laptop' });
    await item.getByLabel('Name of the passkey').fill('The old laptop');
    await item.getByRole('button', { name: 'Rename' }).click();
    await page.getByRole('heading', { name: 'The old laptop' }).waitFor();
    // The one that is there already is not added again.
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The browser has added no passkey.').waitFor();
    await page.getByRole('button', { name: 'Remove the passkey' }).click();
    await page.getByRole('heading', { name: 'Remove your last second factor?' }).waitFor();
    await page.getByRole('button', { name: 'Remove it all the same' }).click();
    await page.getByText('The passkey “The old laptop” was removed.').waitFor();
    expect(await provider.storage.prisma.passkey.count()).toBe(0);
  });
  expect(complaints).toEqual([]);
});
