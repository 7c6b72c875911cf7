// A real browser and https: cookies that another host of the domain has set sign nobody in.
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { type Server, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import { tls } from '../support/tls.ts';

let provider: TestProvider;
let proxy: Server;
let browser: Browser;
const origin = () => `https://id.example.test:${(proxy.address() as AddressInfo).port}`;

beforeAll(async () => {
  proxy = createServer({ key: tls.serverKey, cert: tls.serverCertificate }, (asked, answer) => {
    const { method, url, headers } = asked;
    const to = request({ port: provider.config.port, method, path: url, headers }, (got) => {
      answer.writeHead(got.statusCode ?? 500, got.headers);
      got.pipe(answer);
    });
    asked.pipe(to);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  provider = await startProvider({ environment: { SYMBOLON_ISSUER: origin() } });
  browser = await launchBrowser(['--host-resolver-rules=MAP *.example.test 127.0.0.1']);
});
afterAll(async () => {
  await browser.close();
  proxy.closeAllConnections();
  proxy.close();
  await provider.close();
});

const another = () => browser.newContext({ ignoreHTTPSErrors: true });

/** What a browser had under the former name after signing in. */
async function signedIn(): Promise<{ id: string; signature: string }> {
  const context = await another();
  const page = await context.newPage();
  await page.goto(`${origin()}/sign-in?to=/account`);
  await page.fill('[name=email]', person.email);
  await page.fill('[name=password]', person.password);
  await page.locator('form[action*="/sign-in"] button').first().click();
  await page.waitForURL(/\/account$/);
  const cookies = await context.cookies(origin());
  expect(cookies.filter(({ name }) => !name.startsWith('__Host-')).map(({ name }) => name)).toEqual(
    [],
  );
  const id = cookies.find(({ name }) => name === '__Host-symbolon_session')?.value ?? '';
  await context.close();
  const [key = ''] = provider.storage.keyring.cookieKeys;
  const signed = createHmac('sha1', key).update(`symbolon_session=${id}`);
  return { id, signature: signed.digest('base64url') };
}

async function plant(context: BrowserContext, where: { domain: string }): Promise<void> {
  const { id, signature } = await signedIn();
  const attributes = {
    ...where,
    path: '/',
    httpOnly: true,
    secure: true,
    sameSite: 'Lax',
  } as const;
  await context.addCookies([
    { ...attributes, name: 'symbolon_session', value: id },
    { ...attributes, name: 'symbolon_session.sig', value: signature },
  ]);
}

async function arrives(context: BrowserContext): Promise<string> {
  const page = await context.newPage();
  await page.goto(`${origin()}/account`);
  return new URL(page.url()).pathname;
}

test('who was signed in under the former name stays so, unless another host has set it', async () => {
  const own = await another();
  await plant(own, { domain: 'id.example.test' });
  expect(await arrives(own)).toBe('/account');
  const names = (await own.cookies(origin())).map(({ name }) => name);
  expect(names.toSorted()).toEqual(['__Host-symbolon_session', '__Host-symbolon_session.sig']);
  await own.close();

  const victim = await another();
  await plant(victim, { domain: '.example.test' });
  expect(await arrives(victim)).toBe('/sign-in');
  expect(await arrives(victim)).toBe('/sign-in');
  await plant(victim, { domain: 'id.example.test' }); // which of the two is whose cannot be told
  expect(await arrives(victim)).toBe('/sign-in');
  await victim.close();
});
