// Who has lost every factor: the operator takes them away, and every browser session with them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { factorsOf } from '../../src/accounts/factors.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent, signInForm } from '../support/agent.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import { resetFactors, makeRecoveryCodes, beginTotp } from '../support/changes.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

test('every factor but the password goes, and every browser session', async () => {
  const { storage, config, accountId } = provider;
  const browser = new Agent(provider.issuer);
  const page = await browser.open(`${provider.issuer}/sign-in`);
  await browser.submit(page, { email: person.email, password: person.password }, signInForm);
  const parts = { storage, config, origin: commandLine };
  await beginTotp(parts, { id: accountId, email: person.email });
  await storage.prisma.totp.updateMany({ data: { confirmedAt: new Date() } });
  await makeRecoveryCodes(parts, accountId);
  await storage.prisma.passkey.create({
    data: { id: 'x', accountId, publicKey: new Uint8Array(1), name: 'A key' },
  });
  const had = { password: true, passkeys: 1, totp: true, recoveryCodes: 10 };
  expect(await factorsOf(storage.prisma, accountId)).toEqual(had);
  expect(await resetFactors({ storage, origin: commandLine }, accountId)).toEqual(had);
  const left = { password: true, passkeys: 0, totp: false, recoveryCodes: 0 };
  expect(await factorsOf(storage.prisma, accountId)).toEqual(left);
  expect(await storage.prisma.artifact.count({ where: { model: 'Session', accountId } })).toBe(0);
  const after = await browser.open(`${provider.issuer}/sign-in`);
  expect(after.html.querySelector('input[type=password]')).not.toBeNull();
  expect(await storage.prisma.auditEvent.count({ where: { type: 'factors.reset' } })).toBe(1);
});
