// A forgotten password: nobody learns who has an account, a link works once for its person, and everything that the
// old password had ends.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { makeLink, spendLink } from '../../src/accounts/links.ts';
import { connect, connectPrepared } from '../../src/database/open.ts';
import { sweep } from '../../src/database/sweep.ts';
import { answerRequest } from '../../src/mail/requests.ts';
import { takeDeliveries } from '../../src/storage/deliveries.ts';
import { commandLine } from '../../src/storage/origin.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { Agent, type Page } from '../support/agent.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import { authorizationRequest, discover, refresh, signIn } from '../support/relying-party.ts';
import { lockAccount } from '../support/changes.ts';

let server: MailServer;
let provider: TestProvider;
let ahead = 0; // milliseconds that the provider's clock is ahead
beforeEach(async () => {
  ahead = 0;
  server = await startMailServer();
  provider = await startProvider({
    environment: { SYMBOLON_SMTP_URL: server.url },
    wrap: (storage): Storage => ({ ...storage, now: () => new Date(Date.now() + ahead) }),
  });
});
afterEach(async () => {
  await provider.close();
  await server.close();
});

const agent = () => new Agent(provider.issuer);
const heading = (page: Page) => page.html.querySelector('h1')?.text.trim();
const NEW = 'an entirely new password';

async function ask(browser = agent(), email = person.email): Promise<Page> {
  return browser.submit(await browser.open(`${provider.issuer}/forgot`), { email });
}
async function linkFrom(browser = agent()): Promise<URL> {
  await ask(browser);
  await provider.mailer.send();
  const link = server.mails.flatMap(({ links: all }) => all).findLast(isReset);
  if (!link) throw new Error('no mail with a link came');
  return link;
}
const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
const isReset = ({ pathname }: URL) => pathname === '/reset';
const reset = async (link: URL, password = NEW, browser = agent()) =>
  browser.submit(await browser.open(link), { password });
const links = () => provider.storage.prisma.link.count();

test('the link in the mail leads to a new password, and the person is told of it', async () => {
  const link = await linkFrom();
  expect(link.href).toMatch(new RegExp(`^${provider.issuer}/reset\\?token=[\\w-]{43}$`));
  const browser = agent();
  const form = await browser.open(link);
  expect(form.headers.get('cache-control')).toBe('no-store');
  expect(form.headers.get('referrer-policy')).toBe('no-referrer');
  expect(heading(await browser.submit(form, { password: NEW }))).toBe('Your password is changed');
  const party = await discover(provider.issuer);
  const { url } = await authorizationRequest(party);
  const former = agent();
  const { email, password } = person;
  const wrong = await former.submit(await former.open(url), { email, password }, /sign-in$/);
  expect(wrong.status).toBe(401);
  await agent().authorize(url, { email: person.email, password: NEW });
  await provider.mailer.send();
  expect(server.mails.map(({ headers }) => headers['subject'])).toContain(
    'Your password was changed',
  );
  const account = await provider.storage.prisma.account.findUnique({
    where: { id: provider.accountId },
  });
  expect(account?.emailVerified).toBe(true);
});

test('it ends browser sessions and families, and signs nobody in', async () => {
  const party = await discover(provider.issuer);
  const signedIn = agent();
  const { refresh_token: token = '' } = await signIn(party, signedIn);
  const browser = agent();
  await reset(await linkFrom(browser), NEW, browser);
  await expect(refresh(party, token)).rejects.toMatchObject({ error: 'invalid_grant' });
  const { url } = await authorizationRequest(party);
  for (const one of [signedIn, browser])
    expect(heading(await one.open(url))).toBe('Sign in to Notes');
});

test('out of an interaction the person comes back to it, in that browser only', async () => {
  const party = await discover(provider.issuer);
  const browser = agent();
  const { url, finish } = await authorizationRequest(party);
  const page = await browser.open(url);
  const forgot = page.html.querySelectorAll('a').find((a) => a.text.includes('Forgot'));
  const asked = await browser.open(new URL(forgot?.getAttribute('href') ?? '', page.url));
  await browser.submit(asked, { email: person.email });
  await provider.mailer.send();
  const link = server.mails[0]?.links[0];
  const done = await browser.submit(await browser.open(link ?? ''), { password: NEW });
  const next = done.html.querySelector('a.button')?.getAttribute('href') ?? '';
  expect(next).toMatch(/^\/interaction\//);
  await finish(
    await browser.authorize(new URL(next, done.url), { email: person.email, password: NEW }),
  );
  const other = agent();
  const again = await reset(await linkFrom(agent()), NEW, other);
  expect(again.html.querySelector('a.button')?.getAttribute('href')).toBe('/account');
});

describe('a link', () => {
  test('is not spent by looking at it, nor by a password that cannot be', async () => {
    const link = await linkFrom();
    for (let scanner = 0; scanner < 5; scanner++) await agent().open(link);
    const short = await reset(link, 'short');
    expect(short.status).toBe(422);
    expect(short.html.querySelector('.mistake')?.text).toContain('at least 8');
    expect(heading(await reset(link))).toBe('Your password is changed');
  });

  test('works once, for an hour, and not when a newer one was sent', async () => {
    const first = await linkFrom();
    const second = await linkFrom();
    expect((await agent().open(first)).status).toBe(410);
    ahead = 61 * 60_000;
    expect((await agent().open(second)).status).toBe(410);
    const old = await agent().open(second);
    expect(heading(old)).toBe('This link does not work any more');
    ahead = 0;
    const form = await agent().open(second);
    expect(heading(await reset(second))).toBe('Your password is changed');
    expect((await agent().submit(form, { password: 'yet another password' })).status).toBe(410);
  });

  test('is spent by one of many at once, over processes, fifty times', async () => {
    const { prisma, keyring } = provider.storage;
    const pool = connectPrepared(provider.databaseUrl);
    const other = connect(provider.databaseUrl); // another process's connections
    for (let round = 0; round < 50; round++) {
      const now = new Date();
      const link = { purpose: 'password_reset', accountId: provider.accountId, now } as const;
      const token = await makeLink(prisma, keyring, { ...link, email: person.email });
      const spent = await Promise.all(
        [prisma, other, prisma, other, prisma, other].map((one) =>
          one.$transaction((database) => spendLink(database, ['password_reset'], token, now)),
        ),
      );
      expect(spent.filter(Boolean)).toHaveLength(1);
    }
    await other.$disconnect();
    await pool.end();
  });

  test('is for its purpose only', async () => {
    const { prisma, keyring } = provider.storage;
    const wish = { accountId: provider.accountId, email: person.email, now: new Date() };
    const token = await makeLink(prisma, keyring, { purpose: 'verification', ...wish });
    expect((await agent().open(`${provider.issuer}/reset?token=${token}`)).status).toBe(410);
  });

  test('is kept as a hash, swept once it has expired, and void after a change of the password', async () => {
    const link = await linkFrom();
    const token = link.searchParams.get('token') ?? '';
    const { prisma } = provider.storage;
    const dump = JSON.stringify(await prisma.link.findMany(), (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    expect(dump).not.toContain(token);
    const now = () => new Date(Date.now() + 70 * 60_000);
    await sweep({ prisma, now, retention: 3600, auditRetention: 3600 });
    expect(await links()).toBe(0);
  });

  test('goes to nobody else once the address has changed', async () => {
    const link = await linkFrom();
    await provider.storage.prisma.account.update({
      where: { id: provider.accountId },
      data: { email: 'new@example.com' },
    });
    expect((await reset(link)).status).toBe(410);
  });

  test('that was used is not made again when its mail is sent a second time', async () => {
    await ask();
    // A process makes the link, hands the mail over, and dies before it removes it.
    const { prisma, keyring, pool } = provider.storage;
    const [taken] = await takeDeliveries(prisma, keyring, 'mail', new Date());
    const mail = taken && (await answerRequest({ prisma, keyring, pool }, taken));
    const token = mail?.template === 'password-reset' ? mail.values.token : '';
    const link = new URL(`${provider.issuer}/reset?token=${token}`);
    expect(heading(await reset(link))).toBe('Your password is changed');
    ahead = 150_000; // past the lease
    await provider.mailer.send();
    const sent = server.mails.flatMap(({ links: all }) => all).filter(isReset);
    expect(sent.map(({ href }) => href)).toEqual([link.href]);
    expect((await agent().open(link)).status).toBe(410);
    expect(await links()).toBe(0);
  });
});

describe('who has an account', () => {
  test('is told by no answer', async () => {
    const known = await ask();
    const unknown = await ask(agent(), 'nobody@example.com');
    expect([known.status, unknown.status]).toEqual([200, 200]);
    const text = (page: Page, email: string) =>
      page.html.querySelector('main')?.text.replaceAll(email, 'X');
    expect(text(unknown, 'nobody@example.com')).toBe(text(known, person.email));
    // The same was done for both, and nothing that depends on the account has happened yet.
    expect(await provider.storage.prisma.delivery.count()).toBe(2);
    expect(await links()).toBe(0);
    await provider.mailer.send();
    expect(server.mails.map(({ to }) => to)).toEqual([[person.email]]);
    expect(await provider.storage.prisma.delivery.count()).toBe(0);
  });

  test('is told by no time', async () => {
    const { prisma } = provider.storage;
    const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] };
    const browser = agent();
    const form = await browser.open(`${provider.issuer}/forgot`);
    for (let round = 0; round < 30; round++)
      for (const who of ['known', 'unknown'] as const) {
        await prisma.attempt.deleteMany();
        const email = who === 'known' ? person.email : `nobody${round}@example.com`;
        const began = performance.now();
        await browser.submit(form, { email });
        times[who].push(performance.now() - began);
      }
    const median = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
    const ratio = median(times.known) / median(times.unknown);
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
  });

  test('a locked account gets no link', async () => {
    const { storage, config } = provider;
    await lockAccount({ storage, config, origin: commandLine }, provider.accountId);
    await ask();
    await provider.mailer.send();
    expect(server.mails).toEqual([]);
  });
});

test('a mailbox gets three an hour, a network may ask thirty times, and the answer to the first is the same', async () => {
  await addAccount(
    provider.storage.prisma,
    { email: 'bob@example.com', password: 'the password of bob' },
    { admin: false },
  );
  for (let round = 0; round < 5; round++) {
    expect((await ask()).status).toBe(200);
    await provider.mailer.send();
  }
  expect(server.mails).toHaveLength(3);
  const counted = JSON.stringify(await provider.storage.prisma.attempt.findMany(), text);
  expect(counted).not.toContain(person.email);
  await ask(agent(), 'bob@example.com');
  await provider.mailer.send();
  expect(server.mails.at(-1)?.to).toEqual(['bob@example.com']);
  for (let round = 0; round < 24; round++) await ask(agent(), `x${round}@example.com`);
  const refused = await ask(agent(), 'bob@example.com');
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('3600');
  expect(heading(refused)).toBe('Too many requests');
});

test('a form of another site or browser asks for nothing', async () => {
  const form = await agent().open(`${provider.issuer}/forgot`);
  expect((await agent().submit(form, { email: person.email })).status).toBe(400);
  const foreign = await fetch(`${provider.issuer}/forgot`, {
    method: 'POST',
    headers: {
      origin: 'https://evil.example',
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: `email=${person.email}`,
  });
  expect(foreign.status).toBe(400);
  expect(await provider.storage.prisma.delivery.count()).toBe(0);
});

test('what is no address is said beside the field, and what was typed stays', async () => {
  const page = await ask(agent(), 'not an address');
  expect(page.status).toBe(422);
  expect(page.html.querySelector('#email')?.getAttribute('value')).toBe('not an address');
});
