// The plans for FAPI 2.0 Security Profile and Message Signing (final): what a client registered with
// security_profile "fapi2" may do, and what it may not.
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import {
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
  createLocalJWKSet,
  exportJWK,
  jwtVerify,
} from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type TestProvider, startProvider } from '../support/provider.ts';
import { type Answer, type Json, type Parameters, Party, answerOf, pkce } from './party.ts';

const redirect = 'https://app.example/callback';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

interface Key {
  readonly alg: string;
  readonly privateKey: ReturnType<typeof generateKeyPairSync>['privateKey'];
  readonly jwk: Json;
  readonly thumbprint: string;
}

async function makeKey(alg = 'ES256', kid = randomUUID()): Promise<Key> {
  const { privateKey, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...(await exportJWK(publicKey)), alg, kid, use: 'sig' };
  const { crv, kty, x, y, e, n } = jwk as Record<string, unknown>;
  const members = kty === 'EC' ? { crv, kty, x, y } : { e, kty, n };
  const thumbprint = createHash('sha256').update(JSON.stringify(members)).digest('base64url');
  return { alg, privateKey, jwk, thumbprint };
}

const now = () => Math.floor(Date.now() / 1000);

let provider: TestProvider;
let one: Client;
let two: Client;

class Client {
  readonly party: Party;
  readonly id: string;
  readonly key: Key;
  readonly rsa: Key;

  constructor(id: string, key: Key, rsa: Key) {
    this.id = id;
    this.key = key;
    this.rsa = rsa;
    this.party = new Party(provider, { client_id: id, redirect_uris: [redirect] });
  }

  static async add(id: string, metadata: Json = {}): Promise<Client> {
    const [key, rsa] = [await makeKey(), await makeKey('RS256')];
    await provider.addClient({
      client_id: id,
      security_profile: 'fapi2',
      redirect_uris: [redirect],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [key.jwk, rsa.jwk] },
      ...metadata,
    });
    return new Client(id, key, rsa);
  }

  async assertion(claims: JWTPayload = {}, key = this.key): Promise<Parameters> {
    const payload: JWTPayload = {
      iss: this.id,
      sub: this.id,
      aud: provider.issuer,
      jti: randomUUID(),
      iat: now(),
      exp: now() + 60,
      ...claims,
    };
    const client_assertion = await new SignJWT(payload)
      .setProtectedHeader({ alg: key.alg, kid: String(key.jwk['kid']) })
      .sign(key.privateKey);
    return { client_assertion_type: ASSERTION, client_assertion };
  }

  async push(
    parameters: Parameters = {},
    how: { claims?: JWTPayload; key?: Key; proof?: string } = {},
  ) {
    const secret = pkce();
    const form: Parameters = {
      response_type: 'code',
      client_id: this.id,
      redirect_uri: redirect,
      scope: 'openid offline_access',
      state: randomUUID(),
      nonce: randomUUID(),
      code_challenge: secret.code_challenge,
      code_challenge_method: 'S256',
      ...(await this.assertion(how.claims, how.key)),
      ...parameters,
    };
    const headers: Record<string, string> = how.proof === undefined ? {} : { dpop: how.proof };
    const answer = await this.party.post('/par', form, headers);
    return { ...answer, form, verifier: secret.code_verifier };
  }

  async authorize(requestUri: unknown, outside: Parameters = {}) {
    return this.party.follow(this.front(requestUri, outside));
  }

  front(requestUri: unknown, outside: Parameters = {}): URL {
    const url = new URL(`${provider.issuer}/authorize`);
    url.search = new URLSearchParams({
      client_id: this.id,
      request_uri: String(requestUri),
      ...(outside as Record<string, string>),
    }).toString();
    return url;
  }

  /** From the pushed request to the code. */
  async code(parameters: Parameters = {}) {
    const pushed = await this.push(parameters);
    expect(pushed).toMatchObject({ status: 201 });
    expect(pushed.body['expires_in']).toBeGreaterThan(0);
    const response = await this.authorize(pushed.body['request_uri']);
    expect(response['iss']).toBe(provider.issuer);
    expect(response['state']).toBe(pushed.form['state']);
    return { code: response['code'] ?? '', verifier: pushed.verifier, pushed, response };
  }

  async exchange(
    { code, verifier }: { code: string; verifier: string },
    { proof, extra = {} }: { proof?: string | undefined; extra?: Parameters } = {},
  ): Promise<Answer> {
    return this.party.token(
      {
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirect,
        code_verifier: verifier,
        ...(await this.assertion()),
        ...extra,
      },
      proof === undefined ? {} : { dpop: proof },
    );
  }

  async refresh(token: unknown, key: Key): Promise<Answer> {
    const dpop = await proof(key, 'POST', `${provider.issuer}/token`);
    return this.party.token(
      { grant_type: 'refresh_token', refresh_token: String(token), ...(await this.assertion()) },
      { dpop },
    );
  }

  async tokens() {
    const key = await makeKey();
    const started = await this.code();
    const dpop = await proof(key, 'POST', `${provider.issuer}/token`);
    const { status, body } = await this.exchange(started, { proof: dpop });
    expect({ status, body }).toMatchObject({ status: 200, body: { token_type: 'DPoP' } });
    return { key, body, ...started };
  }
}

async function proof(
  key: Key,
  htm: string,
  htu: string,
  claims: JWTPayload = {},
  header: Json = {},
) {
  const { kty, crv, x, y, n, e } = key.jwk as Record<string, string>;
  const jwk = kty === 'EC' ? { kty, crv, x, y } : { kty, n, e };
  const payload: JWTPayload = { htm, htu, jti: randomUUID(), iat: now(), ...claims };
  return new SignJWT(payload)
    .setProtectedHeader({ alg: key.alg, typ: 'dpop+jwt', jwk, ...header })
    .sign(key.privateKey);
}

const ath = (token: unknown) => createHash('sha256').update(String(token)).digest('base64url');

async function userinfo(
  token: unknown,
  dpop: string | undefined,
  scheme = 'DPoP',
): Promise<Answer> {
  return answerOf(
    await fetch(`${provider.issuer}/userinfo`, {
      headers: { authorization: `${scheme} ${String(token)}`, ...(dpop ? { dpop } : {}) },
    }),
  );
}

beforeAll(async () => {
  provider = await startProvider();
  one = await Client.add('fapi-one');
  two = await Client.add('fapi-two');
});
afterEach(() => vi.useRealTimers());
afterAll(() => provider.close());

describe('security profile', () => {
  test('discovery-end-point-verification', async () => {
    const document = await one.party.discovery();
    expect(document).toMatchObject({
      pushed_authorization_request_endpoint: `${provider.issuer}/par`,
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      dpop_signing_alg_values_supported: ['ES256', 'PS256', 'EdDSA'],
    });
    expect(document['token_endpoint_auth_methods_supported']).toContain('private_key_jwt');
  });

  test('happy-flow: bound tokens, answers signed with PS256, no unasked claims', async () => {
    const { key, body } = await one.tokens();
    const { payload, protectedHeader } = await jwtVerify(
      String(body['id_token']),
      createLocalJWKSet((await one.party.jwks()) as never),
      { issuer: provider.issuer, audience: one.id },
    );
    expect(protectedHeader.alg).toBe('PS256');
    expect(payload).not.toHaveProperty('name');
    const token = body['access_token'];
    const dpop = () => proof(key, 'GET', `${provider.issuer}/userinfo`, { ath: ath(token) });
    expect((await userinfo(token, await dpop())).status).toBe(200);
    expect((await userinfo(token, await dpop(), 'dPoP')).status).toBe(200); // case of the scheme
    expect((await userinfo(token, undefined, 'Bearer')).status).toBe(401);
    expect((await userinfo(token, undefined)).status).toBeGreaterThanOrEqual(400);
  });

  test('ensure-other-scope-order-succeeds', async () => {
    const { response } = await one.code({ scope: 'offline_access openid' });
    expect(response).toHaveProperty('code');
  });

  test('test-claims-parameter-identity-claims: every claim, and unknown ones are ignored', async () => {
    const document = await one.party.discovery();
    const wanted = [...(document['claims_supported'] as string[]), 'unknown_claim'];
    const { response } = await one.code({
      claims: JSON.stringify({ userinfo: Object.fromEntries(wanted.map((name) => [name, null])) }),
    });
    expect(response).toHaveProperty('code');
  });

  test('user-rejects-authentication', async () => {
    const pushed = await one.push();
    const agent = one.party.elsewhere().agent;
    const page = await agent.open(one.front(pushed.body['request_uri']));
    const end = await agent.submit(page, {}, /cancel$/);
    expect(end.away?.searchParams.get('error')).toBe('access_denied');
  });

  test('ensure-authorization-request-without-state-success, -without-nonce-success', async () => {
    for (const missing of ['state', 'nonce']) {
      const pushed = await one.push({ [missing]: undefined });
      const response = await one.authorize(pushed.body['request_uri']);
      expect(response).toHaveProperty('code');
      if (missing === 'state') expect(response).not.toHaveProperty('state');
    }
  });

  test.each([64, 384])('a nonce and a state of %i characters come back whole', async (length) => {
    const long = 'n'.repeat(length);
    const { response, ...started } = await one.code({ nonce: long, state: long });
    expect(response['state']).toBe(long);
    const dpop = await proof(await makeKey(), 'POST', `${provider.issuer}/token`);
    const { body } = await one.exchange(started, { proof: dpop });
    const claims = JSON.parse(
      Buffer.from(String(body['id_token']).split('.')[1] ?? '', 'base64url').toString(),
    ) as Json;
    expect(claims['nonce']).toBe(long);
  });

  test.each([
    ['response-type-code-idtoken', { response_type: 'code id_token' }],
    ['response-type-token', { response_type: 'token' }],
    ['pkce-required', { code_challenge: undefined, code_challenge_method: undefined }],
    ['plain-pkce-rejected', { code_challenge_method: 'plain' }],
    ['request-object-without-redirect-uri', { redirect_uri: undefined }],
    ['authorization-request-containing-request_uri-form-param', { request_uri: 'urn:x' }],
    ['registered-redirect-uri', { redirect_uri: 'https://evil.example/' }],
  ])('par: %s fails', async (_module, parameters) => {
    const { status, body } = await one.push(parameters);
    expect({ status, error: body['error'] }).toMatchObject({ status: 400 });
  });

  test('par-attempt-invalid-http-method', async () => {
    expect((await fetch(`${provider.issuer}/par`, { method: 'PUT' })).status).toBeGreaterThan(399);
  });

  test('ensure-unsigned-authorization-request-without-using-par-fails', async () => {
    const { code_challenge } = pkce();
    const request = one.party.request({ code_challenge, code_challenge_method: 'S256' });
    expect((await one.party.follow(request))['error']).toBe('invalid_request');
  });

  test('ensure-different-nonce, -state inside and outside; state only outside is not used', async () => {
    const pushed = await one.push({ state: 'inside' });
    const response = await one.party.agent.authorize(
      one.front(pushed.body['request_uri'], { state: 'outside', nonce: 'outside' }),
    );
    expect(response.searchParams.get('state')).toBe('inside');
    const without = await one.push({ state: undefined });
    const answer = await one.party.agent.authorize(
      one.front(without.body['request_uri'], { state: 'outside' }),
    );
    expect(answer.searchParams.get('state')).toBeNull();
  });

  test('par-attempt-reuse-request_uri, -expired-request_uri, -for-different-client', async () => {
    const { pushed } = await one.code();
    const uri = pushed.body['request_uri'];
    await one.party.refused(one.front(uri));
    const foreign = await one.push();
    await two.party.refused(two.front(foreign.body['request_uri']));
    const late = await one.push();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 100_000 });
    await one.party.refused(one.front(late.body['request_uri']));
  });

  test('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds', async () => {
    const party = new Client(one.id, one.key, one.rsa);
    const pushed = await party.push();
    await party.party.agent.open(party.front(pushed.body['request_uri'])); // the sign-in page
    expect(await party.authorize(pushed.body['request_uri'])).toHaveProperty('code');
  });

  describe('client assertions', () => {
    test.each<[string, () => JWTPayload]>([
      ['exp-is-5-minutes-in-past', () => ({ iat: now() - 360, exp: now() - 300 })],
      ['wrong-aud', () => ({ aud: 'https://evil.example/' })],
      ['no-sub', () => ({ sub: undefined })],
      [
        'nbf-over-60-seconds-in-the-future',
        () => ({ nbf: now() + 100, iat: now() + 100, exp: now() + 160 }),
      ],
      ['array-as-audience', () => ({ aud: [provider.issuer, `${provider.issuer}/token`] })],
      ['par-endpoint-url-as-audience', () => ({ aud: `${provider.issuer}/par` })],
      ['token-endpoint-url-as-audience', () => ({ aud: `${provider.issuer}/token` })],
    ])('%s fails', async (_module, claims) => {
      const { status, body } = await one.push({}, { claims: claims() });
      expect([400, 401]).toContain(status);
      expect(body['error']).toMatch(/invalid_client|invalid_request/);
    });

    test('nbf-8-seconds-in-the-future-is-accepted', async () => {
      const claims = { nbf: now() + 8, iat: now() + 8, exp: now() + 68 };
      expect((await one.push({}, { claims })).status).toBe(201);
    });

    test('ensure-signed-client-assertion-with-RS256-fails', async () => {
      const { status, body } = await one.push({}, { key: one.rsa });
      expect({ status, error: body['error'] }).toEqual({ status: 401, error: 'invalid_client' });
    });

    test('ensure-client-assertion-in-token-endpoint, -client-id-in-token-endpoint', async () => {
      const started = await one.code();
      const key = await makeKey();
      const dpop = () => proof(key, 'POST', `${provider.issuer}/token`);
      const none = await one.exchange(started, {
        proof: await dpop(),
        extra: { client_assertion: undefined, client_assertion_type: undefined },
      });
      expect([400, 401]).toContain(none.status);
      const mixed = await one.exchange(started, {
        proof: await dpop(),
        extra: { client_id: two.id },
      });
      expect([400, 401]).toContain(mixed.status);
      expect(mixed.body['error']).toMatch(/invalid_client|invalid_grant|invalid_request/);
    });
  });

  test('ensure-holder-of-key-required', async () => {
    const { status, body } = await one.exchange(await one.code());
    expect({ status, error: body['error'] }).toMatchObject({ status: 400 });
  });

  test('ensure-authorization-code-is-bound-to-client', async () => {
    const started = await one.code();
    const dpop = await proof(await makeKey(), 'POST', `${provider.issuer}/token`);
    expect((await two.exchange(started, { proof: dpop })).body['error']).toBe('invalid_grant');
  });

  test('attempt-reuse-authorization-code-after-one-second', async () => {
    const { key, body, code, verifier } = await one.tokens();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1000 });
    const dpop = await proof(key, 'POST', `${provider.issuer}/token`);
    const again = await one.exchange({ code, verifier }, { proof: dpop });
    expect(again).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    const token = body['access_token'];
    const used = await proof(key, 'GET', `${provider.issuer}/userinfo`, { ath: ath(token) });
    expect((await userinfo(token, used)).status).toBe(401);
  });

  test('ensure-token-endpoint-fails-with-expired-auth-code', async () => {
    const started = await one.code();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 77_000 });
    const dpop = await proof(await makeKey(), 'POST', `${provider.issuer}/token`);
    expect((await one.exchange(started, { proof: dpop })).body['error']).toBe('invalid_grant');
  });

  test('ensure-pkce-code-verifier-required, incorrect-pkce-code-verifier-rejected', async () => {
    for (const code_verifier of [undefined, 'w'.repeat(43)]) {
      const dpop = await proof(await makeKey(), 'POST', `${provider.issuer}/token`);
      const answer = await one.exchange(await one.code(), {
        proof: dpop,
        extra: { code_verifier },
      });
      expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    }
  });

  describe('DPoP', () => {
    test('check-dpop-proof-nbf-exp, iat 10 seconds before and 8 after', async () => {
      for (const claims of [
        { nbf: now() - 5, exp: now() + 60 },
        { iat: now() - 10 },
        { iat: now() + 8 },
      ]) {
        const dpop = await proof(await makeKey(), 'POST', `${provider.issuer}/token`, claims);
        expect((await one.exchange(await one.code(), { proof: dpop })).status).toBe(200);
      }
    });

    test('a key named at PAR binds the code', async () => {
      const [key, other] = [await makeKey(), await makeKey()];
      const atPar = await proof(key, 'POST', `${provider.issuer}/par`);
      const mismatched = await one.push({ dpop_jkt: other.thumbprint }, { proof: atPar });
      expect(mismatched.status).toBe(400);
      for (const [used, status] of [
        [other, 400],
        [key, 200],
      ] as const) {
        const proved = await one.push(
          {},
          { proof: await proof(key, 'POST', `${provider.issuer}/par`) },
        );
        const { code = '' } = await one.authorize(proved.body['request_uri']);
        const dpop = await proof(used, 'POST', `${provider.issuer}/token`);
        const { status: got } = await one.exchange(
          { code, verifier: proved.verifier },
          { proof: dpop },
        );
        expect(got).toBe(status);
      }
      const named = await one.push({ dpop_jkt: key.thumbprint });
      const { code = '' } = await one.authorize(named.body['request_uri']);
      const dpop = await proof(other, 'POST', `${provider.issuer}/token`);
      const refused = await one.exchange({ code, verifier: named.verifier }, { proof: dpop });
      expect(refused.status).toBe(400);
    });

    test('dpop-negative-tests', async () => {
      const { key, body } = await one.tokens();
      const token = body['access_token'];
      const url = `${provider.issuer}/userinfo`;
      const other = await makeKey();
      const good = { ath: ath(token) };
      const rs = await makeKey('RS256');
      const replayed = await proof(key, 'GET', url, good);
      expect((await userinfo(token, replayed)).status).toBe(200);
      const bad: [string, string][] = [
        ['replay', replayed],
        ['no JWT', 'x.y.z'],
        ['method', await proof(key, 'POST', url, good)],
        ['URL', await proof(key, 'GET', `${provider.issuer}/elsewhere`, good)],
        ['no ath', await proof(key, 'GET', url)],
        ['wrong ath', await proof(key, 'GET', url, { ath: ath('other') })],
        ['old', await proof(key, 'GET', url, { ...good, iat: now() - 3600 })],
        ['early', await proof(key, 'GET', url, { ...good, iat: now() + 3600 })],
        ['no jti', await proof(key, 'GET', url, { ...good, jti: undefined })],
        ['no htm', await proof(key, 'GET', url, { ...good, htm: undefined })],
        ['no htu', await proof(key, 'GET', url, { ...good, htu: undefined })],
        ['no iat', await proof(key, 'GET', url, { ...good, iat: undefined })],
        ['typ', await proof(key, 'GET', url, good, { typ: 'JWT' })],
        ['another key', await proof(other, 'GET', url, good)],
        ['RS256', await proof(rs, 'GET', url, good)],
        ['no jwk', await proof(key, 'GET', url, good, { jwk: undefined })],
        [
          'private jwk',
          await proof(key, 'GET', url, good, {
            jwk: { ...(await exportJWK(key.privateKey)) },
          }),
        ],
        [
          'none',
          `${Buffer.from('{"alg":"none","typ":"dpop+jwt"}').toString('base64url')}.${replayed.split('.')[1] ?? ''}.`,
        ],
      ];
      for (const [what, dpop] of bad) {
        const { status } = await userinfo(token, dpop);
        expect({ what, refused: [400, 401].includes(status) }).toEqual({ what, refused: true });
      }
    });

    test('with a nonce of the provider’s when one is wanted, and refused with an old one', async () => {
      const { key, body } = await one.tokens();
      const token = body['access_token'];
      const stale = await proof(key, 'GET', `${provider.issuer}/userinfo`, {
        ath: ath(token),
        nonce: 'made-up',
      });
      const { status, headers } = await userinfo(token, stale);
      expect(status).toBe(401);
      const nonce = headers.get('dpop-nonce') ?? '';
      expect(nonce).not.toBe('');
      const renewed = await proof(key, 'GET', `${provider.issuer}/userinfo`, {
        ath: ath(token),
        nonce,
      });
      expect((await userinfo(token, renewed)).status).toBe(200);
    });
  });

  test('refresh-token: no rotation, a new DPoP key each time, another client refused', async () => {
    const { body } = await one.tokens();
    const first = await one.refresh(body['refresh_token'], await makeKey());
    expect(first).toMatchObject({ status: 200, body: { token_type: 'DPoP' } });
    expect(first.body['refresh_token']).toBe(body['refresh_token']);
    const second = await one.refresh(first.body['refresh_token'], await makeKey());
    expect(second.status).toBe(200);
    const stolen = await two.refresh(body['refresh_token'], await makeKey());
    expect(stolen.body['error']).toBe('invalid_grant');
  });

  test('refresh-token where the provider rotates: the former one works 30 seconds later', async () => {
    const rotating = await Client.add('fapi-rotating', { refresh_token_rotation: 'always' });
    const { body } = await rotating.tokens();
    const first = await rotating.refresh(body['refresh_token'], await makeKey());
    expect(first.body['refresh_token']).not.toBe(body['refresh_token']);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 });
    const again = await rotating.refresh(body['refresh_token'], await makeKey());
    expect(again.body['refresh_token']).toBe(first.body['refresh_token']);
  });

  test.each([
    [{ token_endpoint_auth_method: 'client_secret_basic', client_secret: 'x'.repeat(43) }],
    [{ token_endpoint_auth_method: 'none' }],
    [{ response_types: ['code', 'code id_token'] }],
    [{ redirect_uris: ['http://app.example/callback'] }],
    [{ token_endpoint_auth_signing_alg: 'RS256' }],
  ])('a client with %o is none of FAPI 2.0', (metadata) => {
    const { Client: Known } = provider.engine.provider as unknown as {
      Client: new (metadata: object) => object;
    };
    const valid = {
      client_id: 'x',
      security_profile: 'fapi2',
      redirect_uris: [redirect],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [one.key.jwk] },
    };
    expect(new Known(valid)).toBeDefined();
    let refusal: unknown;
    try {
      new Known({ ...valid, ...metadata });
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({
      error: 'invalid_client_metadata',
      error_description: expect.stringContaining('security_profile "fapi2"') as string,
    });
  });
});

describe('message signing', () => {
  const object = async (client: Client, claims: JWTPayload = {}, key = client.key) => {
    const secret = pkce();
    const payload: JWTPayload = {
      iss: client.id,
      aud: provider.issuer,
      nbf: now(),
      exp: now() + 300,
      client_id: client.id,
      response_type: 'code',
      redirect_uri: redirect,
      scope: 'openid',
      state: 'signed',
      nonce: randomUUID(),
      code_challenge: secret.code_challenge,
      code_challenge_method: 'S256',
      ...claims,
    };
    const request = await new SignJWT(payload)
      .setProtectedHeader({
        alg: key.alg,
        kid: String(key.jwk['kid']),
        typ: 'oauth-authz-req+jwt',
      })
      .sign(key.privateKey);
    return { request, payload, verifier: secret.code_verifier };
  };
  const push = async (client: Client, request: string) =>
    client.party.post('/par', {
      client_id: client.id,
      request,
      ...(await client.assertion()),
    });

  test('signed request objects, several audiences, nbf 8 seconds ahead', async () => {
    for (const claims of [
      {},
      { aud: [provider.issuer, 'https://other.example'] },
      { nbf: now() + 8 },
    ]) {
      const { request } = await object(one, claims);
      const pushed = await push(one, request);
      expect(pushed).toMatchObject({ status: 201 });
      const answer = await one.party.agent.authorize(one.front(pushed.body['request_uri']));
      expect(answer.searchParams.get('state')).toBe('signed');
      expect(answer.searchParams.get('code')).not.toBeNull();
    }
  });

  test.each<[string, () => JWTPayload]>([
    ['without-exp', () => ({ exp: undefined })],
    ['without-nbf', () => ({ nbf: undefined })],
    ['expired', () => ({ nbf: now() - 600, exp: now() - 300 })],
    ['bad-aud', () => ({ aud: 'https://evil.example' })],
    ['exp-over-60', () => ({ exp: now() + 4200 })],
    ['nbf-over-60', () => ({ nbf: now() - 4200 })],
    ['without-redirect-uri', () => ({ redirect_uri: undefined })],
    ['containing-request_uri', () => ({ request_uri: 'urn:x' })],
  ])('request object %s fails', async (_module, claims) => {
    const { request } = await object(one, claims());
    expect((await push(one, request)).status).toBe(400);
  });

  test('RS256, none, a wrong signature and another client’s key fail', async () => {
    const { payload, request } = await object(one);
    const tampered = `${request.slice(0, -8)}AAAAAAAA`;
    for (const bad of [
      (await object(one, {}, one.rsa)).request,
      new UnsecuredJWT(payload).encode(),
      tampered,
      (await object(one, {}, two.key)).request,
    ])
      expect((await push(one, bad)).status).toBe(400);
  });

  test('ensure-unsigned-request-at-par-endpoint-fails, where signing is required', async () => {
    const strict = await Client.add('fapi-signed', { require_signed_request_object: true });
    expect((await strict.push()).status).toBe(400);
    const { request } = await object(strict);
    expect((await push(strict, request)).status).toBe(201);
  });

  test.each(['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'])('JARM: %s', async (mode) => {
    const pushed = await one.push({ response_mode: mode });
    const front = one.front(pushed.body['request_uri']);
    const answer =
      mode === 'form_post.jwt'
        ? (await one.party.agent.walk(front)).html
            .querySelector('input[name=response]')
            ?.getAttribute('value')
        : responseIn(await one.party.agent.authorize(front));
    const { payload, protectedHeader } = await jwtVerify(
      answer ?? '',
      createLocalJWKSet((await one.party.jwks()) as never),
      { issuer: provider.issuer, audience: one.id },
    );
    expect(protectedHeader.alg).toBe('PS256');
    expect(payload).toMatchObject({
      state: pushed.form['state'],
      code: expect.any(String) as string,
    });
  });
});

function responseIn({ searchParams, hash }: URL): string {
  return searchParams.get('response') ?? new URLSearchParams(hash.slice(1)).get('response') ?? '';
}
