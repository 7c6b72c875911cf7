// The plans basic, form post, hybrid and implicit of the OpenID Foundation's suite: every module by its name, in every
// variant to which it applies.
import { UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { type Json, type Parameters, Party, type PartyClient, pkce } from './party.ts';

interface Variant {
  readonly plan: string;
  readonly type: string;
  readonly mode?: string;
}

const types = ['code id_token', 'code token', 'code id_token token', 'id_token', 'id_token token'];
const variants: Variant[] = [
  { plan: 'basic', type: 'code' },
  { plan: 'formpost-basic', type: 'code', mode: 'form_post' },
  ...types.map((type) => ({ plan: type.startsWith('code') ? 'hybrid' : 'implicit', type })),
  ...types.map((type) => ({
    plan: type.startsWith('code') ? 'formpost-hybrid' : 'formpost-implicit',
    type,
    mode: 'form_post',
  })),
];

const claims = {
  given_name: 'Ada',
  family_name: 'Lovelace',
  nickname: 'Ada',
  preferred_username: 'ada',
  profile: 'https://ada.example/',
  picture: 'https://ada.example/me.png',
  website: 'https://ada.example/',
  gender: 'female',
  birthdate: '1815-12-10',
  zoneinfo: 'Europe/London',
  locale: 'en-GB',
  address: { formatted: '12 St James’s Square, London', country: 'GB' },
  phone_number: '+44 20 7946 0000',
  phone_number_verified: true,
};
const byScope: Record<string, string[]> = {
  profile: ['name', ...Object.keys(claims).slice(0, 11), 'updated_at'],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
};

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
  await provider.storage.prisma.account.update({
    where: { id: provider.accountId },
    data: { claims },
  });
});
afterAll(() => provider.close());

describe.each(variants)('$plan, $type', ({ plan, type, mode }) => {
  const isBasic = type === 'code';
  const hasCode = type.includes('code');
  const hasIdToken = type.includes('id_token');
  const hasToken = / ?\btoken$/.test(type) && type !== 'id_token';
  const id = `${plan} ${type}`.replaceAll(' ', '-');
  const client: PartyClient & Json = {
    ...webClient,
    client_id: id,
    redirect_uris: ['https://app.example/callback'],
    post_logout_redirect_uris: [],
    grant_types: [
      ...(hasCode ? ['authorization_code', 'refresh_token'] : []),
      ...(isBasic ? [] : ['implicit']),
    ],
    response_types: [type],
  };
  const defaults: Parameters = {
    response_type: type,
    ...(mode === undefined ? {} : { response_mode: mode }),
  };
  let party: Party;
  beforeAll(async () => {
    await provider.addClient(client);
  });
  const fresh = () => (party = new Party(provider, client, defaults));

  /** Everything that a flow of this type gives. */
  async function flow(parameters: Parameters = {}) {
    const request = party.request(parameters);
    const response = await party.follow(request);
    expect(response['error'], response['error_description']).toBeUndefined();
    const nonce = request.searchParams.get('nonce');
    const front = hasIdToken
      ? await party.verify(response['id_token'] ?? '', {
          nonce,
          accessToken: response['access_token'],
          code: response['code'],
        })
      : undefined;
    if (hasIdToken && hasToken) expect(front?.payload).toHaveProperty('at_hash');
    if (hasIdToken && hasCode) expect(front?.payload).toHaveProperty('c_hash');
    if (!hasCode) return { idToken: front, accessToken: response['access_token'], response };
    expect((response['code'] ?? '').length).toBeGreaterThanOrEqual(22); // 128 bits
    const { status, body } = await party.exchange(response['code'] ?? '');
    expect({ status, body }).toMatchObject({ status: 200 });
    const back = await party.verify(String(body['id_token']), {
      nonce,
      accessToken: body['access_token'],
    });
    if (front) expect(back.payload.sub).toBe(front.payload.sub);
    return { idToken: back, accessToken: String(body['access_token']), response, body };
  }

  test('oidcc-server', async () => {
    fresh();
    const { idToken, accessToken } = await flow();
    expect(idToken?.payload).not.toHaveProperty('name');
    if (accessToken === undefined) return;
    const { status, body } = await party.userinfo(accessToken);
    expect({ status, sub: body['sub'] }).toEqual({ status: 200, sub: idToken?.payload.sub });
  });

  test('oidcc-response-type-missing', async () => {
    const response = await fresh().agent.walk(party.request({ response_type: undefined }));
    const text = (response.away?.href ?? '') + response.html.toString();
    expect(text).toMatch(/invalid_request|unsupported_response_type/);
  });

  test('oidcc-idtoken-signature', async () => {
    fresh();
    const { idToken } = await flow();
    expect(idToken?.header.alg).toBe('RS256');
    const { keys } = await party.jwks();
    expect(keys.map(({ kid }) => kid)).toContain(idToken?.header.kid);
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length);
  });

  test('oidcc-idtoken-unsigned', async () => {
    const algorithms = (await fresh().discovery())['id_token_signing_alg_values_supported'];
    expect(algorithms).not.toContain('none'); // the suite skips it then
  });

  test.runIf(hasCode || hasToken).each(['get', 'post-header', 'post-body'] as const)(
    'oidcc-userinfo-%s',
    async (how) => {
      fresh();
      const { accessToken, idToken } = await flow({ scope: 'openid profile' });
      const { status, body } = await party.userinfo(accessToken ?? '', how);
      expect({ status, sub: body['sub'] }).toEqual({ status: 200, sub: idToken?.payload.sub });
      expect(body['updated_at']).toEqual(expect.any(Number));
    },
  );

  test.runIf(!hasIdToken)('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const response = await fresh().authorize({ nonce: undefined });
    expect(response['code']).toBeDefined();
  });

  test.runIf(hasIdToken)('oidcc-ensure-request-without-nonce-fails', async () => {
    const response = await fresh().authorize({ nonce: undefined });
    expect(response['error']).toBe('invalid_request');
  });

  for (const [name, scopes] of [
    ...Object.keys(byScope).map((scope) => [scope, [scope]] as const),
    ['all', Object.keys(byScope)] as const,
  ]) {
    test(`oidcc-scope-${name}`, async () => {
      fresh();
      const { idToken, accessToken } = await flow({ scope: ['openid', ...scopes].join(' ') });
      const wanted = scopes.flatMap((scope) => byScope[scope] ?? []);
      if (accessToken === undefined) {
        // There is no userinfo without an access token: the claims are in the ID token (§5.4).
        for (const claim of wanted) expect(idToken?.payload).toHaveProperty(claim);
        return;
      }
      const { body } = await party.userinfo(accessToken);
      expect(Object.keys(body).sort()).toEqual(['sub', ...wanted].sort());
      for (const claim of wanted) expect(idToken?.payload).not.toHaveProperty(claim);
      if (scopes.includes('address')) expect(body['address']).toEqual(claims.address);
      if (scopes.includes('email')) expect(body['email_verified']).toEqual(expect.any(Boolean));
    });
  }

  test('oidcc-alternate-happy-flow', async () => {
    const request = fresh().request({ scope: 'email openid' });
    const turned = new URL(request);
    turned.search = new URLSearchParams([...request.searchParams].reverse()).toString();
    expect(await party.follow(turned)).not.toHaveProperty('error');
  });

  test.each([
    ['oidcc-display-page', { display: 'page' }],
    ['oidcc-display-popup', { display: 'popup' }],
    ['oidcc-login-hint', { login_hint: 'buffy@app.example' }],
    ['oidcc-ui-locales', { ui_locales: 'se' }],
    ['oidcc-claims-locales', { claims_locales: 'se' }],
    ['oidcc-ensure-request-with-unknown-parameter-succeeds', { extra: 'foobar' }],
    ['oidcc-ensure-request-with-acr-values-succeeds', { acr_values: '1 2' }],
  ])('%s', async (_module, parameters) => {
    fresh();
    await flow(parameters);
  });

  test('oidcc-prompt-login', async () => {
    fresh();
    const first = await flow({ max_age: '15000' });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2000 });
    const page = await party.agent.open(party.request({ prompt: 'login', max_age: '15000' }));
    expect(page.html.querySelector('input[name=password]')).not.toBeNull();
    const second = await flow({ prompt: 'login', max_age: '15000' });
    vi.useRealTimers();
    expect(second.idToken?.payload['auth_time']).toBeGreaterThan(
      Number(first.idToken?.payload['auth_time']),
    );
  });

  test('oidcc-prompt-none-not-logged-in', async () => {
    const response = await fresh().authorize({ prompt: 'none' });
    expect(response['error']).toBe('login_required');
  });

  test('oidcc-prompt-none-logged-in', async () => {
    fresh();
    const first = await flow({ max_age: '15000' });
    const second = await flow({ prompt: 'none', max_age: '15000' });
    expect(second.idToken?.payload.sub).toBe(first.idToken?.payload.sub);
    expect(second.idToken?.payload['auth_time']).toBe(first.idToken?.payload['auth_time']);
  });

  test('oidcc-max-age-1', async () => {
    fresh();
    const first = await flow({ max_age: '15000' });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2000 });
    const page = await party.agent.open(party.request({ max_age: '1' }));
    expect(page.html.querySelector('input[name=password]')).not.toBeNull();
    const second = await flow({ max_age: '1' });
    vi.useRealTimers();
    expect(second.idToken?.payload['auth_time']).toBeGreaterThan(
      Number(first.idToken?.payload['auth_time']),
    );
  });

  test('oidcc-max-age-10000', async () => {
    fresh();
    const first = await flow({ max_age: '15000' });
    const second = await flow({ max_age: '10000' });
    expect(second.idToken?.payload).toMatchObject({
      sub: first.idToken?.payload.sub,
      auth_time: first.idToken?.payload['auth_time'],
    });
  });

  test('oidcc-id-token-hint', async () => {
    fresh();
    const first = await flow();
    const hint = hasIdToken ? first.response['id_token'] : String(first.body?.['id_token']);
    const second = await flow({ prompt: 'none', id_token_hint: hint });
    expect(second.idToken?.payload.sub).toBe(first.idToken?.payload.sub);
  });

  test.runIf(hasCode).each(['oidcc-codereuse', 'oidcc-codereuse-30seconds'])(
    '%s',
    async (module) => {
      fresh();
      const { response, accessToken } = await flow();
      if (module.endsWith('30seconds'))
        vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 });
      const { status, body } = await party.exchange(response['code'] ?? '');
      expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'invalid_grant' });
      expect((await party.userinfo(accessToken ?? '')).status).toBe(401);
      vi.useRealTimers();
    },
  );

  test('oidcc-ensure-registered-redirect-uri', async () => {
    await fresh().refused(party.request({ redirect_uri: 'https://app.example/elsewhere' }));
  });

  test('oidcc-ensure-post-request-succeeds', async () => {
    const request = fresh().request();
    const form = Object.fromEntries(request.searchParams);
    const moved = await party.agent.post(new URL(request.pathname, request), form);
    expect(moved.pathname).toBe('/authorize');
    expect(await party.follow(moved)).not.toHaveProperty('error');
  });

  test.runIf(hasCode)('oidcc-server-client-secret-post', async () => {
    const other = {
      ...client,
      client_id: `${id}-post`,
      token_endpoint_auth_method: 'client_secret_post',
    };
    await provider.addClient(other);
    party = new Party(provider, other, defaults);
    await flow();
  });

  test('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    const response = await fresh().authorize({ request_uri: 'https://app.example/request.jwt' });
    expect(response['error']).toBe('invalid_request_uri'); // it is not registered
  });

  test('oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported', async () => {
    const { client_id, response_type, redirect_uri, scope, nonce, state } = Object.fromEntries(
      fresh().request().searchParams,
    );
    const object = { client_id, response_type, redirect_uri, scope, nonce, state, iss: client_id };
    const request = new UnsecuredJWT(object).setAudience(provider.issuer).encode();
    const response = await party.authorize({
      request,
      nonce: nonce as string,
      state: state as string,
    });
    // `none` is not among the algorithms that discovery lists, so that the suite skips this; it is never ignored.
    expect(response['error']).toBe('invalid_request_object');
    const algorithms = (await party.discovery())['request_object_signing_alg_values_supported'];
    expect(algorithms).not.toContain('none');
  });

  test('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const request = fresh().request({ redirect_uri: 'https://app.example/elsewhere' });
    const inside = new UnsecuredJWT({
      client_id: client.client_id,
      iss: client.client_id,
      redirect_uri: client.redirect_uris[0],
      response_type: type,
    });
    request.searchParams.set('request', inside.setAudience(provider.issuer).encode());
    await party.refused(request);
  });

  test('oidcc-claims-essential', async () => {
    fresh();
    const where = hasCode || hasToken ? 'userinfo' : 'id_token';
    const { idToken, accessToken } = await flow({
      claims: JSON.stringify({ [where]: { name: { essential: true } } }),
    });
    const told =
      where === 'userinfo' ? (await party.userinfo(accessToken ?? '')).body : idToken?.payload;
    expect(told).toMatchObject({ name: 'Ada Lovelace' });
  });

  test.runIf(hasCode)('oidcc-refresh-token', async () => {
    fresh();
    const { body, idToken } = await flow({ scope: 'openid offline_access', prompt: 'consent' });
    const token = String(body?.['refresh_token']);
    expect(token).toMatch(/^[\x20-\x7e]+$/);
    expect(token.length).toBeGreaterThan(22);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2000 });
    const form = { grant_type: 'refresh_token', refresh_token: token };
    const refreshed = await party.token(form);
    expect(refreshed.status).toBe(200);
    expect(refreshed.headers.get('content-type')).toContain('application/json');
    expect(refreshed.headers.get('cache-control')).toContain('no-store');
    const again = await party.verify(String(refreshed.body['id_token']), {
      accessToken: refreshed.body['access_token'],
    });
    for (const claim of ['iss', 'sub', 'aud', 'auth_time', 'azp'])
      expect(again.payload[claim]).toEqual(idToken?.payload[claim]);
    expect(again.payload.iat).toBeGreaterThan(Number(idToken?.payload.iat));
    expect((await party.userinfo(String(refreshed.body['access_token']))).status).toBe(200);
    const another = { ...client, client_id: `${id}-another` };
    await provider.addClient(another);
    const stolen = await new Party(provider, another).token({
      ...form,
      refresh_token: String(refreshed.body['refresh_token']),
    });
    expect(stolen.body['error']).toBe('invalid_grant');
    vi.useRealTimers();
  });

  test.runIf(hasCode)('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const { code_verifier, code_challenge } = pkce();
    const response = await fresh().authorize({ code_challenge, code_challenge_method: 'S256' });
    expect((await party.exchange(response['code'] ?? '', { code_verifier })).status).toBe(200);
  });
});
