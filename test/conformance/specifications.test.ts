// Beyond the suite: what the OAuth specifications ask of a server, a test for each that applies.
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type JWTPayload,
  compactDecrypt,
  createLocalJWKSet,
  decodeJwt,
  exportJWK,
  jwtVerify,
} from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { type Answer, type Json, Party, answerOf, pkce } from './party.ts';

const API = 'https://api.example';
const OTHER = 'https://other.example';
const OPAQUE = 'https://opaque.example';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

const claimsFile = join(mkdtempSync(join(tmpdir(), 'symbolon-')), 'claims.json');
writeFileSync(
  claimsFile,
  JSON.stringify({
    scopes: {
      staff: {
        title: 'See your staff number',
        claims: { staff_number: 'string', groups: 'string[]' },
      },
    },
    access_token: ['groups', 'email'],
    id_token: ['groups'],
  }),
);

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_ENABLE_ENCRYPTION: 'true',
      SYMBOLON_AUTHORIZATION_DETAILS_TYPES: 'payment_initiation',
      SYMBOLON_CLAIMS_FILE: claimsFile,
    },
    clients: [webClient, publicClient],
  });
  const { prisma } = provider.storage;
  await prisma.resource.createMany({
    data: [
      {
        id: API,
        name: 'Notes API',
        scopes: { 'notes:read': 'Read your notes', 'notes:write': 'Change your notes' },
        ttl: 120,
        alg: 'ES256',
      },
      { id: OTHER, scopes: { 'notes:read': 'Read your notes', audit: '' } },
      { id: OPAQUE, scopes: { 'notes:read': '' }, format: 'opaque' },
    ],
  });
  await prisma.account.update({
    where: { id: provider.accountId },
    data: { claims: { staff_number: '42', groups: ['admins'], given_name: 'Ada' } },
  });
});
afterAll(() => provider.close());

const add = async (id: string, metadata: Json = {}): Promise<Party> => {
  const client = { ...webClient, ...metadata, client_id: id };
  await provider.addClient(client);
  return new Party(provider, client);
};
const introspect = (party: Party, token: unknown, headers: Record<string, string> = {}) =>
  party.post('/introspect', { token: String(token) }, headers);
async function verified(party: Party, token: unknown, options: Json = {}) {
  return jwtVerify(String(token), createLocalJWKSet((await party.jwks()) as never), {
    issuer: provider.issuer,
    ...options,
  });
}

describe('RFC 8707, resource indicators, and RFC 9068, JWT access tokens', () => {
  test('a token for one resource: its audience, format, algorithm, life and scopes', async () => {
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({ scope: 'openid notes:read audit', resource: API });
    const { payload, protectedHeader } = await verified(party, tokens.access_token, {
      audience: API,
      typ: 'at+jwt',
    });
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    expect(payload).toMatchObject({
      sub: provider.accountId,
      client_id: webClient.client_id,
      scope: 'notes:read',
    });
    for (const claim of ['iat', 'exp', 'jti', 'iss']) expect(payload).toHaveProperty(claim);
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(120);
    expect(tokens['expires_in']).toBe(120);
    // Userinfo is another audience.
    expect((await party.userinfo(tokens.access_token)).status).toBe(401);
  });

  test('the consent page says what it is for, in the resource’s own words', async () => {
    const party = new Party(provider, webClient);
    const agent = new Agent(provider.issuer);
    const request = party.request({
      scope: 'openid notes:read notes:write',
      resource: API,
      prompt: 'consent',
    });
    const page = await agent.open(request);
    const consent = await agent.submit(
      page,
      { email: 'ada@example.com', password: 'correct horse battery' },
      /sign-in$/,
    );
    for (const words of ['Notes API', 'Read your notes', 'Change your notes'])
      expect(consent.html.text).toContain(words);
  });

  test('of two resources the token request chooses, and a refresh may choose the other', async () => {
    const party = new Party(provider, webClient);
    const request = party.request({ scope: 'openid offline_access notes:read', resource: API });
    request.searchParams.append('resource', OTHER);
    const { code } = await party.follow(request);
    const { body } = await party.exchange(code ?? '', { resource: OTHER });
    expect(decodeJwt(String(body['access_token'])).aud).toBe(OTHER);
    const refreshed = await party.token({
      grant_type: 'refresh_token',
      refresh_token: String(body['refresh_token']),
      resource: API,
    });
    expect(decodeJwt(String(refreshed.body['access_token'])).aud).toBe(API);
    const wrong = await party.token({
      grant_type: 'refresh_token',
      refresh_token: String(refreshed.body['refresh_token']),
      resource: OPAQUE,
    });
    expect(wrong.body['error']).toBe('invalid_target');
    const again = await party.token({
      grant_type: 'refresh_token',
      refresh_token: String(refreshed.body['refresh_token']),
      resource: API,
    });
    expect(again.status).toBe(200); // the refused one has spent nothing
  });

  test('an opaque token is introspected by its resource server', async () => {
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({ scope: 'openid notes:read', resource: OPAQUE });
    const server = await add('resource-server', { grant_types: [], response_types: [] });
    const { body } = await introspect(server, tokens.access_token);
    expect(body).toMatchObject({
      active: true,
      aud: OPAQUE,
      scope: 'notes:read',
      sub: provider.accountId,
      client_id: webClient.client_id,
      iss: provider.issuer,
    });
  });

  test.each(['https://nowhere.example', 'no URI', `${API}#x`])(
    'the resource %s is refused',
    async (resource) => {
      const response = await new Party(provider, webClient).authorize({ resource });
      expect(response['error']).toBe('invalid_target');
    },
  );

  test('a client gets no more of a resource than its registration names', async () => {
    const party = await add('limited', { resource_scopes: { [API]: ['notes:read'] } });
    const tokens = await party.tokens({ scope: 'openid notes:read notes:write', resource: API });
    expect(decodeJwt(tokens.access_token)['scope']).toBe('notes:read');
    const other = await party.tokens({ scope: 'openid notes:read', resource: OTHER });
    expect(decodeJwt(other.access_token)['scope']).toBeUndefined();
  });

  test('client credentials: for itself', async () => {
    const party = await add('service', { grant_types: ['client_credentials'], response_types: [] });
    const form = { grant_type: 'client_credentials', scope: 'notes:read', resource: API };
    const { status, body } = await party.token(form);
    expect(status).toBe(200);
    const { payload } = await verified(party, body['access_token'], { audience: API });
    expect(payload).toMatchObject({ sub: 'service', client_id: 'service', scope: 'notes:read' });
  });

  test('RFC 7009: a JWT access token is not revoked, and the client is told', async () => {
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({ scope: 'openid notes:read', resource: API });
    const { status, body } = await party.post('/revoke', { token: tokens.access_token });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'unsupported_token_type',
    });
  });
});

describe('claims and scopes of the installation', () => {
  test('are released by their scope, and go into tokens as the file says', async () => {
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({ scope: 'openid staff notes:read', resource: API });
    expect(decodeJwt(tokens.access_token)).toMatchObject({ groups: ['admins'] });
    expect(decodeJwt(tokens.access_token)).not.toHaveProperty('email'); // not granted
    expect(tokens.idToken.payload).toMatchObject({ groups: ['admins'] });
    const plain = await party.tokens({ scope: 'openid staff' });
    expect(plain.idToken.payload).toMatchObject({ groups: ['admins'] });
    expect(plain.idToken.payload).not.toHaveProperty('staff_number'); // that is for userinfo
    expect((await party.userinfo(plain.access_token)).body).toMatchObject({
      staff_number: '42',
      groups: ['admins'],
    });
    expect((await introspect(party, plain.access_token)).body).toMatchObject({
      groups: ['admins'],
    });
  });

  test('without their scope nobody learns them', async () => {
    const party = (await add('nosy')).elsewhere();
    const tokens = await party.tokens({ scope: 'openid' });
    expect(tokens.idToken.payload).not.toHaveProperty('groups');
    expect((await party.userinfo(tokens.access_token)).body).toEqual({ sub: provider.accountId });
    expect((await introspect(party, tokens.access_token)).body).not.toHaveProperty('groups');
  });
});

describe('RFC 7662 and RFC 9701, introspection', () => {
  test('as a JWT for whoever asks for one', async () => {
    const party = await add('asks-jwt', { introspection_signed_response_alg: 'ES256' });
    const tokens = await party.tokens();
    const { headers, body } = await introspect(party, tokens.access_token, {
      accept: 'application/token-introspection+jwt',
    });
    expect(headers.get('content-type')).toContain('application/token-introspection+jwt');
    const { payload, protectedHeader } = await verified(party, body['text'], {
      audience: 'asks-jwt',
      typ: 'token-introspection+jwt',
    });
    expect(protectedHeader.alg).toBe('ES256');
    expect(payload['token_introspection']).toMatchObject({ active: true });
  });

  test('only for clients that authenticate; a made-up token is not active', async () => {
    const party = new Party(provider, webClient);
    expect((await introspect(party, 'made-up')).body).toEqual({ active: false });
    const anybody = new Party(provider, publicClient);
    const tokens = await party.tokens();
    expect((await introspect(anybody, tokens.access_token)).body).toEqual({ active: false });
  });
});

describe('RFC 8693, token exchange', () => {
  let server: Party;
  beforeAll(async () => {
    server = await add('notes-server', {
      grant_types: [EXCHANGE],
      response_types: [],
      token_exchange_from: [API, OPAQUE],
      token_exchange_to: [OTHER],
      resource_scopes: { [OTHER]: ['notes:read'] },
    });
  });
  const exchange = (party: Party, token: string, extra: Record<string, string> = {}) =>
    party.token({
      grant_type: EXCHANGE,
      subject_token: token,
      subject_token_type: ACCESS_TOKEN,
      resource: OTHER,
      ...extra,
    });
  const subject = async (resource = API, scope = 'openid notes:read notes:write') =>
    (await new Party(provider, webClient).tokens({ scope, resource })).access_token;

  test.each([API, OPAQUE])('of a token for %s, on behalf of its person', async (resource) => {
    const token = await subject(resource);
    const { status, body } = await exchange(server, token);
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', scope: 'notes:read' },
    });
    const { payload } = await verified(server, body['access_token'], { audience: OTHER });
    expect(payload).toMatchObject({
      sub: provider.accountId,
      client_id: 'notes-server',
      scope: 'notes:read',
      act: { sub: 'notes-server' },
    });
    expect(body).not.toHaveProperty('refresh_token');
    // It never outlives what it came from.
    if (resource === API) expect(payload.exp).toBeLessThanOrEqual(decodeJwt(token).exp ?? 0);
  });

  test.each([API, OPAQUE])('of a token for %s: it tells of the same sign-in', async (resource) => {
    const tokens = await new Party(provider, webClient).tokens({
      scope: 'openid notes:read',
      resource,
    });
    const { body } = await exchange(server, tokens.access_token);
    const { auth_time: authTime } = decodeJwt(tokens.id_token);
    expect(decodeJwt(String(body['access_token']))).toMatchObject({
      acr: '1fa',
      auth_time: authTime,
    });
    // A client that wants more does not get round it.
    const minimum = { minimum_acr: '2fa', token_exchange_from: [API, OPAQUE] };
    const strict = await add(`strict-server-${resource}`, {
      ...{ grant_types: [EXCHANGE], response_types: [], token_exchange_to: [OTHER] },
      ...minimum,
    });
    expect((await exchange(strict, tokens.access_token)).body['error']).toBe('invalid_request');
  });

  test('a scope is its resource’s own: another’s of that name is given only if the operator says so', async () => {
    const unnamed = await add('unnamed-server', {
      grant_types: [EXCHANGE],
      response_types: [],
      token_exchange_from: [API, OPAQUE],
      token_exchange_to: [OTHER],
    });
    for (const token of [await subject(API), await subject(OPAQUE)]) {
      const { status, body } = await exchange(unnamed, token);
      expect(status).toBe(200);
      expect(decodeJwt(String(body['access_token']))['scope'] ?? '').toBe('');
      const asked = await exchange(unnamed, token, { scope: 'notes:read' });
      expect(asked.body['error']).toBe('invalid_scope');
    }
  });

  test('who has acted before stays told', async () => {
    const second = await add('second-server', {
      grant_types: [EXCHANGE],
      response_types: [],
      token_exchange_from: [OTHER],
      token_exchange_to: [API],
      resource_scopes: { [API]: ['notes:read'] },
    });
    const { body } = await exchange(server, await subject());
    const { body: next } = await exchange(second, String(body['access_token']), { resource: API });
    expect(decodeJwt(String(next['access_token']))['act']).toEqual({
      sub: 'second-server',
      act: { sub: 'notes-server' },
    });
  });

  test.each<[string, () => Promise<Answer>, string]>([
    [
      'another resource',
      async () => exchange(server, await subject(), { resource: API }),
      'invalid_target',
    ],
    [
      'more scope',
      async () => exchange(server, await subject(), { scope: 'audit' }),
      'invalid_scope',
    ],
    [
      'a token for somebody else',
      async () => exchange(server, await subject(OTHER)),
      'invalid_request',
    ],
    ['a made-up token', () => exchange(server, 'made-up'), 'invalid_request'],
    [
      'another type',
      async () => exchange(server, await subject(), { subject_token_type: 'x' }),
      'invalid_request',
    ],
    [
      'an ID token',
      async () => exchange(server, (await new Party(provider, webClient).tokens()).id_token),
      'invalid_request',
    ],
    [
      'a client without a policy',
      async () =>
        exchange(
          await add(`free-${randomUUID()}`, { grant_types: [EXCHANGE], response_types: [] }),
          await subject(),
        ),
      'invalid_target',
    ],
    [
      'a client without the grant',
      async () => exchange(new Party(provider, webClient), await subject()),
      'unauthorized_client',
    ],
  ])('%s is refused', async (_what, send, error) => {
    const { status, body } = await send();
    expect({ status, error: body['error'] }).toEqual({ status: 400, error });
  });

  test('revoking what was got in exchange ends nothing of the client that it came from', async () => {
    const backwards = await add('backwards', {
      grant_types: [EXCHANGE],
      response_types: [],
      token_exchange_from: [OPAQUE],
      token_exchange_to: [OPAQUE],
    });
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({
      scope: 'openid notes:read offline_access',
      resource: OPAQUE,
    });
    const { body } = await exchange(backwards, tokens.access_token, { resource: OPAQUE });
    const token = String(body['access_token']);
    expect((await introspect(backwards, token)).body['active']).toBe(true);
    expect((await backwards.post('/revoke', { token })).status).toBe(200);
    expect((await introspect(backwards, token)).body['active']).toBe(false);
    const refreshed = await party.token({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
    });
    expect(refreshed.status).toBe(200);
  });

  test.each([API, OPAQUE])(
    'of a pairwise or a removed client there is none: %s',
    async (resource) => {
      const scope = 'openid notes:read';
      const pairwise = await add(randomUUID(), { subject_type: 'pairwise' });
      const paired = await pairwise.tokens({ scope, resource });
      expect((await exchange(server, paired.access_token)).body['error']).toBe('invalid_request');
      const short = await add(randomUUID());
      const orphan = await short.tokens({ scope, resource });
      await provider.storage.prisma.client.delete({ where: { id: short.client.client_id } });
      expect((await exchange(server, orphan.access_token)).body['error']).toBe('invalid_request');
    },
  );

  type Row = Parameters<typeof provider.storage.prisma.refreshFamily.updateMany>[0]['data'];
  const past = new Date(Date.now() - 1000);
  const change = (data: Row) => provider.storage.prisma.refreshFamily.updateMany({ data });
  const endings: Record<string, (party: Party, refreshToken: string) => Promise<unknown>> = {
    'its client revokes it': (party, token) => party.post('/revoke', { token }),
    'a used-up token comes': async (party, token) => {
      const refresh = (refreshToken: unknown) =>
        party.token({ grant_type: 'refresh_token', refresh_token: String(refreshToken) });
      const { body } = await refresh(token);
      await refresh(body['refresh_token']);
      expect((await refresh(token)).body['error']).toBe('invalid_grant');
    },
    'it is idle': () => change({ idleExpiresAt: past }),
    'it reaches its absolute end': () => change({ absoluteExpiresAt: past }),
    'the consent ends': () => change({ consentExpiresAt: past }),
  };
  test.each(
    Object.keys(endings).flatMap((ending) => [API, OPAQUE].map((of) => [ending, of] as const)),
  )('of a family that has ended there is none: %s, %s', async (ending, resource) => {
    const party = new Party(provider, webClient);
    const scope = 'openid notes:read offline_access';
    const tokens = await party.tokens({ scope, resource });
    const next = await add(randomUUID(), {
      ...{ grant_types: [EXCHANGE], response_types: [] },
      ...{ token_exchange_from: [OTHER], token_exchange_to: [API, OPAQUE] },
      resource_scopes: { [API]: ['notes:read'], [OPAQUE]: ['notes:read'] },
    });
    const opaque = (token: string) => exchange(next, token, { resource: OPAQUE });
    const first = await exchange(server, tokens.access_token);
    const exchanged = String(first.body['access_token']);
    const second = await opaque(exchanged);
    const third = String(second.body['access_token']);
    expect([first.status, second.status, (await exchange(server, third)).status]).toEqual([
      200, 200, 200,
    ]);
    await endings[ending]?.(party, String(tokens.refresh_token));
    // Neither of the token itself, nor of what was got in exchange for it.
    for (const answer of [
      await exchange(server, tokens.access_token),
      await opaque(exchanged),
      await exchange(server, third),
    ])
      expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test('a refresh token is none that is exchanged', async () => {
    const party = new Party(provider, webClient);
    const tokens = await party.tokens({ scope: 'openid notes:read offline_access', resource: API });
    const token = String(tokens.refresh_token);
    const type = 'urn:ietf:params:oauth:token-type:refresh_token';
    for (const asked of [ACCESS_TOKEN, type])
      expect((await exchange(server, token, { subject_token_type: asked })).body['error']).toBe(
        'invalid_request',
      );
    expect((await party.token({ grant_type: 'refresh_token', refresh_token: token })).status).toBe(
      200,
    );
  });

  test('an expired, a revoked, and a locked person’s token are refused', async () => {
    const party = new Party(provider, webClient);
    const opaque = await party.tokens({ scope: 'openid notes:read', resource: OPAQUE });
    await party.post('/revoke', { token: opaque.access_token });
    expect((await exchange(server, opaque.access_token)).body['error']).toBe('invalid_request');
    const token = await subject();
    const where = { id: provider.accountId };
    await provider.storage.prisma.account.update({ where, data: { lockedAt: new Date() } });
    expect((await exchange(server, token)).body['error']).toBe('invalid_request');
    await provider.storage.prisma.account.update({ where, data: { lockedAt: null } });
    expect((await exchange(server, token)).status).toBe(200);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 200_000 });
    expect((await exchange(server, token)).body['error']).toBe('invalid_request');
    vi.useRealTimers();
  });
});

describe('RFC 9396, rich authorization requests', () => {
  const detail = {
    type: 'payment_initiation',
    actions: ['initiate'],
    locations: [API],
    instructedAmount: { currency: 'EUR', amount: '123.50' },
    creditorName: '<b>Merchant</b>',
  };
  const details = JSON.stringify([detail]);

  test('are shown, granted, and told in the token and at introspection', async () => {
    const party = await add('payer', { authorization_details_types: ['payment_initiation'] });
    const request = party.request({
      scope: 'openid notes:read offline_access',
      resource: API,
      authorization_details: details,
    });
    const agent = new Agent(provider.issuer);
    const page = await agent.open(request);
    const consent = await agent.submit(
      page,
      { email: 'ada@example.com', password: 'correct horse battery' },
      /sign-in$/,
    );
    expect(consent.html.text).toContain('payment initiation');
    expect(consent.html.toString()).toContain('&lt;b&gt;Merchant');
    const end = await agent.submit(consent, {}, /consent$/);
    const code = end.away?.searchParams.get('code') ?? '';
    const { body } = await party.exchange(code);
    expect(body['authorization_details']).toEqual([detail]);
    expect(decodeJwt(String(body['access_token']))['authorization_details']).toEqual([detail]);
    const refresh = (extra: Record<string, string>) =>
      party.token({
        grant_type: 'refresh_token',
        refresh_token: String(body['refresh_token']),
        ...extra,
      });
    const more = JSON.stringify([
      { ...detail, instructedAmount: { currency: 'EUR', amount: '9999' } },
    ]);
    const refused = await refresh({ authorization_details: more, resource: API });
    expect(refused.body['error']).toBe('invalid_authorization_details');
    const same = await refresh({ authorization_details: details, resource: API });
    expect(same.body['authorization_details']).toEqual([detail]);
    // Asked for again: never without a page.
    const silent = new URL(request);
    silent.searchParams.set('prompt', 'none');
    const answer = await agent.authorize(silent);
    expect(answer.searchParams.get('error')).toBe('consent_required');
  });

  test.each([
    ['another type', '[{"type":"unknown"}]'],
    ['no JSON', 'x'],
    ['no array', '{"type":"payment_initiation"}'],
    [
      'too many',
      JSON.stringify(Array.from({ length: 21 }, () => ({ type: 'payment_initiation' }))),
    ],
    ['too large', JSON.stringify([{ type: 'payment_initiation', x: 'x'.repeat(4000) }])],
  ])('%s is refused', async (_what, authorization_details) => {
    const party = await add(`payer-${randomUUID()}`, {
      authorization_details_types: ['payment_initiation'],
    });
    const response = await party.authorize({
      resource: API,
      authorization_details,
    });
    expect(response['error']).toBe('invalid_authorization_details');
  });
});

test.each([
  ['RSA-OAEP-256', 'A256GCM'],
  ['ECDH-ES', 'A128CBC-HS256'],
])('encrypted ID tokens: %s with %s', async (alg, enc) => {
  const { privateKey, publicKey } = alg.startsWith('RSA')
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const party = await add(`encrypted-${alg}`, {
    jwks: { keys: [{ ...(await exportJWK(publicKey)), use: 'enc', kid: 'enc' }] },
    id_token_encrypted_response_alg: alg,
    id_token_encrypted_response_enc: enc,
  });
  const { code } = await party.authorize();
  const { body } = await party.exchange(code ?? '');
  const { plaintext, protectedHeader } = await compactDecrypt(String(body['id_token']), privateKey);
  expect(protectedHeader).toMatchObject({ alg, enc, cty: 'JWT' });
  await party.verify(Buffer.from(plaintext).toString(), {});
});

describe('RFC 7636, PKCE', () => {
  test('public clients must, and S256 it is', async () => {
    const party = new Party(provider, publicClient);
    expect((await party.authorize())['error']).toBe('invalid_request');
    const { code_challenge } = pkce();
    const plain = { code_challenge, code_challenge_method: 'plain' };
    expect((await party.authorize(plain))['error']).toBe('invalid_request');
    expect((await party.authorize({ code_challenge }))['error']).toBe('invalid_request');
  });

  test('a wrong verifier, none, and one that nobody asked for are refused (RFC 9700 §2.1.1)', async () => {
    const party = new Party(provider, webClient);
    const { code_challenge } = pkce();
    for (const code_verifier of [undefined, 'w'.repeat(43)]) {
      const { code } = await party.authorize({ code_challenge, code_challenge_method: 'S256' });
      const { body } = await party.exchange(code ?? '', { code_verifier });
      expect(body['error']).toBe('invalid_grant');
    }
    const { code } = await party.authorize();
    const { body } = await party.exchange(code ?? '', { code_verifier: 'w'.repeat(43) });
    expect(body['error']).toBe('invalid_grant');
  });

  test('every client must, where the setting says so', async () => {
    const strict = await startProvider({ environment: { SYMBOLON_REQUIRE_PKCE: 'true' } });
    const party = new Party(strict, webClient);
    expect((await party.authorize())['error']).toBe('invalid_request');
    const { code_challenge, code_verifier } = pkce();
    await party.tokens({ code_challenge, code_challenge_method: 'S256' }, { code_verifier });
    await strict.close();
  });
});

test('RFC 8252: a native application’s loopback redirect URI may have any port', async () => {
  const party = await add('native', {
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback', 'com.example.app:/callback'],
    token_endpoint_auth_method: 'none',
    client_secret: undefined,
  });
  const { code_challenge } = pkce();
  const challenge = { code_challenge, code_challenge_method: 'S256' };
  for (const redirect_uri of ['http://127.0.0.1:51234/callback', 'com.example.app:/callback']) {
    const response = await party.authorize({ redirect_uri, ...challenge });
    expect(response).toHaveProperty('code');
  }
  await party.refused(
    party.request({ redirect_uri: 'http://127.0.0.1:51234/other', ...challenge }),
  );
});

describe('RFC 7009, revocation', () => {
  test('answers 200 to what it does not know, and refuses what is another’s', async () => {
    const party = new Party(provider, webClient);
    expect((await party.post('/revoke', { token: 'made-up' })).status).toBe(200);
    const tokens = await party.tokens({ scope: 'openid offline_access', prompt: 'consent' });
    const other = await add('revoker');
    const refused = await other.post('/revoke', { token: tokens.access_token });
    expect(refused.status).toBe(400);
    expect((await party.userinfo(tokens.access_token)).status).toBe(200);
    expect((await party.post('/revoke', { token: tokens.access_token })).status).toBe(200);
    expect((await party.userinfo(tokens.access_token)).status).toBe(401);
  });
});

describe('CORS: scripts of registered origins only', () => {
  const origin = new URL(publicClient.redirect_uris[0] ?? '').origin;
  const call = (path: string, from: string, form?: Json) =>
    fetch(`${provider.issuer}${path}`, {
      method: form ? 'POST' : 'GET',
      headers: { origin: from },
      ...(form ? { body: new URLSearchParams(form as Record<string, string>) } : {}),
    });

  test('discovery and keys are for everybody', async () => {
    for (const path of ['/.well-known/openid-configuration', '/jwks'])
      expect(
        (await call(path, 'https://any.example')).headers.get('access-control-allow-origin'),
      ).toBe('https://any.example');
  });

  test('the token endpoint is for a public client’s own origin', async () => {
    const form = {
      client_id: publicClient.client_id,
      grant_type: 'refresh_token',
      refresh_token: 'x',
    };
    const own = await call('/token', origin, form);
    expect(own.headers.get('access-control-allow-origin')).toBe(origin);
    const foreign = await call('/token', 'https://evil.example', form);
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  });
});

test('RFC 8414: the document is found in front of a path as well', async () => {
  const below = await startProvider({ path: '/tenant' });
  const at = new URL('/.well-known/oauth-authorization-server/tenant', below.issuer);
  const { body } = await answerOf(await fetch(at));
  expect(body).toMatchObject({ issuer: below.issuer, token_endpoint: `${below.issuer}/token` });
  await below.close();
});

test('RFC 9207 and RFC 9700 §4.4: every answer names the issuer, errors too', async () => {
  const party = new Party(provider, webClient);
  expect((await party.authorize())['iss']).toBe(provider.issuer);
  expect((await party.elsewhere().authorize({ prompt: 'none' }))['iss']).toBe(provider.issuer);
});

test('RFC 9449: a public client’s refresh token is bound to the key that it was issued to', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = await exportJWK(publicKey);
  const { SignJWT } = await import('jose');
  const proof = (claims: JWTPayload = {}) =>
    new SignJWT({ htm: 'POST', htu: `${provider.issuer}/token`, jti: randomUUID(), ...claims })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(privateKey);
  const party = new Party(provider, publicClient);
  const { code_challenge, code_verifier } = pkce();
  const { code } = await party.authorize({
    scope: 'openid offline_access',
    prompt: 'consent',
    code_challenge,
    code_challenge_method: 'S256',
  });
  const first = await party.token(
    {
      grant_type: 'authorization_code',
      code,
      code_verifier,
      redirect_uri: publicClient.redirect_uris[0],
    },
    { dpop: await proof() },
  );
  const form = { grant_type: 'refresh_token', refresh_token: String(first.body['refresh_token']) };
  expect((await party.token(form)).body['error']).toBe('invalid_grant');
  expect((await party.token(form, { dpop: await proof() })).status).toBe(200);
  const thumbprint = createHash('sha256')
    .update(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }))
    .digest('base64url');
  const asking = new Party(provider, webClient);
  expect((await introspect(asking, first.body['access_token'])).body['cnf']).toEqual({
    jkt: thumbprint,
  });
});
