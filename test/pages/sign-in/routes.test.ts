// Where a password leads somebody who is signed in already, and whose account does not reach what is wanted.
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandLine } from '../../../src/storage/origin.ts';
import { Agent, type Page, signInForm } from '../../support/agent.ts';
import { beginTotp, confirmTotp } from '../../support/changes.ts';
import { type TestProvider, person, startProvider } from '../../support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const heading = (page: Page) => page.html.querySelector('h1')?.text;

test('it is asked for the second factor that there is, and signs nobody in by itself', async () => {
  const { issuer, storage, config, accountId } = provider;
  const browser = new Agent(issuer);
  const credentials = { email: person.email, password: person.password };
  await browser.submit(await browser.open(`${issuer}/sign-in`), credentials, signInForm);

  const parts = { storage, config, origin: commandLine };
  const { secret } = await beginTotp(parts, { id: accountId, email: person.email });
  await confirmTotp(parts, accountId, TOTP.generate({ secret: Secret.fromBase32(secret) }));

  const query = '?level=phr&to=/account';
  const needed = await browser.open(`${issuer}/sign-in${query}`);
  expect(heading(needed)).toBe('A second factor is needed');
  // A form of this browser's, sent where nothing but a passkey is wanted.
  const other = await browser.open(`${issuer}/sign-in${query}&other`);
  const csrf = other.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
  await storage.prisma.auditEvent.deleteMany();
  const end = await browser.open(`${issuer}/sign-in/sign-in${query}`, { csrf, ...credentials });
  expect([end.url.pathname, heading(end)]).toEqual(['/sign-in/factor', heading(needed)]);
  expect(await storage.prisma.auditEvent.count()).toBe(0);
});
