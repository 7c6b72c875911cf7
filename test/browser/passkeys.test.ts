// Passkeys in a real browser, with Chromium's virtual authenticator: the browser's own prompt on the e-mail field, the
// button, and as the second factor; and codes without JavaScript.
import type { Browser, BrowserContextOptions, CDPSession, Page } from 'playwright-core';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { registrationOptions } from '../../src/accounts/passkeys.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { launchBrowser, watch } from '../support/browser.ts';
import { type CallbackServer, startCallbackServer } from '../support/callback-server.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { type RelyingParty, authorizationRequest, discover } from '../support/relying-party.ts';
import { addPasskey, makeRecoveryCodes, beginTotp, confirmTotp } from '../support/changes.ts';

let browser: Browser;
let provider: TestProvider;
let callbacks: CallbackServer;
let party: RelyingParty;

beforeAll(async () => {
  [browser, callbacks] = await Promise.all([launchBrowser(), startCallbackServer()]);
  const client = { ...webClient, redirect_uris: [`${callbacks.origin}/callback`] };
  provider = await startProvider({ clients: [client] });
  party = await discover(provider.issuer, client);
});
beforeEach(async () => {
  const { prisma } = provider.storage;
  await prisma.passkey.deleteMany();
  await prisma.totp.deleteMany();
  await prisma.recoveryCode.deleteMany();
});
afterAll(async () => {
  await browser.close();
  await callbacks.close();
  await provider.close();
});

interface Visit {
  readonly page: Page;
  readonly devtools: CDPSession;
  /** Waits until the browser is back at the relying party. @returns what the ID token tells */
  readonly end: () => Promise<Record<string, unknown>>;
}

/** Opens an authorization request in a browser of its own. @returns what the pages complained about */
async function visit(
  work: (visit: Visit) => Promise<void>,
  {
    authenticator,
    parameters = {},
    ...options
  }: BrowserContextOptions & {
    authenticator?: { verifiesUser?: boolean };
    parameters?: Record<string, string>;
  } = {},
): Promise<string[]> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  const complaints = watch(page);
  try {
    const { url, finish } = await authorizationRequest(party, { scope: 'openid', ...parameters });
    await page.goto(url.href);
    const end = async () => {
      const callback = callbacks.next();
      const allow = page.getByRole('button', { name: 'Allow' });
      await Promise.race([
        callback,
        allow.waitFor().then(
          () => allow.click(),
          () => undefined,
        ),
      ]);
      return { ...(await finish(await callback)).claims() };
    };
    if (authenticator) await addAuthenticator(devtools, authenticator);
    await work({ page, devtools, end });
  } finally {
    await context.close();
  }
  return complaints;
}

async function addAuthenticator(
  devtools: CDPSession,
  { verifiesUser = true }: { verifiesUser?: boolean },
): Promise<string> {
  await devtools.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: verifiesUser,
      automaticPresenceSimulation: true,
    },
  });
  return authenticatorId;
}

/** Makes a passkey with the browser, as the page of the sign-in methods does. */
async function makePasskey(page: Page): Promise<void> {
  const parts = { storage: provider.storage, config: provider.config, origin: commandLine };
  const account = await provider.storage.prisma.account.findUniqueOrThrow({
    where: { id: provider.accountId },
  });
  const options = await registrationOptions(parts, account, 'test');
  const response: unknown = await page.evaluate(
    (optionsJSON) =>
      (
        globalThis as unknown as {
          SimpleWebAuthnBrowser: { startRegistration(options: object): Promise<unknown> };
        }
      ).SimpleWebAuthnBrowser.startRegistration({ optionsJSON }),
    options,
  );
  await runUnit(provider.storage, commandLine, () =>
    addPasskey(parts, provider.accountId, { binding: 'test', response }),
  );
}

async function setUpTotp() {
  const parts = { storage: provider.storage, config: provider.config, origin: commandLine };
  const { secret } = await beginTotp(parts, { id: provider.accountId, email: person.email });
  const code = (step = 0) =>
    TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: Date.now() + step * 30_000 });
  await confirmTotp(parts, provider.accountId, code(-1));
  const [recovery = ''] = await makeRecoveryCodes(parts, provider.accountId);
  return { code, recovery };
}

async function enterPassword(page: Page): Promise<void> {
  await page.getByLabel('E-mail address').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

test('the button: a passkey alone signs in', async () => {
  const complaints = await visit(
    async ({ page, end }) => {
      await makePasskey(page);
      await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
      expect(await end()).toMatchObject({ acr: 'phr', amr: ['hwk', 'mfa'] });
    },
    { authenticator: {} },
  );
  expect(complaints).toEqual([]);
  const passkey = await provider.storage.prisma.passkey.findFirstOrThrow();
  expect(passkey.lastUsedAt).not.toBeNull();
});

test('the browser’s own prompt on the e-mail field', async () => {
  const complaints = await visit(
    async ({ page, end }) => {
      await makePasskey(page);
      // The page asks once it is loaded; the virtual person takes the passkey that is offered.
      await page.reload();
      expect(await end()).toMatchObject({ acr: 'phr', amr: ['hwk', 'mfa'] });
    },
    { authenticator: {} },
  );
  expect(complaints).toEqual([]);
});

test('as the second factor', async () => {
  const complaints = await visit(
    async ({ page, devtools }) => {
      await makePasskey(page);
      await devtools.send('WebAuthn.disable');
      await page.reload();
      await enterPassword(page);
      await page.getByRole('heading', { name: 'One more step' }).waitFor();
      const id = await addAuthenticator(devtools, {});
      // Another device does not have it, and the page says so.
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      await page.getByText('That did not work.').waitFor();
      await devtools.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: id });
    },
    { authenticator: {} },
  );
  expect(complaints).toEqual([]);

  await provider.storage.prisma.passkey.deleteMany();
  const again = await visit(
    async ({ page, end }) => {
      await makePasskey(page);
      await enterPassword(page);
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      expect(await end()).toMatchObject({ acr: 'phr', amr: ['pwd', 'hwk', 'mfa'] });
    },
    { authenticator: {} },
  );
  expect(again).toEqual([]);
});

for (const javaScriptEnabled of [true, false]) {
  test(`codes, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async () => {
    const { code, recovery } = await setUpTotp();
    const complaints = await visit(
      async ({ page, end }) => {
        expect(await page.getByRole('button', { name: 'Sign in with a passkey' }).isVisible()).toBe(
          javaScriptEnabled,
        );
        await enterPassword(page);
        await page.getByLabel('One-time code').fill('000000');
        await page.getByRole('button', { name: 'Confirm' }).click();
        await page.getByText('This code is not right').waitFor();
        await page.getByLabel('One-time code').fill(code());
        await page.keyboard.press('Enter');
        expect(await end()).toMatchObject({ acr: '2fa', amr: ['pwd', 'otp', 'mfa'] });
      },
      { javaScriptEnabled },
    );
    expect(complaints).toEqual([]);
    await visit(
      async ({ page, end }) => {
        await enterPassword(page);
        await page.getByRole('link', { name: 'I have lost my second factor' }).click();
        await page.getByLabel('Recovery code').fill(recovery);
        await page.getByRole('button', { name: 'Confirm' }).click();
        expect(await end()).toMatchObject({ acr: '2fa' });
      },
      { javaScriptEnabled },
    );
  });
}
