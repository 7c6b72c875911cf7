// Applications in browsers: what their scripts send from another origin, as the Fetch standard lets browsers read it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Party, pkce } from '../conformance/party.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';

const origin = new URL(publicClient.redirect_uris[0] ?? '').origin;
const stranger = 'https://evil.example';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'open' } });
});
afterAll(() => provider.close());

/** What a browser lets the script of an origin see. */
function isReadable(response: Response, from: string, withCredentials: boolean): boolean {
  const allowed = response.headers.get('access-control-allow-origin');
  if (withCredentials)
    return allowed === from && response.headers.get('access-control-allow-credentials') === 'true';
  return allowed === from || allowed === '*';
}

async function preflight(path: string, method: string, headers: string[], withCredentials = false) {
  const response = await fetch(`${provider.issuer}${path}`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': headers.join(','),
    },
  });
  const list = (name: string) => (response.headers.get(name) ?? '').toLowerCase().split(/, */);
  return (
    response.status === 204 &&
    isReadable(response, origin, withCredentials) &&
    list('access-control-allow-methods').includes(method.toLowerCase()) &&
    headers.every((header) => list('access-control-allow-headers').includes(header))
  );
}

const post = (path: string, form: Record<string, string>, from = origin) =>
  fetch(`${provider.issuer}${path}`, {
    method: 'POST',
    headers: { origin: from },
    body: new URLSearchParams({ client_id: publicClient.client_id, ...form }),
  });

test.each([
  ['/token', 'POST', ['dpop', 'content-type']],
  ['/revoke', 'POST', ['content-type']],
  ['/par', 'POST', ['dpop', 'content-type']],
  ['/userinfo', 'GET', ['authorization', 'dpop']],
  ['/userinfo', 'POST', ['authorization']],
  ['/device_authorization', 'POST', ['content-type']],
])('a preflight of %s is answered, with credentials too', async (path, method, headers) => {
  expect(await preflight(path, method, headers, true)).toBe(true);
});

test.each([
  ['/register', 'POST'],
  ['/register/some-client', 'GET'],
  ['/register/some-client', 'PUT'],
  ['/register/some-client', 'DELETE'],
])('a preflight of %s, %s', async (path, method) => {
  expect(await preflight(path, method, ['authorization', 'content-type'])).toBe(true);
});

test('a script registers its client, reads, changes and removes it', async () => {
  const send = async (url: string, method: string, token?: string, body?: object) => {
    const response = await fetch(url, {
      method,
      headers: {
        origin,
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    expect(isReadable(response, origin, false), `${method} ${url}`).toBe(true);
    const text = await response.text();
    return {
      status: response.status,
      body: (text ? JSON.parse(text) : {}) as Record<string, string>,
    };
  };
  const metadata = { redirect_uris: [`${origin}/callback`], token_endpoint_auth_method: 'none' };
  const made = await send(`${provider.issuer}/register`, 'POST', undefined, metadata);
  expect(made.status).toBe(201);
  const at = made.body['registration_client_uri'] ?? '';
  const read = await send(at, 'GET', made.body['registration_access_token']);
  expect(read.status).toBe(200);
  const changed = await send(at, 'PUT', read.body['registration_access_token'], {
    ...{ ...metadata, client_id: made.body['client_id'], client_name: 'Changed' },
  });
  expect(changed.status).toBe(200);
  const gone = await send(at, 'DELETE', changed.body['registration_access_token']);
  expect(gone.status).toBe(204);
  expect((await send(`${provider.issuer}/register`, 'POST', undefined, {})).status).toBe(400);
});

describe('answers to requests with credentials', () => {
  test.each([
    ['/token', { grant_type: 'refresh_token', refresh_token: 'x' }, 400],
    ['/revoke', { token: 'x' }, 200],
    ['/par', { response_type: 'code', redirect_uri: publicClient.redirect_uris[0] ?? '' }, 400],
  ])('%s: only for the client’s own origin', async (path, form, status) => {
    const own = await post(path, form);
    expect(own.status).toBe(status);
    expect(isReadable(own, origin, true)).toBe(true);
    const foreign = await post(path, form, stranger);
    expect(isReadable(foreign, stranger, true)).toBe(false);
    expect(isReadable(foreign, stranger, false)).toBe(false);
    const nobody = await post(path, { ...form, client_id: 'nobody' }, stranger);
    expect(isReadable(nobody, stranger, true)).toBe(false);
  });

  test('a code, a refresh and userinfo, as keycloak-js and oidc-client-ts send them', async () => {
    const party = new Party(provider, publicClient);
    const form = await codeOf(party);
    const answer = await post('/token', { grant_type: 'authorization_code', ...form });
    expect(answer.status).toBe(200);
    expect(isReadable(answer, origin, true)).toBe(true);
    const tokens = (await answer.json()) as Record<string, string>;
    const userinfo = await fetch(`${provider.issuer}/userinfo`, {
      headers: { origin, authorization: `Bearer ${tokens['access_token']}` },
    });
    expect(userinfo.status).toBe(200);
    expect(isReadable(userinfo, origin, true)).toBe(true);
  });
});

async function codeOf(party: Party) {
  const { code_verifier: verifier, code_challenge: challenge } = pkce();
  const { code = '' } = await party.authorize({
    code_challenge: challenge,
    code_challenge_method: 'S256',
  });
  return { code, code_verifier: verifier, redirect_uri: publicClient.redirect_uris[0] ?? '' };
}

test('a revocation is answered with JSON, which oidc-client-ts wants, known token or not', async () => {
  const party = new Party(provider, webClient);
  const tokens = await party.tokens();
  for (const token of [tokens.access_token, 'unknown']) {
    const { status, headers, body } = await party.post('/revoke', { token });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json(;|$)/);
    expect(body).toEqual({});
  }
});

test('where registration is off, /register is for nobody', async () => {
  const closed = await startProvider();
  const response = await fetch(`${closed.issuer}/register`, {
    method: 'POST',
    headers: { origin },
  });
  expect(response.status).toBe(404);
  expect(response.headers.get('access-control-allow-origin')).toBeNull();
  await closed.close();
});
