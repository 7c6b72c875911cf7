// Every page and mail that names an application that nobody here vouches for: it says so and where it leads, and lends
// it nobody else's name (RFC 7591 §5, OWASP ASVS 5 V10.4.7).
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Party, pkce } from '../conformance/party.ts';
import { Agent, type Page, signInForm } from '../support/agent.ts';
import { type MailServer, startMailServer } from '../support/mail.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { discover, refresh, signIn } from '../support/relying-party.ts';
import { tls } from '../support/tls.ts';
import { post } from '../support/token-endpoint.ts';

const CIBA = 'urn:openid:params:grant-type:ciba';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const warning = 'This application registered itself. Nobody here has checked who runs it.';

// It is in the database as one that registered itself before there was any rule.
const google = {
  ...webClient,
  client_id: 'google',
  client_id_issued_at: 1,
  client_name: ' Goo\u202e\u200bgle\n',
  client_uri: 'https://accounts.google.com',
  logo_uri: 'https://accounts.google.com/logo.png',
  policy_uri: 'https://accounts.google.com/privacy',
  tos_uri: 'https://evil.example/terms',
  redirect_uris: ['https://evil.example/callback'],
  post_logout_redirect_uris: ['https://evil.example/bye'],
  grant_types: ['authorization_code', 'refresh_token', DEVICE, CIBA],
  backchannel_token_delivery_mode: 'poll',
  refresh_token_retry_window: 0,
};

let mails: MailServer;
let files: Server;
let origin: string;
const served = new Map<string, unknown>();
let provider: TestProvider;
beforeAll(async () => {
  setDefaultCACertificates([...getCACertificates('default'), tls.ca]);
  files = createServer({ key: tls.serverKey, cert: tls.serverCertificate }, (request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(served.get(request.url ?? '')));
  });
  await new Promise<void>((resolve) => files.listen(0, 'localhost', resolve));
  origin = `https://localhost:${(files.address() as AddressInfo).port}`;
  mails = await startMailServer();
  provider = await startProvider({
    environment: {
      SYMBOLON_SMTP_URL: mails.url,
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS: 'true',
      SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true',
    },
    clients: [google, webClient],
  });
});
beforeEach(() => {
  mails.mails.length = 0;
});
afterAll(async () => {
  await provider.close();
  await mails.close();
  files.closeAllConnections();
  files.close();
});

const credentials = { email: person.email, password: person.password };
const told = (page: Page) => page.html.querySelector('.stranger')?.text ?? '';

/** It is named, and nothing of it is borrowed. */
function warns(page: Page, place = 'It sends you to evil.example.') {
  expect(told(page), page.html.text).toContain(warning);
  expect(told(page)).toContain(place);
  expect(page.html.text).toContain('Google');
  const source = page.html.toString();
  expect(source).not.toMatch(/[\u202a-\u202e\u200b]/);
  // Its host may be told as what it says itself.
  expect(source).not.toContain('accounts.google.com');
}

/** Nothing shows where it leads: only its own word is told, as that. */
function warnsByItsWord(page: Page) {
  warns(page, 'It says that it redirects to evil.example.');
  expect(told(page)).not.toContain('sends you');
}

describe('an authorization request', () => {
  test('signing in, consent, choosing an account', async () => {
    const party = new Party(provider, google);
    const request = party.request({ scope: 'openid email offline_access' });
    const page = await party.agent.open(request);
    warns(page);
    expect(page.html.querySelector('a[href="https://evil.example/terms"]')).not.toBeNull();
    const consent = await party.agent.submit(page, credentials, signInForm);
    expect(consent.html.querySelector('h1')?.text).toBe('Google asks for your permission');
    warns(consent);
    expect((await party.agent.submit(consent, {}, /consent$/)).away?.host).toBe('evil.example');
    const choice = await party.agent.open(party.request({ prompt: 'select_account' }));
    warns(choice);
    const factor = await party.agent.open(party.request({ acr_values: '2fa', prompt: 'login' }));
    warns(factor);
  });

  test('of several places, it is the one to which the person is sent', async () => {
    const several = { ...google, client_id: 'several', tos_uri: 'https://www.bank.example/' };
    const redirect_uris = ['https://www.bank.example/', ...google.redirect_uris];
    await provider.addClient({ ...several, redirect_uris });
    const party = new Party(provider, { ...several, redirect_uris: google.redirect_uris });
    const page = await party.agent.open(party.request());
    warns(page);
    expect(page.html.toString()).not.toContain('bank.example');
  });

  test('an application and a program of the person’s own device', async () => {
    for (const [uri, place] of [
      ['com.example.app://accounts.google.com/callback', 'It sends you to com.example.app://.'],
      ['http://127.0.0.1:4000/callback', 'It sends you to 127.0.0.1.'],
    ] as const) {
      const client = { ...google, client_id: place, redirect_uris: [uri] };
      await provider.addClient({ ...client, application_type: 'native' });
      warns(await new Agent(provider.issuer).open(new Party(provider, client).request()), place);
    }
  });

  test('a client that an operator added or has looked at is not suspected', async () => {
    const known = { ...google, client_id: 'known', vouched_for: true };
    await provider.addClient(known);
    for (const client of [webClient, known]) {
      const page = await new Agent(provider.issuer).open(new Party(provider, client).request());
      expect(page.html.querySelector('.stranger')).toBeNull();
    }
  });
});

describe('a client id metadata document', () => {
  const serve = (path: string, more: object) => {
    const client = {
      client_id: `${origin}${path}`,
      client_name: 'Google',
      redirect_uris: google.redirect_uris,
      token_endpoint_auth_method: 'none',
      ...more,
    };
    served.set(path, client);
    const { code_challenge } = pkce();
    return new Party(provider, client, { code_challenge, code_challenge_method: 'S256' });
  };

  test('its host is told, and its pages may be there', async () => {
    const party = serve('/own', { tos_uri: `${origin}/terms` });
    const page = await party.agent.open(party.request());
    warns(page);
    expect(told(page)).toContain(`It describes itself at ${new URL(origin).host}.`);
    expect(page.html.querySelector(`a[href="${origin}/terms"]`)).not.toBeNull();
  });

  test.each([
    { client_uri: 'https://accounts.google.com/' },
    { logo_uri: 'https://accounts.google.com/logo.png' },
    { client_name: '\u202e \u200b' },
    { client_name: 'x'.repeat(101) },
    { vouched_for: true },
  ])('with %j it is no client', async (more) => {
    const party = serve(`/${Object.keys(more).join()}${JSON.stringify(more).length}`, more);
    const page = await party.refused(party.request());
    expect(page.html.toString()).not.toContain('accounts.google.com/');
  });

  test('a refusal sends nobody to it', async () => {
    const party = serve('/refused', {});
    warns(await party.refused(party.request({ prompt: 'none' })));
  });
});

test('the device flow, where nothing proves any host to be its own', async () => {
  const { body } = await post(
    `${provider.issuer}/device_authorization`,
    { scope: 'openid' },
    google,
  );
  const { verification_uri: uri, user_code = '' } = body as unknown as Record<string, string>;
  const agent = new Agent(provider.issuer);
  const typed = await agent.open(uri ?? '');
  const confirm = await agent.submit(typed, { user_code }, /device/);
  warnsByItsWord(confirm);
  let page = await agent.submit(confirm, {}, /device/);
  warnsByItsWord(page);
  page = await agent.submit(page, credentials, signInForm);
  if (page.html.querySelector('form[action$="/consent"]')) {
    warnsByItsWord(page);
    page = await agent.submit(page, {}, /consent$/);
  }
  expect(page.html.text).toContain('Your device is connected');
  warnsByItsWord(page);
});

test('CIBA: the mail, the page and its answer', async () => {
  await provider.mailer.send();
  mails.mails.length = 0; // of other tests
  const { status } = await post(
    `${provider.issuer}/backchannel_authentication`,
    { scope: 'openid', login_hint: person.email },
    google,
  );
  expect(status).toBe(200);
  await provider.mailer.send();
  const [mail] = mails.mails;
  expect(mail?.headers['subject']?.replaceAll('\u200b', '')).toBe(
    'Google (registered itself) asks whether it is you',
  );
  expect(mail?.text).toContain(warning);
  const agent = new Agent(provider.issuer);
  const list = await agent.submit(await agent.open(`${provider.issuer}/approve`), credentials);
  warnsByItsWord(list);
  warnsByItsWord(await agent.submit(list, { answer: 'allow' }, /approve\/.+/));
});

test('in the history, who needs no redirect has no host', async () => {
  const agent = new Agent(provider.issuer);
  await signIn(await discover(provider.issuer, google), agent);
  const { html } = await agent.open(`${provider.issuer}/account/history`);
  expect(html.text).toContain('Google (registered itself)');
});

test('the account’s pages, signing out, and the mail about a used-up token', async () => {
  const client = {
    ...google,
    client_id: 'google-by-redirect',
    grant_types: ['authorization_code', 'refresh_token'],
    backchannel_token_delivery_mode: undefined,
  };
  await provider.addClient(client);
  const agent = new Agent(provider.issuer);
  const party = await discover(provider.issuer, client);
  const { refresh_token: first = '' } = await signIn(party, agent);
  const inWords = 'Google (evil.example, registered itself)';
  const at = (path: string) => agent.open(`${provider.issuer}/account${path}`);
  warns(await at('/applications'), 'It says that it redirects to evil.example.');
  expect((await at('/history')).html.text).toContain(inWords);

  await refresh(party, first);
  await provider.mailer.send();
  mails.mails.length = 0;
  await expect(refresh(party, first)).rejects.toMatchObject({ error: 'invalid_grant' });
  await provider.mailer.send();
  expect(mails.mails[0]?.headers['subject']?.replaceAll('\u200b', '')).toBe(
    `We signed a device out of ${inWords}`,
  );
  expect(mails.mails[0]?.text.replaceAll('\u200b', '')).toContain(warning);
  expect((await at('/applications')).html.text).toContain(inWords); // what has ended

  await signIn(party, agent);
  const removed = await agent.submit(await at('/applications'), {}, /remove$/);
  expect(removed.html.text).toContain(`${inWords} has no access`);

  const url = new URL(`${provider.issuer}/logout`);
  url.searchParams.set('client_id', client.client_id);
  url.searchParams.set('post_logout_redirect_uri', 'https://evil.example/bye');
  warns(await agent.open(url));
  url.searchParams.delete('post_logout_redirect_uri');
  const asked = await agent.open(url);
  warns(asked, 'It says that it redirects to evil.example.');
  warns(await agent.submit(asked, {}, /confirm/), 'It says that it redirects to evil.example.');
});
