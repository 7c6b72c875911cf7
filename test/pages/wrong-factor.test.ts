// The right password with a wrong second factor: somebody may know the password, and its owner is told, once a day.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Secret, TOTP } from 'otpauth';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent, type Page } from '../support/agent.ts';
import { beginTotp, confirmTotp } from '../support/changes.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';

const passwordClient = {
  ...webClient,
  client_id: 'old',
  grant_types: ['password'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
};
let server: MailServer;
let provider: TestProvider;
let right: () => string;
beforeAll(async () => {
  server = await startMailServer();
  provider = await startProvider({
    environment: { SYMBOLON_SMTP_URL: server.url, SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [passwordClient],
  });
});
beforeEach(async () => {
  const { storage, config, accountId: id } = provider;
  await storage.prisma.totp.deleteMany();
  await storage.prisma.attempt.deleteMany();
  const { secret } = await beginTotp({ storage, config }, { id, email: person.email });
  const app = new TOTP({ secret: Secret.fromBase32(secret) });
  const timestamp = Date.now() - 30_000;
  await confirmTotp({ storage, origin: commandLine }, id, app.generate({ timestamp }));
  right = () => app.generate();
  await provider.mailer.send();
  server.mails.length = 0;
});
afterAll(async () => {
  await provider.close();
  await server.close();
});

const wrong = () => String((Number(right()) + 500_000) % 1_000_000).padStart(6, '0');
const { email, password } = person;
async function afterPassword(
  agent = new Agent(provider.issuer),
): Promise<{ agent: Agent; page: Page }> {
  const page = await agent.open(`${provider.issuer}/sign-in?to=/account`);
  return { agent, page: await agent.submit(page, { email, password }) };
}
const told = async () => {
  await provider.mailer.send();
  return server.mails.map(({ headers }) => headers['subject']);
};

test('the owner is told at the first wrong code from an unknown browser, and once a day', async () => {
  const { agent, page } = await afterPassword();
  const again = await agent.submit(page, { code: wrong() }, /factor/);
  expect(again.status).toBe(401);
  expect(await told()).toEqual(['Somebody knows your password']);
  const [mail] = server.mails;
  expect(mail?.to).toEqual([email]);
  expect(mail?.text).toContain('Browser: Test browser');
  expect(mail?.text).toContain('choose another password');
  await agent.submit(again, { code: wrong() }, /factor/);
  const other = await afterPassword();
  await other.agent.submit(other.page, { passkey: '{}' }, /factor/);
  expect(await told()).toHaveLength(1);
  // A day later: as if it had been told a day ago.
  await provider.storage.prisma.attempt.deleteMany({ where: { key: { startsWith: 'told:' } } });
  await other.agent.submit(other.page, { code: wrong() }, /factor/);
  expect(await told()).toHaveLength(2);
});

test('mistakes in a known browser are the owner’s, two of them', async () => {
  const { agent, page } = await afterPassword();
  expect((await agent.submit(page, { code: right() }, /factor/)).url.pathname).toBe('/account');
  await told();
  server.mails.length = 0;
  const later = new Agent(provider.issuer);
  for (const cookie of agent.cookies) if (cookie.name.includes('browser')) later.set(cookie);
  let step = (await afterPassword(later)).page;
  for (let time = 0; time < 2; time++) step = await later.submit(step, { code: wrong() }, /factor/);
  expect(await told()).toEqual([]);
  await later.submit(step, { code: wrong() }, /factor/);
  expect(await told()).toEqual(['Somebody knows your password']);
});

test('the right password at the password grant, which has no second factor', async () => {
  const form = { grant_type: 'password', username: email, password, scope: 'openid' };
  const { status } = await post(`${provider.issuer}/token`, form, passwordClient);
  expect(status).toBe(400);
  expect(await told()).toEqual(['Somebody knows your password']);
});

/** As if the time in which a second factor may follow had passed. */
const later = () => provider.storage.prisma.delivery.updateMany({ data: { nextAt: new Date(0) } });
const recorded = () =>
  provider.storage.prisma.auditEvent.count({ where: { type: 'password.verified' } });

test('the right password in an unknown browser, which stops there, is told once the time has passed', async () => {
  const before = await recorded();
  await afterPassword();
  expect(await recorded()).toBe(before + 1);
  expect(await told()).toEqual([]);
  const [row] = await provider.storage.prisma.delivery.findMany();
  expect((row?.nextAt.getTime() ?? 0) - Date.now()).toBeGreaterThan(600_000);
  await later();
  expect(await told()).toEqual(['Your password was entered, but no second factor']);
  expect(server.mails[0]?.text).toContain('stopped before the second factor');
  expect(server.mails[0]?.text).toContain('Browser: Test browser');
  // Once a day.
  await afterPassword();
  await later();
  expect(await told()).toHaveLength(1);
});

test('who goes on or begins again there is not told of; whoever stopped elsewhere is, and a day’s mail is left for it', async () => {
  await afterPassword(); // begun, and begun again
  const { agent, page } = await afterPassword();
  expect((await agent.submit(page, { code: right() }, /factor/)).url.pathname).toBe('/account');
  const elsewhere = new Agent(provider.issuer, undefined, { 'user-agent': 'Another' });
  await afterPassword(elsewhere);
  await told();
  server.mails.length = 0;
  await later();
  expect(await told()).toEqual(['Your password was entered, but no second factor']);
  // A browser that the account knows is its owner's.
  const before = await recorded();
  const known = new Agent(provider.issuer);
  for (const cookie of agent.cookies) if (cookie.name.includes('browser')) known.set(cookie);
  await afterPassword(known);
  expect(await recorded()).toBe(before);
});

test('the wrong password tells nobody that it is known', async () => {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(`${provider.issuer}/sign-in?to=/account`);
  await agent.submit(page, { email, password: 'wrong' });
  expect(await told()).toEqual([]);
});
