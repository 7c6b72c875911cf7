// A person takes their data along, and deletes the account: asked for, kept after all, and done.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { askForDeletion } from '../../src/accounts/deletion.ts';
import { deleteAtOnce, deleteDue } from '../../src/accounts/removal.ts';
import { LostRace } from '../../src/storage/errors.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent, type Page } from '../support/agent.ts';
import { lockAccount } from '../support/changes.ts';
import { commandsWith } from '../support/commands.ts';
import { eventually } from '../support/eventually.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { startProcess } from '../support/process.ts';
import { type TestProvider, person, secret, startProvider } from '../support/provider.ts';
import {
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import { refreshAt } from '../support/token-endpoint.ts';

const WEEK = 7 * 86_400_000;
let server: MailServer;
let provider: TestProvider;
beforeAll(async () => {
  server = await startMailServer();
});
beforeEach(async () => {
  server.mails.length = 0;
  provider = await startProvider({ environment: { SYMBOLON_SMTP_URL: server.url } });
});
afterEach(async () => {
  vi.useRealTimers();
  await provider.close();
});
afterAll(() => server.close());

const at = (path = '', of = provider) => `${of.issuer}/account${path}`;
const heading = (page: Page) => page.html.querySelector('h1')?.text;
const account = () =>
  provider.storage.prisma.account.findUnique({ where: { id: provider.accountId } });
const symbolon = () =>
  commandsWith(() => ({ DATABASE_URL: provider.databaseUrl, SYMBOLON_SECRET: secret }));
async function signedIn(path = '/data', of = provider) {
  const agent = new Agent(of.issuer);
  const { email, password } = person;
  return { agent, page: await agent.submit(await agent.open(at(path, of)), { email, password }) };
}
async function asked() {
  const { agent, page } = await signedIn();
  return { agent, page: await agent.submit(page, {}, /\/data\/delete$/) };
}
/** The time has come. */
const due = (id = provider.accountId) =>
  provider.storage.prisma.account.update({ where: { id }, data: { deleteAt: new Date() } });
/** Type and actor of what the audit has of deletions. */
async function told(): Promise<string[]> {
  const events = await provider.storage.prisma.auditEvent.findMany({
    where: { type: { startsWith: 'account.delet' } },
    orderBy: { id: 'asc' },
  });
  return events.map(({ type, actorKind, actorId, detail }) => {
    const { reason } = detail as { reason?: string };
    const who = actorKind === 'person' ? actorKind : `${actorKind ?? ''} ${actorId ?? ''}`;
    return `${type}: ${who}${reason === undefined ? '' : `, ${reason}`}`;
  });
}
async function subjects(): Promise<string[]> {
  await provider.mailer.send();
  const all = server.mails.map(({ headers }) => headers['subject'] ?? '');
  return all.filter((subject) => /account (will be|stays|at)/.test(subject));
}

test('it is asked for; everything works until its time has come, and then all is gone', async () => {
  const party = await discover(provider.issuer);
  const tokens = await signIn(party, new Agent(provider.issuer));
  const before = Date.now();
  const { agent, page } = await asked();
  const deleteAt = (await account())?.deleteAt?.getTime() ?? 0;
  expect(deleteAt - WEEK).toBeGreaterThanOrEqual(before - 1000);
  expect(deleteAt - WEEK).toBeLessThanOrEqual(Date.now() + 1000);
  expect(page.html.text).toContain('Your account will be deleted on');
  expect(page.html.querySelector('form[action$="/data/delete"]')).toBeNull();
  for (const path of ['', '/sessions', '/history'])
    expect((await agent.open(at(path))).html.text, path).toContain('will be deleted on');

  expect(await subjects()).toEqual(['Your account will be deleted']);
  const mail = server.mails.find(({ text }) => text.includes('will be deleted on'));
  expect(mail?.to).toEqual([person.email]);
  expect(mail?.text).toContain('UTC'); // until when
  expect(mail?.links.map(({ pathname, search }) => pathname + search)).toEqual(['/account']);

  const next = refreshTokenOf(await refresh(party, refreshTokenOf(tokens)));
  await deleteDue(provider.storage);
  expect(await account()).not.toBeNull();

  await due();
  await Promise.all([1, 2, 3, 4].map(() => deleteDue(provider.storage)));
  expect(await account()).toBeNull();
  expect(await told()).toEqual([
    'account.deletion_asked: person',
    'account.deleted: system deletion',
  ]);
  expect(await subjects()).toEqual([
    'Your account will be deleted',
    'Your account at Symbolon is deleted',
  ]);
  expect((await refreshAt(provider.issuer, next)).body.error_description).toMatch(
    /^account_deleted: /,
  );
  expect(heading(await agent.open(at()))).toBe('Sign in');
  expect(await provider.storage.prisma.delivery.count()).toBe(0);
});

test('who has another mind keeps it: on any page, with no other sign-in, and while signing in to an application', async () => {
  const { agent } = await asked();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
  const kept = await agent.submit(await agent.open(at()), {}, /\/data\/keep$/);
  expect(kept.html.querySelector('[role=status]')?.text).toBe('Your account stays.');
  expect((await account())?.deleteAt).toBeNull();
  await provider.mailer.send();
  vi.useRealTimers();

  await asked();
  const party = await discover(provider.issuer);
  const toldAtSignIn = async () => {
    const browser = new Agent(provider.issuer);
    const page = await browser.walk((await authorizationRequest(party)).url);
    expect(heading(page)).toBe('Your account will be deleted');
    return { browser, page };
  };
  const going = await toldAtSignIn();
  const next = going.page.html.querySelector('main a')?.getAttribute('href') ?? '';
  expect(heading(await going.browser.open(next))).toContain('Notes'); // it goes on
  expect((await account())?.deleteAt).not.toBeNull();
  const former = await toldAtSignIn();
  const signedOut = { id: provider.accountId };
  await provider.storage.prisma.account.update({
    where: signedOut,
    data: { signedOutAt: new Date(Date.now() + 1000) },
  });
  const over = await former.browser.submit(former.page, {}, /\/keep$/); // that sign-in has ended
  expect(over.status).toBe(400);
  expect((await account())?.deleteAt).not.toBeNull();
  await provider.storage.prisma.account.update({ where: signedOut, data: { signedOutAt: null } });
  const keeping = await toldAtSignIn();
  const consent = await keeping.browser.submit(keeping.page, {}, /\/keep$/);
  expect(heading(consent)).toContain('Notes');
  expect((await account())?.deleteAt).toBeNull();

  const { storage } = provider;
  const askFor = (id: string) =>
    storage.prisma.$transaction((database) =>
      askForDeletion(database, { storage, origin: commandLine }, id, 7),
    );
  await asked();
  await due();
  await askFor(provider.accountId); // asking again moves nothing
  expect((await account())?.deleteAt?.getTime()).toBeLessThanOrEqual(Date.now());
  const one = { ...person, email: 'joan@example.com' };
  const joan = await addAccount(provider.storage.prisma, one, { admin: false });
  await askFor(joan.id);
  const stays = (await subjects()).filter((subject) => subject === 'Your account stays');
  expect(stays).toHaveLength(2);
  await deleteDue(storage); // another's request is theirs
  expect(await storage.prisma.account.findUnique({ where: { id: joan.id } })).not.toBeNull();
  expect((await told()).slice(0, 4)).toEqual([
    'account.deletion_asked: person',
    'account.deletion_withdrawn: person',
    'account.deletion_asked: person',
    'account.deletion_withdrawn: person',
  ]);
});

test('of keeping it and its end one happens', async () => {
  const { storage, accountId } = provider;
  for (let round = 0; round < 5; round++) {
    const { agent, page } = await asked();
    await due();
    const [answer] = await Promise.all([
      agent.submit(page, {}, /\/data\/keep$/),
      deleteDue(storage),
    ]);
    const isKept = (await account()) !== null;
    expect(heading(answer)).toBe(isKept ? 'Your account' : 'Sign in');
    const events = await told();
    expect(events.at(-1)).toMatch(isKept ? /withdrawn/ : /deleted: system/);
    if (!isKept) await addAccount(storage.prisma, person, { admin: false, id: accountId });
  }
});

test('both ask for a sign-in of the last 15 minutes, and a form of the page', async () => {
  const { agent, page } = await signedIn();
  expect((await agent.open(at('/data/delete'), {})).status).toBe(400);
  expect((await agent.open(at('/data/download'), {})).status).toBe(400);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 15 * 60_000 + 2000 });
  for (const action of [/\/data\/delete$/, /\/data\/download$/])
    expect(heading(await agent.submit(page, {}, action))).toBe('Sign in');
  expect((await account())?.deleteAt).toBeNull();
  expect(heading(await agent.open(at('/data')))).toBe('Sign in');
});

test('the last administrator cannot, and of two who leave at once one stays', async () => {
  const { storage, accountId } = provider;
  const { prisma } = storage;
  await prisma.account.update({ where: { id: accountId }, data: { admin: true } });
  const alone = await asked();
  expect(alone.page.status).toBe(422);
  expect(alone.page.html.querySelector('[role=alert]')?.text).toContain('only administrator');
  expect((await account())?.deleteAt).toBeNull();

  const one = { ...person, email: 'joan@example.com' };
  const joan = await addAccount(prisma, one, { admin: true });
  for (let round = 0; round < 10; round++) {
    await prisma.account.updateMany({ data: { deleteAt: null } });
    const both = await Promise.allSettled(
      [accountId, joan.id].map((id) =>
        prisma.$transaction((database) =>
          askForDeletion(database, { storage, origin: commandLine }, id, 7),
        ),
      ),
    );
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  }
  // The other one is gone meanwhile: the account is kept, and the event says why.
  await prisma.account.updateMany({ data: { deleteAt: null } });
  await asked();
  await prisma.account.update({ where: { id: joan.id }, data: { admin: false } });
  await due();
  await deleteDue(storage);
  expect((await account())?.deleteAt).toBeNull();
  expect((await told()).at(-1)).toBe(
    'account.deletion_withdrawn: system deletion, last_administrator',
  );
});

test('who is locked keeps the account; the operator sees it, keeps it, deletes it', async () => {
  const { storage, config, accountId } = provider;
  const { symbolon: command, said } = symbolon();
  await asked();
  const shown = JSON.parse(await said(`user show ${person.email} --json`)) as object;
  expect(shown).toHaveProperty('delete_at', (await account())?.deleteAt?.toISOString());
  expect(await said(`user keep ${person.email}`)).toContain('stays');
  expect((await command(`user keep ${person.email}`)).stderr).toContain('has not asked');
  await asked();
  await lockAccount({ storage, config, origin: commandLine }, accountId);
  expect((await told()).at(-1)).toMatch(/withdrawn: operator .*, locked$/);
  expect((await account())?.deleteAt).toBeNull();
  await due(); // as a process of a former build leaves it, which locks
  await deleteDue(storage);
  expect(await account()).not.toBeNull();
  await said(`user keep ${person.email}`);
  await said(`user unlock ${person.email}`);
  await asked();
  await said(`user delete ${person.email} --yes`);
  await deleteDue(storage);
  expect((await told()).filter((one) => one.startsWith('account.deleted'))).toHaveLength(1);
}, 60_000);

test('one that cannot be deleted stays whole, and keeps no other from it', async () => {
  const { storage } = provider;
  const { prisma } = storage;
  const one = { ...person, email: 'joan@example.com' };
  const joan = await addAccount(prisma, one, { admin: false });
  await signIn(await discover(provider.issuer), new Agent(provider.issuer));
  await due();
  await due(joan.id);
  await prisma.$executeRaw`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF OLD.email LIKE ''ada@%'' THEN RAISE ''no''; END IF; RETURN OLD; END'`;
  await prisma.$executeRaw`CREATE TRIGGER no BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION no()`;
  await expect(deleteDue(storage)).rejects.toThrow('no');
  expect(await account()).not.toBeNull();
  expect(await prisma.refreshFamily.count({ where: { endedAt: null } })).toBe(1);
  expect(await prisma.account.findUnique({ where: { id: joan.id } })).toBeNull();
  await prisma.$executeRaw`DROP TRIGGER no ON account`;
  const settings = { DATABASE_URL: provider.databaseUrl, SYMBOLON_SECRET: secret };
  const running = await startProcess({ ...settings, SYMBOLON_ISSUER: provider.issuer });
  await eventually(async () => (await account()) === null); // a running provider does it
  await running.end();
}, 60_000);

test('the setting: at once, with the address written once more, or not at all', async () => {
  const environment = { SYMBOLON_SMTP_URL: server.url, SYMBOLON_DELETION_DAYS: '0' };
  const now = await startProvider({ environment });
  const { agent, page } = await signedIn('/data', now);
  const wrong = await agent.submit(page, { email: 'a@example.com' }, /\/data\/delete$/);
  expect(wrong.status).toBe(422);
  const { storage } = now;
  const stale = { id: now.accountId, signedOutAt: new Date(0) }; // as another request has changed it meanwhile
  await expect(
    storage.prisma.$transaction((database) =>
      deleteAtOnce(database, { storage, origin: commandLine }, stale),
    ),
  ).rejects.toThrow(LostRace);
  const done = await agent.submit(wrong, { email: ' Ada@example.com' }, /\/data\/delete$/);
  expect(heading(done)).toBe('Your account is deleted');
  expect(await now.storage.prisma.account.count()).toBe(0);
  const event = await now.storage.prisma.auditEvent.findFirst({
    where: { type: 'account.deleted' },
  });
  expect(event).toMatchObject({ actorKind: 'person', actorId: now.accountId, ip: null });
  await now.mailer.send();
  expect(server.mails.at(-1)?.headers['subject']).toBe('Your account at Symbolon is deleted');
  await now.close();

  const off = await startProvider({ environment: { SYMBOLON_DELETION_DAYS: 'off' } });
  const here = await signedIn('/data', off);
  expect(here.page.html.querySelector('form[action$="/data/delete"]')).toBeNull();
  const csrf = here.page.html.querySelector('[name=csrf]')?.getAttribute('value') ?? '';
  expect((await here.agent.open(at('/data/delete', off), { csrf })).status).toBe(404);
  expect((await here.agent.open(at('', off))).html.text).not.toContain('Delete');
  await off.close();
});

test('all that is kept is downloaded, ten times an hour, and the audit has it', async () => {
  const { agent, page } = await signedIn();
  const file = await agent.submit(page, {}, /\/data\/download$/);
  expect(file.headers.get('content-disposition')).toBe('attachment; filename="account.json"');
  expect(file.headers.get('content-type')).toMatch(/^application\/json/);
  expect(file.headers.get('cache-control')).toBe('no-store');
  const all = JSON.parse(file.html.toString()) as object;
  expect(all).toMatchObject({ sub: provider.accountId, email: person.email, password: true });
  expect(all).toHaveProperty('sessions.0.from.userAgent', 'Test browser');
  expect(file.html.toString()).not.toMatch(/argon2|Hash|salt|sealed/);
  const event = { type: 'account.exported', accountId: provider.accountId, actorKind: 'person' };
  expect(await provider.storage.prisma.auditEvent.count({ where: event })).toBe(1);
  for (let count = 1; count < 10; count++) await agent.submit(page, {}, /\/data\/download$/);
  expect((await agent.submit(page, {}, /\/data\/download$/)).status).toBe(429);
  const { said } = symbolon();
  expect(JSON.parse(await said(`user export ${person.email}`))).toMatchObject({
    email: person.email,
  });
  const byOperator = { ...event, actorKind: 'operator' };
  expect(await provider.storage.prisma.auditEvent.count({ where: byOperator })).toBe(1);
}, 60_000);
