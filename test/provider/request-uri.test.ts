// Request objects by reference (RFC 9101 §5.2, OIDC Core §6.2): from registered URLs only, within limits, and judged as
// if they had come by value.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, UnsecuredJWT, exportJWK } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Json, Party, answerOf } from '../conformance/party.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let provider: TestProvider;
let files: Server;
let origin: string;
let asked: string[];
let answer: (response: ServerResponse) => void;
let party: Party;

beforeAll(async () => {
  files = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(response);
  });
  await new Promise<void>((resolve) => files.listen(0, 'localhost', resolve));
  origin = `http://localhost:${(files.address() as AddressInfo).port}`;
  provider = await startProvider({
    environment: { SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true', SYMBOLON_REGISTRATION: 'open' },
    clients: [],
  });
  const registered = {
    ...webClient,
    request_uris: [`${origin}/request.jwt`, `${origin}/fixed.jwt#${sha256('fixed')}`],
    jwks: { keys: [{ ...(await exportJWK(key.publicKey)), kid: 'x', use: 'sig', alg: 'ES256' }] },
  };
  await provider.addClient(registered);
  await provider.addClient({
    ...registered,
    client_id: 'pushes',
    require_pushed_authorization_requests: true,
  });
  party = new Party(provider, registered, { state: undefined, nonce: undefined });
});
afterAll(async () => {
  files.closeAllConnections();
  files.close();
  await provider.close();
});
beforeEach(() => {
  asked = [];
});

const sha256 = (content: string) => createHash('sha256').update(content).digest('base64url');
const claims = () => ({
  client_id: webClient.client_id,
  response_type: 'code',
  redirect_uri: webClient.redirect_uris[0],
  scope: 'openid email',
  state: 'from the object',
});
const signed = (more: Json = {}, signer = key.privateKey) =>
  new SignJWT({ ...claims(), ...more })
    .setProtectedHeader({ alg: 'ES256', kid: 'x', typ: 'oauth-authz-req+jwt' })
    .setIssuer(webClient.client_id)
    .setAudience(provider.issuer)
    .setIssuedAt()
    .setExpirationTime('1 minute')
    .sign(signer);
const serve = (body: string | Buffer, type = 'application/oauth-authz-req+jwt', status = 200) => {
  answer = (response) => {
    response.statusCode = status;
    if (type !== '') response.setHeader('content-type', type);
    response.end(body);
  };
};
const authorize = (uri = `${origin}/request.jwt`, more: Json = {}) =>
  party.elsewhere().authorize({ request_uri: uri, ...more });
const refusedAs = async (uri?: string, more?: Json) => (await authorize(uri, more))['error'];

test.each([
  'application/oauth-authz-req+jwt',
  'application/jwt; charset=utf-8',
  'text/plain',
  'application/octet-stream',
  '',
])('a registered one is fetched and taken, as "%s"', async (type) => {
  serve(`${await signed()}\n`, type);
  const response = await authorize();
  expect(response['state']).toBe('from the object');
  const { status, body } = await party.exchange(response['code'] ?? '');
  expect({ status, scope: body['scope'] }).toEqual({ status: 200, scope: 'openid email' });
  expect(asked).toEqual(['/request.jwt']);
});

describe('a fragment is the SHA-256 of what is there', () => {
  test('the right one, in the request or as registered', async () => {
    const object = await signed();
    serve(object);
    expect(await authorize(`${origin}/request.jwt#${sha256(object)}`)).toHaveProperty('code');
    serve('fixed');
    // It is read, and is no request object.
    expect(await refusedAs(`${origin}/fixed.jwt#${sha256('fixed')}`)).toBe(
      'invalid_request_object',
    );
    expect(await refusedAs(`${origin}/fixed.jwt`)).toBe('invalid_request_object');
    expect(asked).not.toContain('#');
  });

  test('another is refused', async () => {
    serve(await signed());
    expect(await refusedAs(`${origin}/request.jwt#${sha256('other')}`)).toBe('invalid_request_uri');
    expect(await refusedAs(`${origin}/fixed.jwt`)).toBe('invalid_request_uri');
    asked = [];
    expect(await refusedAs(`${origin}/fixed.jwt#${sha256('other')}`)).toBe('invalid_request_uri');
    expect(asked).toEqual([]);
  });
});

test('one that is not registered is not fetched', async () => {
  serve(await signed());
  for (const uri of [`${origin}/other.jwt`, `${origin}/request.jwt?x`, 'x', 'data:text/plain,x'])
    expect(await refusedAs(uri), uri).toBe('invalid_request_uri');
  expect(asked).toEqual([]);
});

test('nor for a client that must push its requests, or one that nobody knows', async () => {
  serve(await signed());
  expect(await refusedAs(undefined, { client_id: 'pushes' })).toBe('request_uri_not_supported');
  await party.refused(party.request({ client_id: 'nobody', request_uri: `${origin}/request.jwt` }));
  expect(asked).toEqual([]);
});

test('neither beside an object by value, nor pushed', async () => {
  serve(await signed());
  expect(await refusedAs(undefined, { request: await signed() })).toBe('invalid_request');
  const { status } = await party.post('/par', {
    client_id: webClient.client_id,
    request_uri: `${origin}/request.jwt`,
  });
  expect(status).toBe(400);
  expect(asked).toEqual([]);
});

describe('what is there is refused', () => {
  test.each([
    [
      'a page',
      () => {
        serve('<html>', 'text/html');
      },
    ],
    [
      'JSON',
      () => {
        serve('{}', 'application/json');
      },
    ],
    [
      'a refusal',
      () => {
        serve('x', 'text/plain', 404);
      },
    ],
    [
      'too much',
      () => {
        serve(Buffer.alloc(65_537, 'x'));
      },
    ],
    [
      'a redirect',
      () => {
        answer = (response) =>
          response.writeHead(302, { location: `${origin}/elsewhere.jwt` }).end();
      },
    ],
    [
      'a connection that breaks',
      () => {
        answer = (response) => response.destroy();
      },
    ],
    [
      'an answer that never ends',
      () => {
        answer = (response) => response.writeHead(200).write('x');
      },
    ],
  ])(
    '%s',
    async (_, prepare) => {
      prepare();
      const response = await authorize(undefined, { state: 'mine' });
      expect(response).toMatchObject({ error: 'invalid_request_uri', state: 'mine' });
      // Nobody can look around with it.
      expect(response['error_description']).toBe('no request object could be read at request_uri');
      expect(asked).toEqual(['/request.jwt']);
    },
    20_000,
  );

  test('an object that is not signed, or by somebody else, or for another client', async () => {
    const unsigned = new UnsecuredJWT(claims()).setIssuer(webClient.client_id);
    serve(unsigned.setAudience(provider.issuer).setExpirationTime('1 minute').encode());
    expect(await refusedAs()).toBe('invalid_request_object');
    serve(await signed({}, other.privateKey));
    expect(await refusedAs()).toBe('invalid_request_object');
    serve(await signed({ client_id: 'pushes' }));
    expect(await refusedAs()).toBe('invalid_request_object');
    serve(await signed({ request_uri: `${origin}/request.jwt` }));
    expect(await refusedAs()).toBe('invalid_request_object');
  });

  test('with a redirect URI that is not the client’s, on a page and not by redirect', async () => {
    serve('<html>', 'text/html');
    await party.refused(
      party.request({
        request_uri: `${origin}/request.jwt`,
        redirect_uri: 'https://evil.example/callback',
      }),
    );
  });
});

test('nothing is fetched from a private address', async () => {
  const careful = await startProvider({ clients: [] });
  await careful.addClient({ ...party.client, client_id: webClient.client_id });
  serve(await signed());
  const one = new Party(careful, party.client);
  const { error } = await one.authorize({ request_uri: `${origin}/request.jwt` });
  expect(error).toBe('invalid_request_uri');
  expect(asked).toEqual([]);
  await careful.close();
});

test('discovery tells, and registration keeps and judges request_uris', async () => {
  expect(await party.discovery()).toMatchObject({
    request_uri_parameter_supported: true,
    require_request_uri_registration: true,
  });
  const register = async (uris: unknown) =>
    answerOf(
      await fetch(`${provider.issuer}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: ['https://app.example/cb'], request_uris: uris }),
      }),
    );
  const uris = ['https://app.example/request.jwt#hash'];
  expect((await register(uris)).body).toMatchObject({ request_uris: uris });
  for (const wrong of [
    'x',
    ['x'],
    ['file:///etc/passwd'],
    [`https://x.example/${'x'.repeat(512)}`],
  ])
    expect((await register(wrong)).body['error']).toBe('invalid_client_metadata');
});
