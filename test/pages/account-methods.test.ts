// The sign-in methods at /account/methods: each is one's own, shown once where it is secret, and never the last one to go.
import { TOTP, Secret } from 'otpauth';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { hold, queued } from '../faults/locks.ts';
import { Agent, type Page } from '../support/agent.ts';
import { Authenticator } from '../support/authenticator.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';

const other = { email: 'grace@example.com', name: 'Grace Hopper', password: 'nanoseconds of wire' };
let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
  await addAccount(provider.storage.prisma, other, { admin: false });
});
beforeEach(async () => {
  const { prisma } = provider.storage;
  await prisma.passkey.deleteMany();
  await prisma.totp.deleteMany();
  await prisma.recoveryCode.deleteMany();
  await prisma.attempt.deleteMany();
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => provider.close());

const at = (path = '') => `${provider.issuer}/account/methods${path}`;
async function signedIn(as = person): Promise<{ agent: Agent; page: Page }> {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(at());
  return { agent, page: await agent.submit(page, { email: as.email, password: as.password }) };
}
const notice = (page: Page) => page.html.querySelector('[role=status]')?.text;
const csrfOf = (page: Page) =>
  page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
const optionsOf = (page: Page) =>
  JSON.parse(
    page.html.querySelector('[data-passkey-is=new]')?.getAttribute('data-passkey') ?? '',
  ) as { challenge: string; user: { id: string } };
const passkeys = () => provider.storage.prisma.passkey.findMany();

async function add(agent: Agent, page: Page, name = 'Laptop'): Promise<Page> {
  const passkey = JSON.stringify(new Authenticator(provider.issuer).create(optionsOf(page)));
  return agent.submit(page, { passkey, name }, /\/passkeys$/);
}
async function setUp(agent: Agent): Promise<Page> {
  const page = await agent.open(at('/totp'));
  const secret = page.html.querySelector('p.code')?.text.replace(/\s/g, '') ?? '';
  const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
  return agent.submit(page, { code }, /\/totp$/);
}

describe('passkeys', () => {
  test('are added, renamed and removed; the last second factor after a warning', async () => {
    const { agent, page } = await signedIn();
    const added = await add(agent, page);
    expect(notice(added)).toBe('The passkey “Laptop” was added.');
    const [one] = await passkeys();
    const renamed = await agent.submit(added, { name: 'Old laptop' }, /\/name$/);
    expect(renamed.html.text).toContain('Old laptop');
    const warned = await agent.submit(renamed, {}, /\/remove$/);
    expect(warned.html.querySelector('h1')?.text).toBe('Remove your last second factor?');
    expect(await passkeys()).toHaveLength(1);
    const removed = await agent.submit(warned, {}, new RegExp(`${one?.id ?? ''}/remove$`));
    expect(notice(removed)).toContain('“Old laptop” was removed');
    expect(await passkeys()).toEqual([]);
  });

  test('what the browser did not make for this session is refused', async () => {
    const { agent, page } = await signedIn();
    const elsewhere = await signedIn();
    const foreign = new Authenticator(provider.issuer).create(optionsOf(elsewhere.page));
    for (const passkey of ['', 'no json', JSON.stringify(foreign)]) {
      const answer = await agent.submit(page, { passkey, name: '' }, /\/passkeys$/);
      expect(notice(answer)).toBe('This passkey was not accepted. Please try again.');
    }
    expect(await passkeys()).toEqual([]);
  });

  test('another person’s are neither renamed nor removed', async () => {
    const mine = await signedIn();
    await add(mine.agent, mine.page);
    const [one] = await passkeys();
    const { agent, page } = await signedIn(other);
    expect(page.html.text).not.toContain('Laptop');
    for (const action of ['name', 'remove']) {
      const answer = await agent.open(at(`/passkeys/${one?.id ?? ''}/${action}`), {
        csrf: csrfOf(page),
        ...{ name: 'Mallory', sure: 'yes' },
      });
      expect(answer.status).toBe(404);
    }
    expect(await passkeys()).toEqual([one]);
  });

  test('who has no password keeps one', async () => {
    const { agent, page } = await signedIn();
    const added = await add(agent, page);
    const account = { where: { id: provider.accountId } };
    const { passwordHash } = await provider.storage.prisma.account.findUniqueOrThrow(account);
    await provider.storage.prisma.account.update({ ...account, data: { passwordHash: null } });
    const answer = await agent.submit(added, { sure: 'yes' }, /\/remove$/);
    expect(notice(answer)).toContain('This is your only way in.');
    expect(await passkeys()).toHaveLength(1);
    // Of two removals at once one stays as well.
    const two = await add(agent, answer, 'Phone');
    const forms = two.html
      .querySelectorAll('form[action$="/remove"]')
      .map((form) => form.getAttribute('action') ?? '');
    const held = await hold(provider.databaseUrl, 'SELECT FROM account WHERE id = $1 FOR UPDATE', [
      provider.accountId,
    ]);
    const removals = forms.map((path) =>
      agent.clone().open(path, { csrf: csrfOf(two), sure: 'yes' }),
    );
    await queued(held.holder, 2);
    await held.release();
    await Promise.all(removals);
    expect(await passkeys()).toHaveLength(1);
    await provider.storage.prisma.account.update({ ...account, data: { passwordHash } });
  });
});

describe('one-time codes', () => {
  test('count once a first code was right, and are removed after a warning', async () => {
    const { agent } = await signedIn();
    const page = await agent.open(at('/totp'));
    expect(page.html.querySelector('img.qr')?.getAttribute('src')).toMatch(
      /^data:image\/svg\+xml;base64,/,
    );
    const wrong = await agent.submit(page, { code: '000000' }, /\/totp$/);
    expect(wrong.status).toBe(422);
    expect(wrong.html.querySelector('.code')?.text).toBe(page.html.querySelector('.code')?.text);
    const done = await setUp(agent);
    expect(notice(done)).toBe('The app for one-time codes is set up.');
    // What is set up is not shown again.
    const again = await agent.open(at('/totp'));
    expect(notice(again)).toContain('There is an app for one-time codes already.');
    expect(again.html.querySelector('img.qr')).toBeNull();
    const warned = await agent.submit(await agent.open(at()), {}, /\/totp\/remove$/);
    expect(await provider.storage.prisma.totp.count()).toBe(1);
    const removed = await agent.submit(warned, {}, /\/totp\/remove$/);
    expect(notice(removed)).toContain('was removed');
    expect(await provider.storage.prisma.totp.count()).toBe(0);
  });
});

test('a second factor that another browser has added is asked for, before it can be removed', async () => {
  const attacker = await signedIn();
  const { agent, page } = await signedIn();
  const added = await add(agent, page);
  await setUp(agent);
  const [one] = await passkeys();
  const csrf = csrfOf(attacker.page);
  const changes = [
    ['/password', { password: 'mallory was here' }],
    ['/passkeys', {}],
    [`/passkeys/${one?.id ?? ''}/name`, { name: 'Mallory' }],
    [`/passkeys/${one?.id ?? ''}/remove`, { sure: 'yes' }],
    ['/totp', {}],
    ['/totp/remove', { sure: 'yes' }],
    ['/recovery', {}],
  ] as const;
  for (const [path, form] of changes) {
    const answer = await attacker.agent.open(at(path), { csrf, ...form });
    expect(answer.html.querySelector('h1')?.text, path).toBe('One more step');
  }
  for (const path of ['', '/password', '/totp'])
    expect((await attacker.agent.open(at(path))).html.querySelector('h1')?.text).toBe(
      'One more step',
    );
  expect(await passkeys()).toEqual([one]);
  expect(await provider.storage.prisma.totp.count()).toBe(1);
  expect(await provider.storage.prisma.recoveryCode.count()).toBe(0);
  // The browser in which they were added has shown them.
  const removed = await agent.submit(added, { sure: 'yes' }, /\/remove$/);
  expect(notice(removed)).toContain('was removed');
});

test('recovery codes are shown once, and counted', async () => {
  const { agent, page } = await signedIn();
  const shown = await agent.submit(page, {}, /\/recovery$/);
  const codes = shown.html.querySelectorAll('.codes code').map(({ text }) => text);
  expect(new Set(codes).size).toBe(10);
  const overview = await agent.open(at());
  expect(overview.html.text).toContain('You have 10 left.');
  for (const path of ['', '/totp', '/password'])
    expect((await agent.open(at(path))).html.text).not.toContain(codes[0]);
  // The same form once more, a reload: those that were written down stay good.
  const rows = () => provider.storage.prisma.recoveryCode.findMany({ orderBy: { id: 'asc' } });
  const before = await rows();
  const again = await agent.submit(page, {}, /\/recovery$/);
  expect(notice(again)).toContain('was sent already');
  expect(await rows()).toEqual(before);
  const more = await agent.submit(overview, {}, /\/recovery$/);
  expect(more.html.text).not.toContain(codes[0]);
  expect(await provider.storage.prisma.recoveryCode.count()).toBe(10);
});

test('every change asks for a sign-in of the last 15 minutes, and for a form of its page', async () => {
  const { agent, page } = await signedIn();
  const added = await add(agent, page);
  const [one] = await passkeys();
  const csrf = csrfOf(added);
  const changes = [
    '/password',
    '/passkeys',
    `/passkeys/${one?.id ?? ''}/name`,
    `/passkeys/${one?.id ?? ''}/remove`,
    '/totp',
    '/totp/remove',
    '/recovery',
  ];
  for (const path of changes)
    expect((await agent.open(at(path), { csrf: 'forged', sure: 'yes' })).status).toBe(400);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 15 * 60_000 + 2000 });
  for (const path of changes) {
    const late = await agent.open(at(path), {
      ...{ csrf, sure: 'yes', name: 'Mallory', password: 'mallory was here' },
    });
    expect(late.html.querySelector('h1')?.text, path).toBe('Sign in');
  }
  expect(await passkeys()).toEqual([one]);
  expect(await provider.storage.prisma.recoveryCode.count()).toBe(0);
  for (const path of ['', '/totp', '/password'])
    expect((await agent.open(at(path))).html.querySelector('h1')?.text).toBe('Sign in');
});

test('who signed in with a passkey alone needs no present password; who added one since does', async () => {
  const { agent, page: added } = await signedIn();
  const device = new Authenticator(provider.issuer);
  const passkey = JSON.stringify(device.create(optionsOf(added)));
  await agent.submit(added, { passkey, name: 'Laptop' }, /\/passkeys$/);
  const asks = async (browser: Agent) =>
    (await browser.open(at('/password'))).html.querySelector('#current') !== null;
  expect(await asks(agent)).toBe(true);

  const other = new Agent(provider.issuer);
  const signIn = await other.open(at('/password'));
  const offered = JSON.parse(
    signIn.html.querySelector('[data-passkey]')?.getAttribute('data-passkey') ?? '',
  ) as { challenge: string };
  const answer = JSON.stringify(device.get(offered));
  await other.submit(signIn, { passkey: answer }, /\/passkey\b/);
  expect(await asks(other)).toBe(false);
  const page = await other.open(at('/password'));
  const done = await other.submit(page, { password: 'a lovely new engine' });
  expect(notice(done)).toContain('Your password was changed.');
});
