// Parameters as real applications send them: lists with spaces too many are read, numbers that are none are refused.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT, exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Party, answerOf } from '../conformance/party.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let provider: TestProvider;
let party: Party;
const add = async (id: string, metadata: object) => {
  const client = { ...webClient, ...metadata, client_id: id };
  await provider.addClient(client);
  return new Party(provider, client);
};
beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_REGISTRATION: 'open',
    },
    clients: [webClient, publicClient],
  });
  party = await add('everything', {
    grant_types: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      DEVICE,
      CIBA,
      'password',
    ],
    backchannel_token_delivery_mode: 'poll',
    jwks: { keys: [{ ...(await exportJWK(key.publicKey)), kid: 'x', use: 'sig', alg: 'ES256' }] },
  });
});
afterAll(() => provider.close());

const signed = (claims: Record<string, unknown>) => {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ client_id: 'everything', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'x' })
    .setIssuer('everything')
    .setAudience(provider.issuer)
    .setIssuedAt(now)
    .setNotBefore(now)
    .setExpirationTime(now + 60)
    .setJti(randomUUID())
    .sign(key.privateKey);
};
const redirect = { client_id: 'everything', redirect_uri: webClient.redirect_uris[0] };

describe.each([
  ['a space at the end', 'openid email '],
  ['two spaces between', 'openid  email'],
  ['a space in front', ' openid email'],
  ['a line break at the end', 'openid email\n'],
])('a scope with %s', (_, scope) => {
  test('in an authorization request, and in the request of its refresh', async () => {
    const offline = `${scope} offline_access`;
    const tokens = await party.elsewhere().tokens({ scope: offline });
    expect(tokens['scope']).toBe('openid email offline_access');
    const { status, body } = await party.token({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
      scope,
    });
    expect({ status, scope: body['scope'] }).toEqual({ status: 200, scope: 'openid email' });
  });

  test('pushed, and in a request object', async () => {
    for (const form of [
      { ...redirect, response_type: 'code', scope },
      {
        client_id: 'everything',
        request: await signed({ ...redirect, response_type: 'code', scope }),
      },
    ]) {
      const { status, body } = await party.post('/par', form);
      expect(status, JSON.stringify(body)).toBe(201);
      const pushed = { request_uri: String(body['request_uri']), state: undefined };
      const { code = '' } = await party.elsewhere().authorize(pushed);
      expect((await party.exchange(code)).body['scope']).toBe('openid email');
    }
    const request = await signed({ ...redirect, response_type: 'code', scope, max_age: 100 });
    const { code = '' } = await party.elsewhere().authorize({ request, state: undefined });
    expect((await party.exchange(code)).body['scope']).toBe('openid email');
  });

  test('at the device, CIBA and token endpoints', async () => {
    expect((await party.post('/device_authorization', { scope })).status).toBe(200);
    const asked = { scope, login_hint: person.email };
    expect((await party.post('/backchannel_authentication', asked)).status).toBe(200);
    const request = await signed(asked);
    const answer = await party.post('/backchannel_authentication', { request });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    await provider.storage.prisma.artifact.deleteMany({
      where: { model: 'BackchannelAuthenticationRequest' },
    });
    const { username, password } = { username: person.email, password: person.password };
    const granted = await party.token({ grant_type: 'password', username, password, scope });
    expect(granted.body['scope']).toBe('openid email');
    expect((await party.token({ grant_type: 'client_credentials', scope: ' ' })).status).toBe(200);
  });

  test('in the metadata of a client', async () => {
    const { status, body } = await answerOf(
      await fetch(`${provider.issuer}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: ['https://app.example/callback'], scope }),
      }),
    );
    expect({ status, scope: body['scope'] }).toEqual({ status: 201, scope: 'openid email' });
  });
});

test('other lists with spaces too many: prompt, response_type, acr_values, ui_locales', async () => {
  const response = await party.elsewhere().authorize({
    response_type: 'code ',
    prompt: 'login  consent ',
    acr_values: ' 1fa  2fa',
    ui_locales: 'de  en ',
  });
  expect(response).toHaveProperty('code');
});

describe.each(['1e3', '-0', ' 10', '10 ', '0x10', '+10', '1.0', '', 'Infinity', '-1', '1e1000'])(
  'the number "%s"',
  (number) => {
    const isNone = number === ''; // RFC 6749 §3.1: without a value it counts as not sent
    test('is no max_age', async () => {
      const one = party.elsewhere();
      const response = await one.authorize({ max_age: number });
      expect(response['error']).toBe(isNone ? undefined : 'invalid_request');
      const pushed = await party.post('/par', {
        ...{ ...redirect, response_type: 'code', scope: 'openid', max_age: number },
      });
      expect(pushed.status, JSON.stringify(pushed.body)).toBe(isNone ? 201 : 400);
      const request = await signed({
        ...{ ...redirect, response_type: 'code', scope: 'openid', max_age: number },
      });
      const object = await one.authorize({ request, state: undefined });
      expect(object['error']).toBe(isNone ? undefined : 'invalid_request');
    });

    test('is no requested_expiry', async () => {
      const form = { scope: 'openid', login_hint: person.email, requested_expiry: number };
      const { status } = await party.post('/backchannel_authentication', form);
      expect(status).toBe(isNone ? 200 : 400);
      await provider.storage.prisma.artifact.deleteMany({
        where: { model: 'BackchannelAuthenticationRequest' },
      });
    });
  },
);

test('a max_age of 0, 10 and 010 is one', async () => {
  for (const max_age of ['0', '10', '010']) {
    const { idToken } = await party.elsewhere().tokens({ max_age });
    expect(idToken.payload).toHaveProperty('auth_time');
  }
});

describe('RFC 6749 §5.2: a grant that the client may not use is unauthorized_client', () => {
  test.each([
    ['refresh_token', { refresh_token: 'x' }],
    ['client_credentials', {}],
    ['authorization_code', { code: 'x', redirect_uri: 'https://x.example' }],
    [DEVICE, { device_code: 'x' }],
    [CIBA, { auth_req_id: 'x' }],
    ['password', { username: 'x', password: 'x' }],
    ['urn:ietf:params:oauth:grant-type:token-exchange', {}],
  ])('%s', async (grant, form) => {
    const other = await add(`without-${grant}`, {
      grant_types: grant === 'authorization_code' ? [DEVICE] : ['authorization_code'],
      ...(grant === 'authorization_code' ? { response_types: [], redirect_uris: [] } : {}),
    });
    const { status, body } = await other.token({ grant_type: grant, ...form });
    expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'unauthorized_client' });
  });

  test('RFC 8628 §3.2, CIBA §13: also where a device or another person is asked', async () => {
    const other = new Party(provider, webClient);
    for (const path of ['/device_authorization', '/backchannel_authentication']) {
      const { status, body } = await other.post(path, { scope: 'openid', login_hint: 'x' });
      expect({ status, error: body['error'] }).toEqual({
        status: 400,
        error: 'unauthorized_client',
      });
    }
  });

  test('one that the server does not have is unsupported_grant_type', async () => {
    const { body } = await party.token({ grant_type: 'x' });
    expect(body['error']).toBe('unsupported_grant_type');
  });
});
