// The discovery document against what the provider does: every endpoint answers, everything listed works, nothing
// unlisted is accepted.
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT, exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { type Json, Party, answerOf } from './party.ts';

let provider: TestProvider;
let party: Party;
let document: Json;
const list = (name: string) => document[name] as string[];

beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_ENABLE_ENCRYPTION: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_REGISTRATION: 'open',
      SYMBOLON_AUTHORIZATION_DETAILS_TYPES: 'payment_initiation',
    },
  });
  party = new Party(provider, webClient);
  document = await party.discovery();
});
afterAll(() => provider.close());

const add = async (metadata: Json): Promise<Party> => {
  const client = { ...webClient, ...metadata, client_id: randomUUID() };
  await provider.addClient(client);
  return new Party(provider, client);
};
const register = async (metadata: Json) =>
  answerOf(
    await fetch(String(document['registration_endpoint']), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://app.example/callback'], ...metadata }),
    }),
  );

test('the document is the same at both places, and may be kept for minutes', async () => {
  const oauth = await fetch(`${provider.issuer}/.well-known/oauth-authorization-server`);
  expect(await oauth.json()).toEqual(document);
  expect(oauth.headers.get('cache-control')).toBe('public, max-age=300');
});

test('every endpoint is there, and answers wrong requests with an error of its own', async () => {
  const endpoints = Object.entries(document).filter((entry): entry is [string, string] =>
    /_endpoint$|^jwks_uri$/.test(entry[0]),
  );
  expect(endpoints.length).toBeGreaterThan(10);
  for (const [name, url] of endpoints) {
    const isPage = ['authorization_endpoint', 'end_session_endpoint', 'jwks_uri'].includes(name);
    const { status } = await fetch(url, { method: isPage ? 'GET' : 'POST', redirect: 'manual' });
    expect({ name, status }).toEqual({ name, status: expect.any(Number) as number });
    expect([404, 405, 500, 501, 503]).not.toContain(status);
  }
});

describe('algorithms', () => {
  test('of ID tokens, userinfo, introspection and JARM: those listed, and no others', async () => {
    const members = {
      id_token_signing_alg_values_supported: 'id_token_signed_response_alg',
      userinfo_signing_alg_values_supported: 'userinfo_signed_response_alg',
      introspection_signing_alg_values_supported: 'introspection_signed_response_alg',
      authorization_signing_alg_values_supported: 'authorization_signed_response_alg',
      request_object_signing_alg_values_supported: 'request_object_signing_alg',
    };
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'x' }] };
    for (const [supported, member] of Object.entries(members)) {
      // EdDSA has no keys here, but a client may sign with it.
      const all = ['ES256', 'EdDSA', 'PS256', 'RS256'];
      const ofClients = member === 'request_object_signing_alg';
      expect(list(supported).toSorted()).toEqual(
        ofClients ? all : all.filter((alg) => alg !== 'EdDSA'),
      );
      for (const alg of list(supported))
        expect((await register({ [member]: alg, jwks })).status).toBe(201);
      for (const alg of ['none', 'HS256', 'RS384', 'RS512', 'ES384', 'ES512'])
        expect((await register({ [member]: alg, jwks })).status).toBe(400);
    }
  });

  test.each(['HS256', 'RS256', 'ES256', 'PS256', 'EdDSA'])(
    'of client assertions: %s',
    async (alg) => {
      expect(list('token_endpoint_auth_signing_alg_values_supported')).toContain(alg);
      const pair =
        alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : alg === 'EdDSA'
            ? generateKeyPairSync('ed25519')
            : generateKeyPairSync('rsa', { modulusLength: 2048 });
      const isShared = alg === 'HS256';
      const client = await add({
        grant_types: ['client_credentials'],
        response_types: [],
        token_endpoint_auth_method: isShared ? 'client_secret_jwt' : 'private_key_jwt',
        ...(isShared ? {} : { jwks: { keys: [await exportJWK(pair.publicKey)] } }),
      });
      const { client_id: id } = client.client;
      const header = (used: string) =>
        Buffer.from(JSON.stringify({ alg: used })).toString('base64url');
      const claims = {
        iss: id,
        sub: id,
        aud: provider.issuer,
        jti: randomUUID(),
        exp: Math.floor(Date.now() / 1000) + 60,
      };
      const key = isShared ? Buffer.from(webClient.client_secret) : pair.privateKey;
      const send = async (client_assertion: string) =>
        answerOf(
          await fetch(String(document['token_endpoint']), {
            method: 'POST',
            body: new URLSearchParams({
              grant_type: 'client_credentials',
              client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
              client_assertion,
            }),
          }),
        );
      const good = await new SignJWT(claims).setProtectedHeader({ alg }).sign(key);
      expect((await send(good)).status).toBe(200);
      const body = Buffer.from(JSON.stringify({ ...claims, jti: randomUUID() })).toString(
        'base64url',
      );
      const unsigned = `${header('none')}.${body}.`;
      expect((await send(unsigned)).body['error']).toBe('invalid_client');
      const forged = `${header('HS512')}.${body}`;
      const mac = createHmac('sha512', webClient.client_secret).update(forged).digest('base64url');
      expect((await send(`${forged}.${mac}`)).body['error']).toBe('invalid_client');
    },
  );
});

test('response modes: each listed works, another is refused', async () => {
  expect(list('response_modes_supported').toSorted()).toEqual([
    'form_post',
    'form_post.jwt',
    'fragment',
    'fragment.jwt',
    'jwt',
    'query',
    'query.jwt',
  ]);
  for (const response_mode of list('response_modes_supported')) {
    const page = await party.agent.walk(party.request({ response_mode }));
    expect(
      page.away ?? page.html.querySelector('form[action^="http://localhost:4000"]'),
    ).toBeTruthy();
  }
  const refused = await party.agent.walk(party.request({ response_mode: 'web_message' }));
  expect(refused.away?.searchParams.get('error')).toBe('unsupported_response_mode');
});

test('grant types: each listed is known, another is not', async () => {
  for (const grant_type of list('grant_types_supported')) {
    if (grant_type === 'implicit') continue; // has no part at the token endpoint
    const { body } = await party.token({ grant_type });
    expect({ grant_type, error: body['error'] }).not.toEqual({
      grant_type,
      error: 'unsupported_grant_type',
    });
  }
  expect((await party.token({ grant_type: 'made_up' })).body['error']).toBe(
    'unsupported_grant_type',
  );
});

test('response types and subject types: a code, and the subject types listed, can be registered by anybody', async () => {
  for (const type of list('response_types_supported')) {
    const grants = [
      ...(type.includes('code') ? ['authorization_code'] : []),
      ...(type === 'code' ? [] : ['implicit']),
    ];
    // Who registers without an invitation gets codes only (RFC 9700 §2.1.2).
    const { status } = await register({ response_types: [type], grant_types: grants });
    expect({ type, status }).toEqual({ type, status: type === 'code' ? 201 : 400 });
  }
  for (const type of ['none', 'token', 'code none'])
    expect((await register({ response_types: [type] })).status).toBe(400);
  for (const type of list('subject_types_supported'))
    expect((await register({ subject_type: type })).status).toBe(201);
  expect((await register({ subject_type: 'other' })).status).toBe(400);
});

test('client authentication: the methods that are listed, and no others', async () => {
  const methods = list('token_endpoint_auth_methods_supported');
  expect(methods.toSorted()).toEqual([
    'client_secret_basic',
    'client_secret_jwt',
    'client_secret_post',
    'none',
    'private_key_jwt',
  ]);
  for (const token_endpoint_auth_method of ['tls_client_auth', 'made_up'])
    expect((await register({ token_endpoint_auth_method })).status).toBe(400);
  // A client that registered one may not use another; a secret may come in the header or in the body.
  const jwt = await add({ token_endpoint_auth_method: 'client_secret_jwt' });
  const { client_id: id } = jwt.client;
  const basic = new Party(provider, { ...webClient, client_id: id });
  expect((await basic.token({ grant_type: 'authorization_code', code: 'x' })).body['error']).toBe(
    'invalid_client',
  );
});

test('scopes and claims: each listed scope is granted, each listed claim may be asked for', async () => {
  const response = await party.authorize({
    scope: list('scopes_supported').join(' '),
    claims: JSON.stringify({
      userinfo: Object.fromEntries(list('claims_supported').map((claim) => [claim, null])),
    }),
    prompt: 'consent',
  });
  const { body } = await party.exchange(response['code'] ?? '');
  expect(String(body['scope']).split(' ').sort()).toEqual(list('scopes_supported').toSorted());
  for (const claim of ['acr', 'amr', 'auth_time', 'sub', 'iss', 'sid', 'name', 'address'])
    expect(list('claims_supported')).toEqual(
      expect.arrayContaining(claim === 'acr' ? [] : [claim]),
    );
});

test('encryption of ID tokens: what is listed can be registered, what is not cannot', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwks = { keys: [{ ...(await exportJWK(rsa.publicKey)), kid: 'x', use: 'enc' }] };
  for (const alg of list('id_token_encryption_alg_values_supported'))
    for (const enc of list('id_token_encryption_enc_values_supported')) {
      const { status } = await register({
        id_token_encrypted_response_alg: alg,
        id_token_encrypted_response_enc: enc,
        jwks,
      });
      expect({ alg, enc, status }).toEqual({ alg, enc, status: 201 });
    }
  for (const alg of ['RSA1_5', 'dir', 'A128KW'])
    expect((await register({ id_token_encrypted_response_alg: alg, jwks })).status).toBe(400);
});
