// Discovery and dynamic registration (plans config and dynamic of the OpenID Foundation's suite; RFC 7591, RFC 7592).
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { SignJWT, UnsecuredJWT, decodeJwt, exportJWK, jwtVerify, createLocalJWKSet } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { maintainKeys, rotateKeys } from '../../src/keys/signing-keys.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { type TestProvider, startProvider } from '../support/provider.ts';
import { schedule } from '../support/signing-keys.ts';
import { tls } from '../support/tls.ts';
import { Agent } from '../support/agent.ts';
import { type Json, Party, type PartyClient, answerOf } from './party.ts';

const redirect = 'https://app.example/callback';

let provider: TestProvider;
let files: Server;
let origin: string;
const served = new Map<string, unknown>();

beforeAll(async () => {
  setDefaultCACertificates([...getCACertificates('default'), tls.ca]);
  files = createServer({ key: tls.serverKey, cert: tls.serverCertificate }, (request, response) => {
    const content = served.get(request.url ?? '');
    response.statusCode = content === undefined ? 404 : 200;
    const isText = typeof content === 'string';
    response.setHeader('content-type', isText ? 'application/jwt' : 'application/json');
    response.end(isText ? content : JSON.stringify(content));
  });
  await new Promise<void>((resolve) => files.listen(0, 'localhost', resolve));
  origin = `https://localhost:${(files.address() as AddressInfo).port}`;
  provider = await startProvider({
    environment: {
      SYMBOLON_REGISTRATION: 'open',
      SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true',
      SYMBOLON_SIGNING_ALGORITHMS: 'RS256,ES256,PS256,EdDSA',
    },
  });
});
afterAll(async () => {
  files.closeAllConnections();
  files.close();
  await provider.close();
});

const register = async (metadata: Json, token?: string, issuer = provider.issuer) =>
  answerOf(
    await fetch(`${issuer}/register`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(metadata),
    }),
  );
const registered = async (metadata: Json = {}): Promise<Party & { registration: Json }> => {
  const { status, body } = await register({ redirect_uris: [redirect], ...metadata });
  expect({ status, body }).toMatchObject({ status: 201 });
  return Object.assign(new Party(provider, body as unknown as PartyClient), {
    registration: body,
  });
};
async function signingKey(kid: string, alg = 'RS256') {
  const { privateKey, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}
type SigningKey = Awaited<ReturnType<typeof signingKey>>;
const assertion = (client: string, key: SigningKey, audience: string) =>
  new SignJWT({ iss: client, sub: client, jti: randomUUID() })
    .setProtectedHeader({ alg: key.alg, kid: key.kid })
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1 minute')
    .sign(key.privateKey);
const authenticated = async (client: string, key: SigningKey, audience = provider.issuer) => ({
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: await assertion(client, key, audience),
});

test('oidcc-discovery-endpoint-verification', async () => {
  const party = await registered();
  const document = await party.discovery();
  expect(document).toMatchObject({
    issuer: provider.issuer,
    response_types_supported: expect.arrayContaining(['code']) as string[],
    subject_types_supported: ['public', 'pairwise'],
    grant_types_supported: expect.arrayContaining([
      'authorization_code',
      'refresh_token',
    ]) as string[],
    id_token_signing_alg_values_supported: expect.arrayContaining(['RS256']) as string[],
    code_challenge_methods_supported: ['S256'],
    scopes_supported: expect.arrayContaining(['openid', 'offline_access']) as string[],
    request_parameter_supported: true,
    request_uri_parameter_supported: true,
    claims_parameter_supported: true,
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
  });
  for (const endpoint of ['authorization', 'token', 'userinfo', 'registration', 'end_session'])
    expect(document[`${endpoint}_endpoint`]).toMatch(new RegExp(`^${provider.issuer}/`));
  for (const scope of document['scopes_supported'] as string[])
    expect(scope).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]+$/);
  const { keys } = await party.jwks();
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys)
    for (const secret of ['d', 'p', 'q', 'k']) expect(key).not.toHaveProperty(secret);
});

test.each(['RS256', 'ES256', 'PS256', 'EdDSA'])(
  'oidcc-idtoken-rs256 and the others: %s',
  async (alg) => {
    const party = await registered({ id_token_signed_response_alg: alg });
    expect((await party.tokens()).idToken.header.alg).toBe(alg);
  },
);

test.each(['RS256', 'ES256', 'PS256', 'EdDSA'])(
  'oidcc-userinfo-rs256 and the others: %s',
  async (alg) => {
    const party = await registered({ userinfo_signed_response_alg: alg });
    const { access_token: token, idToken } = await party.tokens({ scope: 'openid email' });
    const response = await fetch(`${provider.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(response.headers.get('content-type')).toContain('application/jwt');
    const { payload, protectedHeader } = await jwtVerify(
      await response.text(),
      createLocalJWKSet((await party.jwks()) as never),
      { issuer: provider.issuer, audience: party.client.client_id },
    );
    expect(protectedHeader.alg).toBe(alg);
    expect(payload).toMatchObject({ sub: idToken.payload.sub, email: 'ada@example.com' });
  },
);

test('oidcc-ensure-redirect-uri-in-authorization-request', async () => {
  const party = await registered({ redirect_uris: [redirect, `${redirect}2`] });
  await party.refused(party.request({ redirect_uri: undefined }));
});

test('oidcc-redirect-uri-query-OK, -mismatch, -added', async () => {
  const party = await registered({ redirect_uris: [`${redirect}?foo=bar`] });
  const response = await party.authorize();
  expect(response).toMatchObject({ foo: 'bar' });
  expect(response).toHaveProperty('code');
  for (const redirect_uri of [
    `${redirect}?foo=other`,
    redirect,
    `${redirect}?foo=bar&baz=1`,
    `${redirect}?foo=bar#x`,
  ])
    await party.refused(party.request({ redirect_uri }));
});

test('oidcc-redirect-uri-regfrag', async () => {
  const { status, body } = await register({ redirect_uris: [`${redirect}#fragment`] });
  expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'invalid_redirect_uri' });
});

test('oidcc-registration-logo-uri, -policy-uri, -tos-uri', async () => {
  const links = {
    logo_uri: 'https://app.example/logo.png',
    policy_uri: 'https://app.example/privacy',
    tos_uri: 'https://app.example/terms',
  };
  const party = await registered({ ...links, client_name: 'Dynamic' });
  const page = await party.agent.open(party.request());
  expect(page.html.querySelector(`img[src="${links.logo_uri}"]`)).not.toBeNull();
  for (const link of [links.policy_uri, links.tos_uri])
    expect(page.html.querySelector(`a[href="${link}"]`)).not.toBeNull();
});

test('oidcc-registration-jwks-uri', async () => {
  const key = await signingKey('first');
  served.set('/keys', { keys: [key.jwk] });
  const party = await registered({
    jwks_uri: `${origin}/keys`,
    token_endpoint_auth_method: 'private_key_jwt',
  });
  const { code } = await party.authorize();
  const { client_id: id } = party.client;
  const answer = await party.exchange(code ?? '', await authenticated(id, key));
  expect(answer.status).toBe(200);
});

test('jwks_uri is never fetched from private addresses, unless that is allowed', async () => {
  const careful = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'open' } });
  const key = await signingKey('first');
  served.set('/private-keys', { keys: [key.jwk] });
  const { body } = await register(
    {
      redirect_uris: [redirect],
      jwks_uri: `${origin}/private-keys`,
      token_endpoint_auth_method: 'private_key_jwt',
    },
    undefined,
    careful.issuer,
  );
  const party = new Party(careful, body as unknown as PartyClient);
  const { code } = await party.authorize();
  const { status } = await party.exchange(
    code ?? '',
    await authenticated(party.client.client_id, key, careful.issuer),
  );
  expect(status).toBe(401);
  await careful.close();
});

test('oidcc-registration-sector-uri, -sector-bad', async () => {
  served.set('/sector', [redirect, 'https://other.example/callback']);
  const pairwise = {
    subject_type: 'pairwise',
    sector_identifier_uri: `${origin}/sector`,
    redirect_uris: [redirect, 'https://other.example/callback'],
  };
  await registered(pairwise);
  const bad = await register({
    ...pairwise,
    redirect_uris: [redirect, 'https://third.example/callback'],
  });
  expect({ status: bad.status, error: bad.body['error'] }).toEqual({
    status: 400,
    error: 'invalid_client_metadata',
  });
});

test('pairwise subjects: other for every sector, the same for ever, and known to userinfo', async () => {
  const one = await registered({ subject_type: 'pairwise' });
  const same = await registered({ subject_type: 'pairwise' });
  const other = await registered({
    subject_type: 'pairwise',
    redirect_uris: ['https://other.example/callback'],
  });
  const open = await registered();
  const subjects = await Promise.all(
    [one, same, other, open].map(async (party) => {
      const { idToken, access_token: token } = await party.tokens();
      expect((await party.userinfo(token)).body['sub']).toBe(idToken.payload.sub);
      return idToken.payload.sub;
    }),
  );
  expect(subjects[0]).toBe(subjects[1]);
  expect(new Set(subjects).size).toBe(3);
  expect(subjects[3]).toBe(provider.accountId);
});

test('oidcc-server-rotate-keys', async () => {
  const party = await registered();
  const before = (await party.jwks()).keys.map(({ kid }) => kid);
  const { prisma, keyring } = provider.storage;
  await rotateKeys(prisma, keyring, new Date(), schedule, true);
  await maintainKeys(prisma, keyring, new Date(), schedule);
  await provider.keyRotation.look();
  const after = (await party.jwks()).keys.map(({ kid }) => kid);
  expect(after).toEqual(expect.arrayContaining(before));
  expect(after.length).toBeGreaterThan(before.length);
  await party.tokens();
});

test('oidcc-refresh-token-rp-key-rotation', async () => {
  const [first, second] = [await signingKey('one'), await signingKey('two')];
  served.set('/rotating', { keys: [first.jwk] });
  const party = await registered({
    jwks_uri: `${origin}/rotating`,
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: ['authorization_code', 'refresh_token'],
  });
  const { client_id: id } = party.client;
  const tokens = await party.tokens(
    { scope: 'openid offline_access', prompt: 'consent' },
    await authenticated(id, first),
  );
  served.set('/rotating', { keys: [second.jwk] });
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
  const refreshed = await party.token({
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token,
    ...(await authenticated(id, second)),
  });
  vi.useRealTimers();
  expect(refreshed.status).toBe(200);
});

test('oidcc-request-uri-unsigned: an object without a signature is refused, and discovery lists no none', async () => {
  const uri = `${origin}/unsigned.jwt`;
  const party = await registered({ request_uris: [uri] });
  await party.tokens(); // a refusal is told to a stranger only once somebody has signed in
  const claims = { response_type: 'code', redirect_uri: redirect, scope: 'openid', state: 'x' };
  const object = new UnsecuredJWT({ ...claims, client_id: party.client.client_id });
  served.set('/unsigned.jwt', object.setAudience(provider.issuer).encode());
  const response = await party.authorize({ request_uri: uri, state: undefined });
  expect(response['error']).toBe('invalid_request_object');
  const { request_object_signing_alg_values_supported: listed } = await party.discovery();
  expect(listed).not.toContain('none');
});

describe('request objects (RFC 9101)', () => {
  test('oidcc-request-uri-signed-rs256, by reference', async () => {
    const key = await signingKey('r', 'RS256');
    const uri = `${origin}/request.jwt`;
    const party = await registered({
      jwks: { keys: [key.jwk] },
      request_object_signing_alg: 'RS256',
      request_uris: [uri],
    });
    const { client_id: id } = party.client;
    const claims = {
      response_type: 'code',
      redirect_uri: redirect,
      scope: 'openid',
      client_id: id,
    };
    served.set(
      '/request.jwt',
      await new SignJWT({ ...claims, state: 'from the object' })
        .setProtectedHeader({ alg: 'RS256', kid: 'r' })
        .setIssuer(id)
        .setAudience(provider.issuer)
        .setExpirationTime('1 minute')
        .sign(key.privateKey),
    );
    const response = await party.authorize({ request_uri: uri, state: undefined });
    expect(response['state']).toBe('from the object');
    expect((await party.exchange(response['code'] ?? '')).status).toBe(200);
  });

  test.each(['RS256', 'ES256'])('oidcc-request-uri-signed-rs256, by value: %s', async (alg) => {
    const key = await signingKey('request', alg);
    const party = await registered({ jwks: { keys: [key.jwk] }, request_object_signing_alg: alg });
    const { client_id: id } = party.client;
    const outside = party.request({ scope: 'openid', state: 'inside' });
    const object = (claims: Json) =>
      new SignJWT({ ...Object.fromEntries(outside.searchParams), iss: id, ...claims })
        .setProtectedHeader({ alg, kid: 'request', typ: 'oauth-authz-req+jwt' })
        .setAudience(provider.issuer)
        .setExpirationTime('5 minutes')
        .sign(key.privateKey);
    const send = async (request: string) => {
      const url = new URL(outside);
      url.searchParams.set('request', request);
      return party.follow(url);
    };
    expect(await send(await object({}))).toHaveProperty('code');
    const forged = await signingKey('request', alg);
    const wrong = await new SignJWT({ ...Object.fromEntries(outside.searchParams), iss: id })
      .setProtectedHeader({ alg, kid: 'request' })
      .setAudience(provider.issuer)
      .sign(forged.privateKey);
    expect((await send(wrong))['error']).toBe('invalid_request_object');
    const unsigned = new UnsecuredJWT(decodeJwt(await object({}))).encode();
    expect((await send(unsigned))['error']).toBe('invalid_request_object');
  });
});

test('oidcc-ensure-client-assertion-with-iss-aud-succeeds', async () => {
  const key = await signingKey('only');
  const party = await registered({
    jwks: { keys: [key.jwk] },
    token_endpoint_auth_method: 'private_key_jwt',
  });
  const { code } = await party.authorize();
  const { client_id: id } = party.client;
  expect((await party.exchange(code ?? '', await authenticated(id, key))).status).toBe(200);
});

test('oidcc-3rd_party-init-login, -nohttps', async () => {
  const uri = 'https://app.example/start';
  const { registration } = await registered({ initiate_login_uri: uri });
  expect(registration['initiate_login_uri']).toBe(uri);
  const { status } = await register({
    redirect_uris: [redirect],
    initiate_login_uri: 'http://app.example/start',
  });
  expect(status).toBe(400);
});

describe('registration (RFC 7591) and its management (RFC 7592)', () => {
  const manage = async (party: { registration: Json }, method: string, body?: Json) =>
    answerOf(
      await fetch(String(party.registration['registration_client_uri']), {
        method,
        headers: {
          authorization: `Bearer ${String(party.registration['registration_access_token'])}`,
          'content-type': 'application/json',
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      }),
    );

  test('a client reads itself, changes itself with its secret, and removes itself', async () => {
    const party = await registered({ client_name: 'First' });
    const read = await manage(party, 'GET');
    expect(read.status).toBe(200);
    expect(read.body).toMatchObject({
      client_name: 'First',
      client_secret: party.registration['client_secret'],
    });
    const answered = [
      'registration_access_token',
      'registration_client_uri',
      'client_id_issued_at',
      'client_secret_expires_at',
    ];
    const metadata = Object.fromEntries(
      Object.entries(read.body).filter(([name]) => !answered.includes(name)),
    );
    const changed = await manage(party, 'PUT', { ...metadata, client_name: 'Second' });
    expect(changed.status).toBe(200);
    expect(changed.body['registration_access_token']).not.toBe(
      party.registration['registration_access_token'],
    );
    expect((await manage(party, 'GET')).status).toBe(401); // the former token
    party.registration['registration_access_token'] = changed.body['registration_access_token'];
    expect((await manage(party, 'GET')).body['client_name']).toBe('Second');
    const tokens = await party.tokens();
    expect((await manage(party, 'DELETE')).status).toBe(204);
    expect((await manage(party, 'GET')).status).toBe(401);
    expect((await party.userinfo(tokens.access_token)).status).toBe(401);
    expect((await party.exchange('x')).body['error']).toBe('invalid_client');
  });

  test('another client’s token opens nothing', async () => {
    const [one, other] = [await registered(), await registered()];
    one.registration['registration_client_uri'] = other.registration['registration_client_uri'];
    expect((await manage(one, 'GET')).status).toBe(401);
    expect((await manage(other, 'GET')).status).toBe(200);
  });

  test.each([
    [{ grant_types: ['client_credentials'], response_types: [], redirect_uris: [] }],
    [{ refresh_token_retry_window: 86_400 }],
    [{ refresh_token_absolute_ttl: 3_155_760_000 }],
    [{ refresh_token_on_reuse: 'refuse' }],
    [{ resource_scopes: { 'https://api.example': ['all'] } }],
    [{ token_exchange_to: ['https://api.example'] }],
    [{ redirect_uris: ['javascript:alert(1)'] }],
    [{ redirect_uris: 'no array' }],
    [{ token_endpoint_auth_method: 'none', application_type: 'nothing' }],
  ])('nobody who registers itself gets %o', async (metadata) => {
    const { status, body } = await register({ redirect_uris: [redirect], ...metadata });
    expect({ status, error: body['error'] }).toMatchObject({ status: 400 });
    expect(body['error']).toMatch(/invalid_(client_metadata|redirect_uri)/);
  });

  test('stricter than the server it may be', async () => {
    const { registration } = await registered({
      grant_types: ['authorization_code', 'refresh_token'],
      refresh_token_idle_ttl: 600,
    });
    expect(registration['refresh_token_idle_ttl']).toBe(600);
  });

  test('with an initial access token, when the server wants one', async () => {
    const strict = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'token' } });
    const metadata = { redirect_uris: [redirect] };
    expect((await register(metadata, undefined, strict.issuer)).status).toBe(401);
    expect((await register(metadata, 'made-up', strict.issuer)).status).toBe(401);
    let token = '';
    await runUnit(strict.storage, commandLine, async () => {
      const { InitialAccessToken } = strict.engine.provider;
      token = await new InitialAccessToken({ expiresIn: 60 }).save();
    });
    expect((await register(metadata, token, strict.issuer)).status).toBe(201);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 });
    expect((await register(metadata, token, strict.issuer)).status).toBe(401);
    vi.useRealTimers();
    await strict.close();
  });

  test('off unless it is switched on', async () => {
    const off = await startProvider();
    expect((await register({ redirect_uris: [redirect] }, undefined, off.issuer)).status).toBe(404);
    expect(
      await new Party(off, { client_id: 'x', redirect_uris: [] }).discovery(),
    ).not.toHaveProperty('registration_endpoint');
    await off.close();
  });
});

test('client id metadata documents: a client that is its own URL', async () => {
  const id = `${origin}/app.json`;
  served.set('/app.json', {
    client_id: id,
    client_name: 'By document',
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  });
  const documents = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS: 'true',
      SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true',
    },
  });
  const party = new Party(documents, { client_id: id, redirect_uris: [redirect] });
  expect((await party.discovery())['client_id_metadata_document_supported']).toBe(true);
  const challenge = { code_verifier: 'v'.repeat(43) };
  const code_challenge = Buffer.from(
    await crypto.subtle.digest('SHA-256', Buffer.from(challenge.code_verifier)),
  ).toString('base64url');
  const tokens = await party.tokens(
    { scope: 'openid offline_access', code_challenge, code_challenge_method: 'S256' },
    challenge,
  );
  const refreshed = await party.token({
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token,
  });
  expect(refreshed.status).toBe(200);

  const { prisma } = documents.storage;
  await prisma.$executeRaw`
    UPDATE client SET metadata = metadata || '{"disabled":"It is away."}' WHERE id = ${id}`;
  const next = {
    grant_type: 'refresh_token',
    refresh_token: refreshed.body['refresh_token'] as string,
  };
  expect((await party.token(next)).status).toBe(400);
  expect((await party.userinfo(tokens.access_token)).status).toBe(401);
  await prisma.$executeRaw`UPDATE client SET metadata = metadata - 'disabled' WHERE id = ${id}`;
  expect((await party.userinfo(tokens.access_token)).status).toBe(200);
  expect((await party.token(next)).status).toBe(200);

  const generous = `${origin}/generous.json`;
  served.set('/generous.json', {
    ...(served.get('/app.json') as object),
    client_id: generous,
    grant_types: ['client_credentials'],
    response_types: [],
  });
  const page = await new Agent(documents.issuer).open(
    `${documents.issuer}/authorize?client_id=${encodeURIComponent(generous)}&response_type=code&scope=openid&redirect_uri=${redirect}`,
  );
  expect(page.status).toBe(400);
  await documents.close();
});
