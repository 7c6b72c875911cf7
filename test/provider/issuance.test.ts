// Which grants give a refresh token: a test for every row of the table in docs/refresh-tokens.md.
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { parse } from 'node-html-parser';
import { SignJWT, exportJWK } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent, signInForm } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { authorizationRequest, discover, refresh, signIn } from '../support/relying-party.ts';
import { tls } from '../support/tls.ts';
import { post, refreshAt } from '../support/token-endpoint.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
// The engine lets applications that get tokens in the front channel register nothing but https.
const redirect = 'https://app.example/callback';
const frontChannel = { redirect_uris: [redirect], post_logout_redirect_uris: [] };
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

let provider: TestProvider;
const add = async (id: string, metadata: object) => {
  const added = { ...webClient, ...metadata, client_id: id };
  await provider.addClient(added);
  return added;
};
const ask = (id: string, form: Record<string, string>) =>
  post(`${provider.issuer}/token`, form, { client_id: id, client_secret: webClient.client_secret });

beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true',
    },
  });
});
afterAll(() => provider.close());

test('authorization code: with offline_access, and only then', async () => {
  const party = await discover(provider.issuer);
  expect(await signIn(party, new Agent(provider.issuer))).toHaveProperty('refresh_token');
  const without = await signIn(party, new Agent(provider.issuer), { scope: 'openid profile' });
  expect(without).not.toHaveProperty('refresh_token');
});

test('a client without the grant refresh_token gets none', async () => {
  const metadata = await add('no-refresh', { grant_types: ['authorization_code'] });
  const tokens = await signIn(
    await discover(provider.issuer, metadata),
    new Agent(provider.issuer),
  );
  expect(tokens).not.toHaveProperty('refresh_token');
});

describe('front-channel response types', () => {
  const types = [
    'code id_token',
    'code token',
    'code id_token token',
    'id_token',
    'id_token token',
  ];

  test.each(['code id_token', 'code token', 'code id_token token'])(
    'hybrid, %s: from the code, not in front',
    async (type) => {
      const metadata = await add(`hybrid ${type}`, {
        ...frontChannel,
        response_types: [type],
        grant_types: ['authorization_code', 'implicit', 'refresh_token'],
      });
      const party = await discover(provider.issuer, metadata);
      const request = await authorizationRequest(party, { response_type: type });
      const callback = await new Agent(provider.issuer).authorize(request.url);
      const front = new URLSearchParams(callback.hash.slice(1));
      expect(front.has('refresh_token')).toBe(false);
      expect(front.has('id_token')).toBe(type.includes('id_token'));
      expect(front.has('access_token')).toBe(type.split(' ').includes('token'));
      const answer = await ask(encodeURIComponent(`hybrid ${type}`), {
        grant_type: 'authorization_code',
        code: front.get('code') ?? '',
        redirect_uri: redirect,
        code_verifier: request.verifier,
      });
      expect(answer.status).toBe(200);
      const [id, secret] = [`hybrid ${type}`, webClient.client_secret];
      const next = await refreshAt(provider.issuer, answer.body.refresh_token ?? '', {
        client_id: encodeURIComponent(id),
        client_secret: secret,
      });
      expect(next.body.refresh_token).toBeDefined();
    },
  );

  test.each(['id_token', 'id_token token'])('implicit, %s: never', async (type) => {
    const metadata = await add(`implicit ${type}`, {
      ...frontChannel,
      response_types: [type],
      grant_types: ['implicit'],
    });
    const party = await discover(provider.issuer, metadata);
    const request = await authorizationRequest(party, { response_type: type, prompt: 'consent' });
    const callback = await new Agent(provider.issuer).authorize(request.url);
    const front = new URLSearchParams(callback.hash.slice(1));
    expect(front.get('error')).toBeNull();
    expect(front.has('id_token')).toBe(true);
    expect(front.has('refresh_token')).toBe(false);
    expect(front.has('code')).toBe(false);
    expect(front.get('scope') ?? '').not.toContain('offline_access');
  });

  test('none of them without being registered', async () => {
    const party = await discover(provider.issuer);
    for (const type of types) {
      const { url } = await authorizationRequest(party, { response_type: type });
      const { away } = await new Agent(provider.issuer).open(url);
      expect(new URLSearchParams(away?.hash.slice(1)).get('error')).toBe('invalid_request');
    }
  });
});

test('device code: yes', async () => {
  const metadata = await add('tv', {
    grant_types: [DEVICE, 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  });
  const { configuration } = await discover(provider.issuer, { ...metadata, redirect_uris: [] });
  const device = await client.initiateDeviceAuthorization(configuration, {
    scope: 'openid offline_access',
  });
  const agent = new Agent(provider.issuer);
  let page = await agent.open(device.verification_uri_complete ?? '');
  page = await agent.submit(page, { user_code: device.user_code });
  page = await agent.submit(page, {});
  page = await agent.submit(page, { email: person.email, password: person.password }, signInForm);
  await agent.submit(page, {}, /consent$/);
  const answer = await ask('tv', { grant_type: DEVICE, device_code: device.device_code });
  expect(answer.body).toHaveProperty('refresh_token');
});

describe('CIBA', () => {
  const start = (id: string, form: Record<string, string> = {}) =>
    post(
      `${provider.issuer}/backchannel_authentication`,
      { scope: 'openid offline_access', login_hint: person.email, ...form },
      { client_id: id, client_secret: webClient.client_secret },
    ) as Promise<{ status: number; body: { auth_req_id?: string; error?: string } }>;
  const ciba = (id: string, metadata: object = {}) =>
    add(id, {
      grant_types: [CIBA, 'refresh_token'],
      response_types: [],
      redirect_uris: [],
      backchannel_token_delivery_mode: 'poll',
      ...metadata,
    });
  const signedIn = async () => {
    const agent = new Agent(provider.issuer);
    const page = await agent.open(`${provider.issuer}/approve`);
    const wrong = await agent.submit(page, { email: person.email, password: 'wrong' }, signInForm);
    expect(wrong.status).toBe(401);
    const list = await agent.submit(wrong, { email: person.email, password: person.password });
    expect(list.url.pathname).toBe('/approve');
    return { agent, list };
  };

  test('poll: yes, once the person has allowed it', async () => {
    await ciba('teller');
    const { body } = await start('teller', { binding_message: 'Window 4' });
    const poll = () => ask('teller', { grant_type: CIBA, auth_req_id: body.auth_req_id ?? '' });
    expect((await poll()).body.error).toBe('authorization_pending');
    const { agent, list } = await signedIn();
    expect(list.html.querySelector('output')?.text).toBe('Window 4');
    expect(list.html.text).toContain('stays connected');
    expect(list.html.toString()).not.toContain(body.auth_req_id);
    const done = await agent.submit(list, { answer: 'allow' }, /approve\/.+/);
    expect(done.html.querySelector('h1')?.text).toBe('Done');
    const answer = await poll();
    expect(answer.status).toBe(200);
    const next = await refreshAt(provider.issuer, answer.body.refresh_token ?? '', {
      client_id: 'teller',
      client_secret: webClient.client_secret,
    });
    expect(next.status).toBe(200);
    expect((await poll()).body.error).toBe('invalid_grant'); // used up: what came from it has ended
    const again = await refreshAt(provider.issuer, next.body.refresh_token ?? '', {
      client_id: 'teller',
      client_secret: webClient.client_secret,
    });
    expect(again.body.error).toBe('invalid_grant');
  });

  test('denied: nothing; and nobody else can answer', async () => {
    await ciba('asker');
    const { body } = await start('asker');
    const { agent, list } = await signedIn();
    const action = list.html.querySelector('.request form')?.getAttribute('action') ?? '';
    const forged = await agent.open(new URL(action, list.url), { answer: 'allow', csrf: 'x' });
    expect(forged.status).toBe(400);
    const stranger = await new Agent(provider.issuer).open(new URL(action, list.url), {
      answer: 'allow',
      csrf:
        parse(list.html.toString()).querySelector('.request input')?.getAttribute('value') ?? '',
    });
    expect(stranger.html.querySelector('input[name=password]')).not.toBeNull();
    await agent.submit(list, { answer: 'deny' }, /approve\/.+/);
    const answer = await ask('asker', { grant_type: CIBA, auth_req_id: body.auth_req_id ?? '' });
    expect(answer.body.error).toBe('access_denied');
    expect(
      (await agent.open(`${provider.issuer}/approve`)).html.querySelectorAll('.request'),
    ).toHaveLength(0);
  });

  test('ping: the application is told once the answer can be fetched, again if it was down', async () => {
    const pings: { authorization: string | undefined; body: string }[] = [];
    let down = true;
    const told = new Promise<void>((resolve) => {
      server.on('request', (request: IncomingMessage, response) => {
        let body = '';
        request.on('data', (chunk) => (body += String(chunk)));
        request.on('end', () => {
          response.statusCode = down ? 500 : 204;
          response.end();
          if (!down) {
            pings.push({ authorization: request.headers.authorization, body });
            resolve();
          }
          down = false;
        });
      });
    });
    await ciba('pinged', {
      backchannel_token_delivery_mode: 'ping',
      backchannel_client_notification_endpoint: `${endpoint}/ping`,
    });
    const { body } = await start('pinged', { client_notification_token: 'for-the-client' });
    const { agent, list } = await signedIn();
    const stop = provider.outgoing.start();
    await agent.submit(list, { answer: 'allow' }, /approve\/.+/);
    await told;
    await stop.stop();
    expect(pings).toEqual([
      {
        authorization: 'Bearer for-the-client',
        body: JSON.stringify({ auth_req_id: body.auth_req_id }),
      },
    ]);
    expect(
      (await ask('pinged', { grant_type: CIBA, auth_req_id: body.auth_req_id ?? '' })).body,
    ).toHaveProperty('refresh_token');
    expect(await provider.storage.prisma.delivery.count({ where: { channel: 'http' } })).toBe(0);
  });

  test.each([
    ['five minutes', 300, 200],
    ['an hour', 3600, 200],
    ['longer than an hour', 3602, 400],
  ])('a signed request may be valid for an hour at most: %s', async (_, life, status) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const id = `signer-${life}`;
    await ciba(id, {
      backchannel_authentication_request_signing_alg: 'ES256',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'x', use: 'sig', alg: 'ES256' }] },
    });
    const now = Math.floor(Date.now() / 1000);
    const request = await new SignJWT({ scope: 'openid', login_hint: person.email })
      .setProtectedHeader({ alg: 'ES256', kid: 'x' })
      .setIssuer(id)
      .setAudience(provider.issuer)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + life)
      .setJti(randomUUID())
      .sign(privateKey);
    const answer = await post(
      `${provider.issuer}/backchannel_authentication`,
      { request },
      { client_id: id, client_secret: webClient.client_secret },
    );
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
    await provider.storage.prisma.artifact.deleteMany({
      where: { model: 'BackchannelAuthenticationRequest' },
    });
  });

  test('somebody unknown, too long a message, and a server that does not enable it', async () => {
    await ciba('curious');
    expect((await start('curious', { login_hint: 'nobody@example.com' })).body.error).toBe(
      'unknown_user_id',
    );
    for (const binding_message of [
      'x'.repeat(41),
      'Call +1 800 555 0199',
      'Call 1,800,555,0199',
      'Call ٠١٢٣٤٥٦٧',
      'evil_.com',
      'evil.c0m/x',
    ]) {
      const { body } = await start('curious', { binding_message });
      expect({ binding_message, error: body.error }).toEqual({
        binding_message,
        error: 'invalid_binding_message',
      });
    }
    for (const binding_message of ['EUR 1.234,50', 'Window 4.', 'W4-SCT 12.5'])
      expect((await start('curious', { binding_message })).body.error).toBeUndefined();
    const off = await startProvider();
    expect((await fetch(`${off.issuer}/approve`)).status).toBe(404);
    const discovery = (await (
      await fetch(`${off.issuer}/.well-known/openid-configuration`)
    ).json()) as object;
    expect(discovery).not.toHaveProperty('backchannel_authentication_endpoint');
    await off.close();
  });

  const server = createServer({ key: tls.serverKey, cert: tls.serverCertificate });
  let endpoint = '';
  beforeAll(async () => {
    setDefaultCACertificates([...getCACertificates('default'), tls.ca]);
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    endpoint = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
});

test('client credentials: never', async () => {
  await add('job', {
    grant_types: ['client_credentials', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  });
  const { status, body } = await ask('job', { grant_type: 'client_credentials' });
  expect(status).toBe(200);
  expect(body).not.toHaveProperty('refresh_token');
});

test.each(['openid offline_access', 'openid'])(
  'JWT bearer and password, scope "%s": only with offline_access',
  async (scope) => {
    const id = `direct ${scope}`;
    await add(id, {
      jwks: { keys: [await exportJWK(rsa.publicKey)] },
      grant_types: ['authorization_code', 'refresh_token', JWT_BEARER, 'password'],
    });
    const assertion = await new SignJWT({ sub: person.email, jti: randomUUID() })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(id)
      .setAudience(provider.issuer)
      .setExpirationTime('2 minutes')
      .sign(rsa.privateKey);
    const { email: username, password } = person;
    const forms: Record<string, string>[] = [
      { grant_type: JWT_BEARER, assertion, scope },
      { grant_type: 'password', username, password, scope },
    ];
    for (const form of forms) {
      const { status, body } = await ask(encodeURIComponent(id), form);
      expect(status).toBe(200);
      expect('refresh_token' in body).toBe(scope.includes('offline_access'));
    }
  },
);

test('a public client gets one too, with PKCE', async () => {
  const party = await discover(provider.issuer, publicClient);
  const tokens = await signIn(party, new Agent(provider.issuer));
  expect(await refresh(party, tokens.refresh_token ?? '')).toHaveProperty('refresh_token');
});
