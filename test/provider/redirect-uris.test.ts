// The redirect URIs that clients may register themselves with, and when their answers need a person's consent anew.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestProvider, person, publicClient, startProvider } from '../support/provider.ts';
import { Agent } from '../support/agent.ts';
import { type Json, Party, type PartyClient, answerOf, pkce } from '../conformance/party.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'open' } });
});
afterAll(() => provider.close());

const register = async (metadata: Json) =>
  answerOf(
    await fetch(`${provider.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    }),
  );
const https = 'https://app.example/callback';
const isPublic = { token_endpoint_auth_method: 'none' };
const native = { application_type: 'native', ...isPublic };

describe('a client that registers itself', () => {
  test.each([
    ...[
      'http://app.example/cb',
      'http://localhost.app.example/cb',
      'http://192.168.1.2/cb',
    ].flatMap((uri) => [
      [uri, { application_type: 'web' }],
      [uri, isPublic],
    ]),
    ...[
      ...[
        'mailto:ada@example.com',
        'tel:123',
        'sms:1',
        'chrome://settings',
        'view-source:https://a.example/',
      ],
      ...[
        'ms-settings:privacy',
        'ms-msdt:/x',
        'ftp://a.example/',
        'search-ms:x',
        'intent://a/#Intent;end',
      ],
      ...['about:blank', 'blob:https://a.example/x', 'itms-services://x', 'MAILTO:ada@example.com'],
      ...[
        'javascript:alert(1)',
        'data:text/html,x',
        'file:///etc/passwd',
        'x-apple.systempreferences:x',
      ],
    ].map((uri) => [uri, native]),
    ...[` ${https}`, `${https} `, 'https://app.example/call\tback', 'https://app.example/a b'].map(
      (uri) => [uri, {}],
    ),
    ['https://app.example\\callback', {}],
    ['https://app.example/\u202ekcabllac', {}],
    ['https://google.com@app.example/cb', {}],
    ['https://*.app.example/cb', {}],
    // What is written otherwise than it is sent.
    ...[
      ...['https:evil.example', 'https:///evil.example', 'https://@evil.example/cb'],
      ...['http://127.1/cb', 'http://0x7f000001/cb', 'http://2130706433/cb', 'http:localhost/cb'],
    ].map((uri): [string, Json] => [uri, native]),
    ...['upi://pay?pa=x', 'otpauth://totp/x', 'onenote-cmd://x', 'openid4vp://x'].map(
      (uri): [string, Json] => [uri, native],
    ),
    ['com.example.app:/call back', native],
  ] as [string, Json][])('may not be sent to %j (%j)', async (uri, metadata) => {
    const refused = await register({ ...metadata, redirect_uris: [https, uri] });
    expect(refused.status).toBe(400);
    // A fragment and what is no URI are the engine's to refuse.
    if (!uri.includes('#')) expect(refused.body['error']).toBe('invalid_redirect_uri');
    const { status, body } = await register({
      ...metadata,
      redirect_uris: [https],
      post_logout_redirect_uris: [uri],
    });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'invalid_client_metadata',
    });
    expect(body['error_description']).toContain('post_logout_redirect_uris');
  });

  test.each([
    ...['com.example.app:/cb', 'cursor://anysphere.cursor-retrieval/cb', 'vscode://a.b/cb'],
    ...[
      'app.immich:///oauth-callback',
      'oc://ios.owncloud.com',
      'ms-app://s-1-15-2-1/',
      'obsidian://x',
    ],
    ...['http://127.0.0.1/cb', 'http://[::1]:1234/cb', 'http://localhost:33418/cb', https],
  ])('may be sent to %s', async (uri) => {
    const { status, body } = await register({ ...native, redirect_uris: [uri] });
    expect({ status, body }).toMatchObject({ status: 201, body: { redirect_uris: [uri] } });
  });

  test.each([
    { backchannel_logout_uri: 'http://app.example/logout' },
    { jwks_uri: 'http://app.example/jwks' },
    { jwks_uri: ' https://app.example/jwks' },
    { client_uri: 'https://app.example/\n' },
    { tos_uri: 'https://app.example/ ' },
    { backchannel_logout_uri: 'https://app.example/logout#x' },
    { jwks_uri: 'https://app.example/jwks#x' },
    { request_uris: ['http://app.example/request'] },
    { request_uris: ['https://app.example/\u202erequest'] },
    { request_uris: ['https://u:p@app.example/request'] },
  ])('may not have %j', async (metadata) => {
    const { status, body } = await register({ redirect_uris: [https], ...metadata });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'invalid_client_metadata',
    });
  });

  test.each([
    ['id_token'],
    ['id_token token'],
    ['code token'],
    ['code id_token'],
    ['code', 'code id_token token'],
  ])('may not have the response type %s', async (...types) => {
    const { status, body } = await register({
      redirect_uris: [https],
      response_types: types,
      grant_types: ['authorization_code', 'implicit'],
    });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'invalid_client_metadata',
    });
    expect(body['error_description']).toContain('response_types');
  });

  test('which names no type is native when it is on the person’s own machine: it may use other ports', async () => {
    for (const { redirect_uris, more = {}, type } of [
      { redirect_uris: ['http://localhost:33418/cb'], type: 'native' },
      { redirect_uris: ['http://127.0.0.1/cb', 'https://vscode.dev/redirect'], type: 'native' },
      { redirect_uris: ['cursor://a/cb'], type: 'native' },
      {
        redirect_uris: ['http://localhost:3000/cb'],
        more: { application_type: 'web' },
        type: 'web',
      },
      { redirect_uris: ['https://localhost:3000/cb'], type: 'web' },
      { redirect_uris: [https], type: 'web' },
    ]) {
      const { body } = await register({ ...isPublic, ...more, redirect_uris });
      expect({ redirect_uris, type: body['application_type'] }).toEqual({ redirect_uris, type });
    }
    const { body } = await register({ ...isPublic, redirect_uris: ['http://localhost:33418/cb'] });
    const party = new Party(provider, body as unknown as PartyClient);
    const { code_challenge, code_verifier } = pkce();
    const redirect_uri = 'http://localhost:51234/cb';
    const challenge = { code_challenge, code_challenge_method: 'S256', redirect_uri };
    const { code } = await party.authorize(challenge);
    const { status } = await party.exchange(code ?? '', { code_verifier, redirect_uri });
    expect(status).toBe(200);
  });
});

describe('a person who has consented before (RFC 8252 §8.6)', () => {
  // Signs in and consents, then opens the same request again.
  async function again(client: PartyClient & Json) {
    await provider.addClient(client);
    const agent = new Agent(provider.issuer);
    const party = new Party(provider, client, {}, agent);
    const { code_challenge } = pkce();
    const challenge = { code_challenge, code_challenge_method: 'S256' };
    expect(await party.authorize(challenge)).toHaveProperty('code');
    const page = await agent.open(party.request(challenge));
    return { page, silent: await party.authorize({ ...challenge, prompt: 'none' }) };
  }

  test.each([
    ['http://localhost:4001/cb', 'web'],
    ['http://127.0.0.1:4001/cb', 'web'],
    ['http://nas.lan/cb', 'web'],
    ['com.example.app:/cb', 'native'],
  ])('is asked again by a public client at %s of type %s', async (uri, application_type) => {
    const { page, silent } = await again({
      ...publicClient,
      client_id: `asks ${uri}`,
      application_type,
      redirect_uris: [uri],
    });
    expect(page.away).toBeUndefined();
    expect(page.html.text).toContain(publicClient.client_name);
    expect(page.html.text).toContain(person.name);
    expect(silent['error']).toBe('interaction_required');
  });

  test.each([
    ['public, at https', { redirect_uris: [https] }],
    [
      'confidential, at a loopback address',
      {
        redirect_uris: ['http://localhost:4001/cb'],
        token_endpoint_auth_method: 'client_secret_basic',
        client_secret: 'a secret that is long enough',
      },
    ],
  ])('is not asked again by a client that is %s', async (kind, metadata) => {
    const { page, silent } = await again({ ...publicClient, client_id: kind, ...metadata });
    expect(page.away?.searchParams.has('code')).toBe(true);
    expect(silent).toHaveProperty('code');
  });
});
