// How people come to an account by themselves: nobody learns who has one, nobody gets one for an address that is not
// theirs, and nobody confirms an account whose password a stranger chose.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { Agent, type Page } from '../support/agent.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { run } from '../support/process.ts';
import { type TestProvider, person, secret, startProvider } from '../support/provider.ts';
import { authorizationRequest, discover, signIn } from '../support/relying-party.ts';
import { askForEmailChange, askForVerification, invite } from '../support/changes.ts';

let server: MailServer;
let provider: TestProvider;
const start = async (mode: 'closed' | 'invitation' | 'open') => {
  server = await startMailServer();
  provider = await startProvider({
    environment: { SYMBOLON_SMTP_URL: server.url, SYMBOLON_SIGN_UP: mode },
  });
};
afterEach(async () => {
  await provider.close();
  await server.close();
});

const agent = () => new Agent(provider.issuer);
const heading = (page: Page) => page.html.querySelector('h1')?.text.trim();
const newcomer = {
  email: 'grace@example.com',
  name: 'Grace Hopper',
  password: 'a nanosecond of wire',
};
const find = (email: string) => provider.storage.prisma.account.findUnique({ where: { email } });
const ask = async (browser: Agent, form: object = {}) =>
  browser.submit(await browser.open(`${provider.issuer}/sign-up`), { ...newcomer, ...form });
const lastLink = async (): Promise<URL> => {
  await provider.mailer.send();
  const link = server.mails.at(-1)?.links[0];
  if (!link) throw new Error('no mail with a link came');
  return link;
};

test.each(['closed', 'invitation'] as const)('%s: prompt=create is unknown', async (mode) => {
  await start(mode);
  const party = await discover(provider.issuer);
  expect(party.configuration.serverMetadata()['prompt_values_supported']).toEqual([
    'none',
    'login',
    'consent',
    'select_account',
  ]);
  const { url } = await authorizationRequest(party, { prompt: 'create' });
  expect((await agent().authorize(url)).searchParams.get('error')).toBe('invalid_request');
});

describe('open', () => {
  beforeEach(() => start('open'));

  test('out of an interaction: sign up, confirm, and go on to the application', async () => {
    const browser = agent();
    const party = await discover(provider.issuer);
    const { url, finish } = await authorizationRequest(party);
    const page = await browser.open(url);
    const way = page.html.querySelectorAll('a').find((a) => a.text.includes('Make an account'));
    const form = await browser.open(new URL(way?.getAttribute('href') ?? '', page.url));
    const sent = await browser.submit(form, newcomer);
    expect(heading(sent)).toBe('Look into your mailbox');
    expect(await find(newcomer.email)).toBeNull();
    const confirm = await browser.open(await lastLink());
    expect(confirm.html.querySelector('#password')).toBeNull();
    expect(await find(newcomer.email)).toBeNull(); // a scanner that opens the link makes nothing
    const done = await browser.submit(confirm, {});
    expect(heading(done)).toBe('Your account is ready');
    expect(await find(newcomer.email)).toMatchObject({
      name: newcomer.name,
      emailVerified: true,
      admin: false,
      locale: 'en',
    });
    const next = done.html.querySelector('a.button')?.getAttribute('href') ?? '';
    await finish(await browser.authorize(new URL(next, done.url), newcomer));
    expect((await browser.submit(confirm, {})).status).toBe(410);
  });

  test('prompt=create: signing up comes first, then signing in, and the application gets its answer', async () => {
    const browser = agent();
    const party = await discover(provider.issuer);
    expect(party.configuration.serverMetadata()['prompt_values_supported']).toContain('create');
    const { url, finish } = await authorizationRequest(party, { prompt: 'create' });
    const form = await browser.open(url);
    expect(form.url.pathname).toBe('/sign-up');
    expect(heading(await browser.submit(form, newcomer))).toBe('Look into your mailbox');
    const done = await browser.submit(await browser.open(await lastLink()), {});
    const next = done.html.querySelector('a.button')?.getAttribute('href') ?? '';
    const tokens = await finish(await browser.authorize(new URL(next, done.url), newcomer));
    expect(tokens.claims()?.sub).toBe((await find(newcomer.email))?.id);
  });

  test('prompt=create: whoever has an account signs in instead, also in a browser that is signed in', async () => {
    const browser = agent();
    const party = await discover(provider.issuer);
    await signIn(party, browser);
    const { url, finish } = await authorizationRequest(party, { prompt: 'create' });
    const form = await browser.open(url);
    expect(form.url.pathname).toBe('/sign-up');
    const way = form.html.querySelectorAll('a').find((a) => a.text.trim() === 'Sign in');
    await finish(await browser.authorize(new URL(way?.getAttribute('href') ?? '', form.url)));
    const silent = await authorizationRequest(party, { prompt: 'create none' });
    expect((await browser.authorize(silent.url)).searchParams.get('error')).toBe('invalid_request');
  });

  test('in another browser the password is asked for, so that nobody confirms a stranger’s account', async () => {
    await ask(agent());
    const link = await lastLink();
    const victim = agent();
    const page = await victim.open(link);
    expect(page.html.querySelector('#password')).not.toBeNull();
    for (const password of ['', 'not what was chosen']) {
      const refused = await victim.submit(page, { password });
      expect(refused.status).toBe(422);
    }
    expect(await find(newcomer.email)).toBeNull();
    const done = await victim.submit(page, { password: newcomer.password });
    expect(heading(done)).toBe('Your account is ready');
  });

  test('whoever guesses the password at the link waits longer with every guess, and may go on', async () => {
    await ask(agent());
    const link = await lastLink();
    const other = agent();
    const page = await other.open(link);
    const guess = async (password: string) => (await other.submit(page, { password })).status;
    for (let round = 0; round < 6; round++) expect(await guess(`wrong ${round}`)).toBe(422);
    const early = await other.submit(page, { password: newcomer.password });
    expect(early.status).toBe(429);
    expect(early.headers.get('retry-after')).toMatch(/^[12]$/);
    expect(early.html.querySelector('.mistake')?.text).toContain('wrong too often');
    expect(await find(newcomer.email)).toBeNull();
    const { prisma } = provider.storage;
    await prisma.$executeRaw`UPDATE attempt SET expire = ${Date.now() - 1} WHERE key LIKE 'w:%'`;
    const done = await other.submit(early, { password: newcomer.password });
    expect(heading(done)).toBe('Your account is ready');
    expect(await prisma.attempt.count({ where: { key: { startsWith: 'n:password' } } })).toBe(0);
  });

  test('a stranger’s sign-up voids no link of the owner; the first that is confirmed counts', async () => {
    const owner = agent();
    await ask(owner);
    const own = await lastLink();
    await ask(agent(), { name: 'Eve', password: 'chosen by a stranger' });
    const strange = await lastLink();
    expect(strange.href).not.toBe(own.href);
    const late = await owner.open(strange);
    const done = await owner.submit(await owner.open(own), {});
    expect(heading(done)).toBe('Your account is ready');
    const refused = await owner.submit(late, { password: 'chosen by a stranger' });
    expect(refused.status).toBe(410);
    expect(await find(newcomer.email)).toMatchObject({ name: newcomer.name });
    expect(await provider.storage.prisma.account.count()).toBe(2);
  });

  test('no more links live than mails are sent', async () => {
    for (let round = 0; round < 5; round++) await ask(agent());
    await provider.mailer.send();
    expect(await provider.storage.prisma.link.count()).toBe(3);
  });

  test('a stranger’s sign-ups do not keep the owner from resetting the password', async () => {
    for (let round = 0; round < 4; round++) await ask(agent(), { email: person.email });
    const owner = agent();
    await owner.submit(await owner.open(`${provider.issuer}/forgot`), { email: person.email });
    await provider.mailer.send();
    const paths = server.mails.flatMap(({ links }) => links.map(({ pathname }) => pathname));
    expect(paths.sort()).toEqual(['/account', '/account', '/account', '/reset']);
  });

  test('an address that is taken gets a mail that says so; the answer is the same', async () => {
    const free = await ask(agent());
    const taken = await ask(agent(), { email: person.email });
    const text = (page: Page, email: string) =>
      page.html.querySelector('main')?.text.replaceAll(email, 'X');
    expect(taken.status).toBe(free.status);
    expect(await provider.storage.prisma.delivery.count()).toBe(2); // the same was done for both
    expect(text(taken, person.email)).toBe(text(free, newcomer.email));
    await provider.mailer.send();
    const told = server.mails.find(({ to }) => to[0] === person.email);
    expect(told?.headers['subject']).toBe('You already have an account at Symbolon');
    expect(told?.links.map(({ pathname }) => pathname)).toEqual(['/account']);
    expect(await provider.storage.prisma.link.count()).toBe(1);
  });

  test('neither does the time tell', async () => {
    const times: Record<'free' | 'taken', number[]> = { free: [], taken: [] };
    const browser = agent();
    const form = await browser.open(`${provider.issuer}/sign-up`);
    for (let round = 0; round < 15; round++)
      for (const who of ['free', 'taken'] as const) {
        await provider.storage.prisma.attempt.deleteMany();
        const email = who === 'taken' ? person.email : `nobody${round}@example.com`;
        const began = performance.now();
        await browser.submit(form, { ...newcomer, email });
        times[who].push(performance.now() - began);
      }
    const median = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
    expect(median(times.free) / median(times.taken)).toBeGreaterThan(0.5);
    expect(median(times.free) / median(times.taken)).toBeLessThan(2);
  });

  test('an account that somebody else made meanwhile is not touched', async () => {
    const browser = agent();
    await ask(browser);
    const confirm = await browser.open(await lastLink());
    const other = { ...newcomer, password: 'made by an administrator' };
    await addAccount(provider.storage.prisma, other, { admin: false });
    expect((await browser.submit(confirm, {})).status).toBe(410);
    expect(await provider.storage.prisma.account.count()).toBe(2);
  });

  test('what is wrong is said beside its field, what was typed stays, the password does not', async () => {
    const page = await ask(agent(), { password: 'short' });
    expect(page.status).toBe(422);
    expect(page.html.querySelector('.mistake')?.text).toContain('at least 8');
    expect(page.html.querySelector('#email')?.getAttribute('value')).toBe(newcomer.email);
    expect(page.html.querySelector('#name')?.getAttribute('value')).toBe(newcomer.name);
    expect(page.html.toString()).not.toContain('short');
    expect(await provider.storage.prisma.delivery.count()).toBe(0);
  });

  test('neither the password nor its hash can be read in the database', async () => {
    await ask(agent());
    await provider.mailer.send();
    const rows = [
      ...(await provider.storage.prisma.link.findMany()),
      ...(await provider.storage.prisma.delivery.findMany()),
    ];
    const dump = JSON.stringify(rows, (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    expect(dump).not.toContain('argon2');
    expect(dump).not.toContain(newcomer.password);
  });
});

describe('by invitation', () => {
  beforeEach(() => start('invitation'));

  test('the command prints a link and mails another; the account is made at one of them, once', async () => {
    const { code, stdout } = await run(
      ['src/cli.ts', 'user', 'invite', newcomer.email, '--name', 'Grace', '--json'],
      {
        DATABASE_URL: provider.databaseUrl,
        SYMBOLON_SECRET: secret,
        SYMBOLON_ISSUER: provider.issuer,
        SYMBOLON_SMTP_URL: server.url,
        SYMBOLON_SIGN_UP: 'invitation',
      },
    );
    expect(code).toBe(0);
    const { url, mailed } = JSON.parse(stdout) as { url: string; mailed: boolean };
    expect(mailed).toBe(true);
    const mailedLink = await lastLink();
    expect(mailedLink.href).not.toBe(url);
    const browser = agent();
    const page = await browser.open(url);
    expect(page.html.querySelector('#name')?.getAttribute('value')).toBe('Grace');
    expect((await browser.submit(page, { name: 'G', password: 'x' })).status).toBe(422);
    const { name, password } = newcomer;
    const done = await browser.submit(page, { name, password, email: 'eve@example.com' });
    expect(heading(done)).toBe('Your account is ready');
    // Whoever has the printed link need not read the address's mail.
    expect(await find(newcomer.email)).toMatchObject({ name, emailVerified: false, admin: false });
    expect((await agent().open(mailedLink)).status).toBe(410);
    expect(await find('eve@example.com')).toBeNull();
    expect((await browser.submit(page, { name, password })).status).toBe(410);
    await signIn(await discover(provider.issuer), agent().clone()); // the others still sign in
  });

  test('the mailed link verifies the address, and voids the printed one', async () => {
    const { url } = await invite(provider, { email: newcomer.email, seconds: 60 });
    const { name, password } = newcomer;
    const browser = agent();
    await browser.submit(await browser.open(await lastLink()), { name, password });
    expect(await find(newcomer.email)).toMatchObject({ name, emailVerified: true });
    expect((await agent().open(url)).status).toBe(410);
  });

  test('of the same address voids both links of the one before', async () => {
    const { url } = await invite(provider, { email: newcomer.email, seconds: 60 });
    const mailed = await lastLink();
    await invite(provider, { email: newcomer.email, seconds: 60 });
    for (const link of [url, mailed]) expect((await agent().open(link)).status).toBe(410);
  });

  test('nobody signs up without one; who has an account is not invited', async () => {
    expect((await agent().open(`${provider.issuer}/sign-up`)).status).toBe(404);
    const wish = { email: person.email, seconds: 60 };
    await expect(invite(provider, wish)).rejects.toThrow('already');
  });

  test('it ends after its time', async () => {
    const { url } = await invite(provider, { email: newcomer.email, seconds: -1 });
    expect((await agent().open(url)).status).toBe(410);
  });
});

describe('closed', () => {
  beforeEach(() => start('closed'));

  /** The link, opened by the account's own person. */
  const confirmed = async (link: URL): Promise<Page> => {
    const browser = agent();
    const { email, password } = person;
    const page = await browser.submit(await browser.open(link), { email, password });
    return browser.submit(page, {});
  };

  test('there is no page and no link, and nobody can be invited', async () => {
    const { url } = await authorizationRequest(await discover(provider.issuer));
    expect((await agent().open(url)).html.text).not.toContain('Make an account');
    for (const path of ['/sign-up', '/sign-up/confirm', '/invitation'])
      expect((await agent().open(provider.issuer + path)).status).toBe(404);
    const wish = { email: newcomer.email, seconds: 60 };
    await expect(invite(provider, wish)).rejects.toThrow('SYMBOLON_SIGN_UP');
  });

  test('an address is confirmed by its link, and changed by the new one’s; the old one is told', async () => {
    const { storage } = provider;
    const account = async () =>
      storage.prisma.account.findUniqueOrThrow({ where: { id: provider.accountId } });
    await askForVerification(storage, await account());
    const verify = await agent().open(await lastLink());
    expect((await account()).emailVerified).toBe(false);
    await agent().submit(verify, {});
    expect((await account()).emailVerified).toBe(true);

    await askForEmailChange(storage, await account(), ' New@Example.com');
    const link = await lastLink();
    expect(server.mails.at(-1)?.to).toEqual(['new@example.com']);
    const done = await confirmed(link);
    expect(heading(done)).toBe('Your address is confirmed');
    expect(await account()).toMatchObject({ email: 'new@example.com', emailVerified: true });
    await provider.mailer.send();
    const told = server.mails.filter(({ to }) => to.includes(person.email));
    expect(told.some(({ text }) => text.includes('was changed'))).toBe(true);
  });

  test('a link to an address that somebody else has by now changes nothing', async () => {
    const { storage } = provider;
    const account = await storage.prisma.account.findUniqueOrThrow({
      where: { id: provider.accountId },
    });
    await askForEmailChange(storage, account, newcomer.email);
    const link = await lastLink();
    await addAccount(storage.prisma, newcomer, { admin: false });
    expect((await confirmed(link)).status).toBe(410);
    expect(await find(person.email)).not.toBeNull();
  });
});
