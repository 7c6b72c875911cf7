// The e-mail address at /account: confirmed and changed by a link that only its owner reads.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { Agent, type Page } from '../support/agent.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import {
  changePassword,
  lockAccount,
  resetFactors,
  signOutEverywhere,
  unlockAccount,
  beginTotp,
} from '../support/changes.ts';

let server: MailServer;
let provider: TestProvider;
beforeAll(async () => {
  server = await startMailServer();
  provider = await startProvider({ environment: { SYMBOLON_SMTP_URL: server.url } });
});
afterAll(async () => {
  vi.useRealTimers();
  await provider.close();
  await server.close();
});

const at = (path = '') => `${provider.issuer}/account${path}`;
const heading = (page: Page) => page.html.querySelector('h1')?.text;
const account = () =>
  provider.storage.prisma.account.findUniqueOrThrow({ where: { id: provider.accountId } });
async function signedIn(path: string): Promise<{ agent: Agent; page: Page }> {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(at(path));
  const { email, password } = person;
  return { agent, page: await agent.submit(page, { email, password }) };
}
async function lastLink(): Promise<URL> {
  await provider.mailer.send();
  // Others tell of new browsers.
  const link = server.mails
    .flatMap(({ links }) => links)
    .findLast((one) => /verify/.test(one.href));
  if (!link) throw new Error('no mail with a link came');
  return link;
}

test('it is confirmed, and changed once the new address has confirmed it', async () => {
  const { agent, page } = await signedIn('');
  const asked = await agent.submit(page, {}, /\/email\/verify$/);
  expect(asked.html.querySelector('[role=status]')?.text).toContain(person.email);
  await agent.submit(await agent.open(await lastLink()), {});
  expect((await account()).emailVerified).toBe(true);

  const form = await agent.open(at('/email'));
  const wrong = await agent.submit(form, { email: 'nobody' }, /\/email$/);
  expect(wrong.status).toBe(422);
  expect(wrong.html.querySelector('#email')?.getAttribute('value')).toBe('nobody');
  await agent.submit(wrong, { email: 'Countess@Example.com' }, /\/email$/);
  expect((await account()).email).toBe(person.email);
  const link = await lastLink();
  const [mail] = server.mails.filter(({ links }) => links.some((one) => one.href === link.href));
  expect(mail?.to).toEqual(['countess@example.com']);
  await agent.submit(await agent.open(link), {});
  expect((await account()).email).toBe('countess@example.com');
  const { prisma } = provider.storage;
  await prisma.account.update({
    where: { id: provider.accountId },
    data: { email: person.email, emailAscii: person.email, emailVerified: false },
  });
});

test('it is changed by nobody but the person whose account it is', async () => {
  const stranger = { email: 'mallory@example.com', password: 'a long and quiet river' };
  await addAccount(provider.storage.prisma, stranger, { admin: false });
  const { agent, page } = await signedIn('/email');
  await agent.submit(page, { email: 'mine@example.com' }, /\/email$/);
  const link = await lastLink();
  const form = { token: link.searchParams.get('token') ?? '' };

  const nobody = new Agent(provider.issuer);
  const asked = await nobody.open(link);
  expect(heading(asked)).toBe('Sign in');
  expect((await nobody.open(new URL('/verify', link), form)).status).toBe(410);
  const other = await nobody.submit(asked, stranger);
  expect(other.status).toBe(410);
  expect(other.html.text).toContain('another account');
  expect((await nobody.open(new URL('/verify', link), form)).status).toBe(410);
  expect((await account()).email).toBe(person.email);

  const own = await agent.open(link);
  expect(own.html.text).toContain(person.email); // what it was is told
  await agent.submit(own, {});
  expect((await account()).email).toBe('mine@example.com');
  const data = { email: person.email, emailAscii: person.email, emailVerified: false };
  await provider.storage.prisma.account.update({ where: { id: provider.accountId }, data });
});

test('what was begun before everything was ended is void', async () => {
  const { storage, config, accountId: id } = provider;
  const { prisma } = storage;
  const parts = { storage, config, origin: { ip: undefined, userAgent: undefined } };
  const measures = {
    password: () => changePassword(parts, id, person.password),
    'sign-out': () => signOutEverywhere(parts, id, 'revoked_by_admin'),
    lock: () => lockAccount(parts, id),
    factors: () => resetFactors(parts, id),
  };
  for (const [name, measure] of Object.entries(measures)) {
    await prisma.attempt.deleteMany();
    const { agent, page } = await signedIn('/email');
    await agent.submit(page, { email: `${name}@thief.example` }, /\/email$/);
    const link = await lastLink();
    const { secret } = await beginTotp({ storage, config }, await account());
    await measure();
    await unlockAccount(parts, id);
    // Signing in works at once, within the same second.
    expect(await prisma.link.count({ where: { accountId: id } }), name).toBe(0);
    const again = await signedIn('/email');
    expect((await again.agent.open(link)).status, name).toBe(410);
    expect((await beginTotp({ storage, config }, await account())).secret, name).not.toBe(secret);
    await prisma.totp.deleteMany();
  }
  expect((await account()).email).toBe(person.email);
});

test('a link that was made before them, or for an account that is locked, is void by itself', async () => {
  const { prisma } = provider.storage;
  const ends = [() => ({ lockedAt: new Date() }), () => ({ signedOutAt: new Date() })];
  for (const end of ends) {
    await prisma.attempt.deleteMany();
    const { agent, page } = await signedIn('');
    await agent.submit(page, {}, /\/email\/verify$/);
    const link = await lastLink();
    await prisma.account.update({ where: { id: provider.accountId }, data: end() });
    const form = { token: link.searchParams.get('token') ?? '' };
    expect((await agent.open(new URL('/verify', link), form)).status).toBe(410);
    expect((await account()).emailVerified).toBe(false);
    const former = { lockedAt: null, signedOutAt: null };
    await prisma.account.update({ where: { id: provider.accountId }, data: former });
  }
});

test('a change asks for a sign-in of the last 15 minutes, and a mailbox is not flooded', async () => {
  const { agent, page } = await signedIn('/email');
  for (let count = 0; count < 5; count++)
    await agent.submit(page, { email: 'victim@example.com' }, /\/email$/);
  await provider.mailer.send();
  const sent = server.mails.filter(({ to }) => to.includes('victim@example.com'));
  expect(sent).toHaveLength(3);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 15 * 60_000 + 2000 });
  const late = await agent.submit(page, { email: 'mallory@example.com' }, /\/email$/);
  expect(heading(late)).toBe('Sign in');
  expect(
    await provider.storage.prisma.link.count({ where: { email: 'mallory@example.com' } }),
  ).toBe(0);
  expect(heading(await agent.open(at('/email')))).toBe('Sign in');
});
