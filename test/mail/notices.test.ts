// What people are told by mail when something happens to their account: once, with when, where and with which browser.
import { type TOTP, URI } from 'otpauth';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent } from '../support/agent.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { discover, refresh, signIn } from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';
import {
  changePassword,
  signOutEverywhere,
  removePasskey,
  makeRecoveryCodes,
  beginTotp,
  confirmTotp,
  removeTotp,
} from '../support/changes.ts';

const CIBA = 'urn:openid:params:grant-type:ciba';
const strict = { ...webClient, refresh_token_retry_window: 0 };
const bank = {
  ...webClient,
  client_id: 'bank',
  client_name: 'Bank',
  grant_types: [CIBA],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
  backchannel_token_delivery_mode: 'poll',
};

let server: MailServer;
let provider: TestProvider;
beforeEach(async () => {
  server = await startMailServer();
  provider = await startProvider({
    environment: { SYMBOLON_SMTP_URL: server.url, SYMBOLON_ENABLE_CIBA: 'true' },
    clients: [strict, bank],
  });
});
afterEach(async () => {
  await provider.close();
  await server.close();
});

const subjects = async () => {
  await provider.mailer.send();
  return server.mails.map(({ headers }) => headers['subject']);
};

test('a sign-in from a browser that is new to the account, and from it only', async () => {
  const party = await discover(provider.issuer);
  const browser = new Agent(provider.issuer);
  await signIn(party, browser);
  await signIn(party, browser, { prompt: 'login' });
  expect(await subjects()).toEqual(['A new sign-in to your account']);
  expect(server.mails[0]?.text).toContain('Browser: Test browser');
  expect(server.mails[0]?.text).toMatch(/Address on the internet: (127\.0\.0\.1|::1)/);
  expect(server.mails[0]?.links.map(({ pathname }) => pathname)).toEqual(['/account']);
  // Another browser of the same person is another device.
  const other = new Agent(provider.issuer);
  await signIn(party, other);
  expect(await subjects()).toHaveLength(2);
});

test('a used-up token, once, however often it is presented', async () => {
  const party = await discover(provider.issuer);
  const { refresh_token: first = '' } = await signIn(party, new Agent(provider.issuer));
  await refresh(party, first);
  await provider.mailer.send();
  server.mails.length = 0;
  for (let time = 0; time < 3; time++)
    await expect(refresh(party, first)).rejects.toMatchObject({ error: 'invalid_grant' });
  expect(await subjects()).toEqual(['We signed a device out of Notes']);
  expect(server.mails[0]?.to).toEqual([person.email]);
});

test('what is rolled back is not told: the notice is in the transaction of what it tells of', async () => {
  const { storage, config } = provider;
  const parts = { storage, config, origin: commandLine };
  const failing = changePassword(parts, provider.accountId, 'another good password', () =>
    Promise.reject(new Error('the link was used')),
  );
  await expect(failing).rejects.toThrow('the link was used');
  expect(await storage.prisma.delivery.count()).toBe(0);
});

test('another password and a sign-out everywhere, in the person’s language', async () => {
  const { storage, config } = provider;
  const parts = { storage, config, origin: commandLine };
  const where = { id: provider.accountId };
  await storage.prisma.account.update({ where, data: { locale: 'fr' } });
  await changePassword(parts, provider.accountId, 'another good password');
  await signOutEverywhere(parts, provider.accountId, 'revoked_by_admin');
  expect((await subjects()).sort()).toEqual([
    'Votre mot de passe a été changé',
    'Vous avez été déconnecté partout',
  ]);
});

test('one-time codes that were switched on', async () => {
  const { storage, config } = provider;
  const userAgent = 'Mozilla/5.0 (Windows NT 10.0) Firefox/130.0';
  const origin = { ip: '203.0.113.7', userAgent };
  const account = await storage.prisma.account.findUniqueOrThrow({
    where: { id: provider.accountId },
  });
  const { uri } = await beginTotp({ storage, config }, account);
  const app = URI.parse(uri) as TOTP;
  await confirmTotp({ storage, origin }, account.id, app.generate());
  expect(await subjects()).toEqual(['One-time codes were switched on']);
  expect(server.mails[0]?.text).toContain('203.0.113.7');
  expect(server.mails[0]?.text).toContain('Firefox on Windows');
});

test('a second factor that is removed, and recovery codes that are made', async () => {
  const { storage, config, accountId: id } = provider;
  const origin = { ip: '203.0.113.7', userAgent: undefined };
  const account = await storage.prisma.account.findUniqueOrThrow({ where: { id } });
  const { uri } = await beginTotp({ storage, config }, account);
  const app = URI.parse(uri) as TOTP;
  await confirmTotp({ storage, origin }, id, app.generate());
  await storage.prisma.passkey.create({
    data: { id: 'one', accountId: id, publicKey: new Uint8Array(1), name: 'Laptop', synced: false },
  });
  await provider.mailer.send();
  server.mails.length = 0;
  expect(await removeTotp({ storage, origin }, id)).toBe(true);
  expect(await removePasskey({ storage, origin }, id, 'one')).toBe(true);
  await makeRecoveryCodes({ storage, origin }, id);
  // What was not there is not told of.
  expect(await removeTotp({ storage, origin }, id)).toBe(false);
  expect(await removePasskey({ storage, origin }, id, 'one')).toBe(false);
  expect((await subjects()).sort()).toEqual([
    'A passkey was removed from your account',
    'New recovery codes were made',
    'One-time codes were switched off',
  ]);
  for (const { text } of server.mails) expect(text).toContain('203.0.113.7');
  expect(server.mails.map(({ text }) => text).join()).toContain('“Laptop”');
});

test.each(['totp', 'passkey', 'recovery codes'])(
  'a change of %s that fails is not told of',
  async (what) => {
    const { storage, config, accountId: id } = provider;
    const also = () => Promise.reject(new Error('not now'));
    const account = await storage.prisma.account.findUniqueOrThrow({ where: { id } });
    await beginTotp({ storage, config }, account);
    await storage.prisma.passkey.create({
      data: {
        id: 'one',
        accountId: id,
        publicKey: new Uint8Array(1),
        name: 'Laptop',
        synced: false,
      },
    });
    const parts = { storage, origin: commandLine, also };
    const changes = {
      totp: () => removeTotp(parts, id),
      passkey: () => removePasskey(parts, id, 'one'),
      'recovery codes': () => makeRecoveryCodes(parts, id),
    } as Record<string, () => Promise<unknown>>;
    await expect(changes[what]?.()).rejects.toThrow('not now');
    expect(await storage.prisma.delivery.count()).toBe(0);
  },
);

test('an application that waits for an answer, with its words and a link to the page', async () => {
  const request = { scope: 'openid', login_hint: person.email, binding_message: 'W4 SCT' };
  const { status } = await post(`${provider.issuer}/backchannel_authentication`, request, bank);
  expect(status).toBe(200);
  expect(await subjects()).toEqual(['Bank asks whether it is you']);
  expect(server.mails[0]?.text).toContain('W4 SCT');
  expect(server.mails[0]?.links.map(({ pathname }) => pathname)).toEqual(['/approve']);
  const refused = { ...request, scope: 'openid', binding_message: '<b>' };
  await post(`${provider.issuer}/backchannel_authentication`, refused, bank);
  expect(await subjects()).toHaveLength(1);
});

test.each([
  'https://evil.example',
  'go to evil.example',
  'www.evil.example/x',
  'ftp://1.2.3.4',
  '//evil',
  '192.168.1.1/login',
  'tel:+15551234',
  'EVIL.Example',
  'пример.испытание',
])('the words of an application are refused where they look like a link: %s', async (words) => {
  const request = { scope: 'openid', login_hint: person.email, binding_message: words };
  const answer = await post(`${provider.issuer}/backchannel_authentication`, request, bank);
  expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_binding_message' } });
  expect(await subjects()).toEqual([]);
});

test.each(['TIGER-42', 'Pay 12.50 EUR', 'No. 5, 7 of 9', '31/12 at 10:30', 'Ref:1234'])(
  'other words are shown: %s',
  async (words) => {
    const request = { scope: 'openid', login_hint: person.email, binding_message: words };
    const { status } = await post(`${provider.issuer}/backchannel_authentication`, request, bank);
    expect(status).toBe(200);
    await subjects();
    expect(server.mails[0]?.text).toContain(words);
  },
);

test('what others have named is no link in a mail: an application, a browser', async () => {
  const link = 'https://evil.example/login';
  await provider.addClient({ ...bank, client_id: 'evil', client_name: `Win at ${link}` });
  const request = { scope: 'openid', login_hint: person.email };
  await post(`${provider.issuer}/backchannel_authentication`, request, {
    ...bank,
    client_id: 'evil',
  });
  const agent = new Agent(provider.issuer, undefined, {
    'user-agent': `www.evil.example`,
  });
  const page = await agent.open(`${provider.issuer}/approve`);
  await agent.submit(page, { email: person.email, password: person.password });
  expect(await subjects()).toHaveLength(2);
  expect(server.mails.map(({ text }) => text.replaceAll('\u200b', '')).join()).toContain(link);
  for (const { text, html, headers } of server.mails) {
    for (const part of [text, html, headers['subject']])
      expect(part).not.toMatch(/evil\.example|:\/\/evil/);
  }
});

test('applications fill nobody’s mailbox: what is asked waits without a mail, and a reset is still sent', async () => {
  const { issuer } = provider;
  const clients = [bank, { ...bank, client_id: 'other' }];
  await provider.addClient({ ...bank, client_id: 'other', client_name: 'Other' });
  for (const client of [...clients, ...clients]) {
    const request = { scope: 'openid', login_hint: person.email };
    const { status } = await post(`${issuer}/backchannel_authentication`, request, client);
    expect(status).toBe(200);
  }
  expect(await subjects()).toHaveLength(3);
  const agent = new Agent(issuer);
  const page = await agent.open(`${issuer}/approve`);
  const list = await agent.submit(page, { email: person.email, password: person.password });
  expect(list.html.querySelectorAll('.request')).toHaveLength(4);
  await agent.submit(await agent.open(`${issuer}/forgot`), { email: person.email });
  expect(await subjects()).toContain('Choose a new password');
});
