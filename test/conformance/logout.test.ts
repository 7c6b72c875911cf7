// The plans for RP-initiated and back-channel logout.
import type { IncomingMessage } from 'node:http';
import { type Server, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { SignJWT, UnsecuredJWT, createLocalJWKSet, generateKeyPair, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Page } from '../support/agent.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { tls } from '../support/tls.ts';
import { type Parameters, Party } from './party.ts';

const away = 'https://app.example/signed-out';
const client = {
  ...webClient,
  redirect_uris: ['https://app.example/callback'],
  post_logout_redirect_uris: [away],
};

let provider: TestProvider;
let server: Server;
let received: { url: string; token: string }[];
let isDown = false;
let running: { stop(): Promise<void> };

beforeAll(async () => {
  setDefaultCACertificates([...getCACertificates('default'), tls.ca]);
  server = createServer(
    { key: tls.serverKey, cert: tls.serverCertificate },
    (request: IncomingMessage, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        response.statusCode = isDown ? 503 : 200;
        if (!isDown)
          received.push({
            url: request.url ?? '',
            token: new URLSearchParams(body).get('logout_token') ?? '',
          });
        isDown = false;
        response.end();
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  provider = await startProvider({
    environment: { SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true' },
    clients: [client],
  });
  running = provider.outgoing.start();
});
beforeEach(() => {
  received = [];
});
afterAll(async () => {
  await running.stop();
  server.closeAllConnections();
  server.close();
  await provider.close();
});

const signedIn = async () => {
  const party = new Party(provider, client);
  return { party, tokens: await party.tokens() };
};
const logout = (party: Party, parameters: Parameters) => {
  const url = new URL(`${provider.issuer}/logout`);
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) url.searchParams.set(name, value);
  return party.agent.open(url);
};
const confirm = (party: Party, page: Page) => party.agent.submit(page, { logout: 'yes' });
const isSignedOut = async (party: Party) =>
  (await party.authorize({ prompt: 'none' }))['error'] === 'login_required';

test('oidcc-rp-initiated-logout and its discovery', async () => {
  const { party, tokens } = await signedIn();
  expect((await party.discovery())['end_session_endpoint']).toBe(`${provider.issuer}/logout`);
  const state = 'a state of 128 characters '.padEnd(128, 'x');
  const page = await logout(party, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: away,
    state,
  });
  const end = await confirm(party, page);
  expect(end.away?.href.startsWith(`${away}?state=`)).toBe(true);
  expect([...(end.away?.searchParams ?? [])]).toEqual([['state', state]]);
  expect(await isSignedOut(party)).toBe(true);
});

test('oidcc-rp-initiated-logout-no-state', async () => {
  const { party, tokens } = await signedIn();
  const parameters = { id_token_hint: tokens.id_token, post_logout_redirect_uri: away };
  const end = await confirm(party, await logout(party, parameters));
  expect(end.away?.href).toBe(away);
  expect(await isSignedOut(party)).toBe(true);
});

test.each([
  ['oidcc-rp-initiated-logout-only-state', { state: 'x' }],
  ['oidcc-rp-initiated-logout-no-params', {}],
])('%s', async (_module, parameters) => {
  const { party } = await signedIn();
  const end = await confirm(party, await logout(party, parameters));
  expect(end.away).toBeUndefined();
  expect(end.html.text).toContain('You are signed out');
  expect(await isSignedOut(party)).toBe(true);
});

test('oidcc-rp-initiated-logout-no-post-logout-redirect-uri', async () => {
  const { party, tokens } = await signedIn();
  const page = await logout(party, { id_token_hint: tokens.id_token, state: 'x' });
  const end = await confirm(party, page);
  expect(end.away).toBeUndefined();
  expect(end.html.text).toContain('You are signed out');
});

test.each([
  ['oidcc-rp-initiated-logout-bad-post-logout-redirect-uri', 'https://evil.example/'],
  ['oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri', `${away}?foo=bar`],
])('%s', async (_module, uri) => {
  const { party, tokens } = await signedIn();
  const page = await logout(party, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: uri,
  });
  expect(page.away).toBeUndefined();
  expect(page.status).toBe(400);
  expect(await isSignedOut(party)).toBe(false);
});

test('oidcc-rp-initiated-logout-no-id-token-hint: asked, and not sent away', async () => {
  const { party } = await signedIn();
  const page = await logout(party, { post_logout_redirect_uri: away, state: 'x' });
  expect(page.html.text).toContain('Do you want to sign out?');
  expect((await confirm(party, page)).away).toBeUndefined();
});

test.each(['modified', 'unsigned', 'bad'])(
  'oidcc-rp-initiated-logout-%s-id-token-hint',
  async (kind) => {
    const { party, tokens } = await signedIn();
    const { privateKey } = await generateKeyPair('RS256');
    const forged = await new SignJWT({ ...tokens.idToken.payload })
      .setProtectedHeader({ alg: 'RS256', kid: tokens.idToken.header.kid ?? '' })
      .sign(privateKey);
    const unsigned = new UnsecuredJWT({ ...tokens.idToken.payload }).encode();
    const hints: Record<string, string> = { modified: forged, unsigned };
    const page = await logout(party, {
      id_token_hint: hints[kind] ?? 'not.a.token',
      post_logout_redirect_uri: away,
    });
    expect(page.away).toBeUndefined();
    expect(page.status).toBe(400);
  },
);

test('a request to sign out may come by POST', async () => {
  const { party, tokens } = await signedIn();
  const moved = await party.agent.post(new URL(`${provider.issuer}/logout`), {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: away,
  });
  const end = await confirm(party, await party.agent.open(moved));
  expect(end.away?.href).toBe(away);
});

test('oidcc-backchannel-rp-initiated-logout and its discovery; told again when the client is down', async () => {
  const port = (server.address() as AddressInfo).port;
  const backchannel = {
    ...client,
    client_id: 'backchannel',
    backchannel_logout_uri: `https://localhost:${port}/logout`,
    backchannel_logout_session_required: true,
  };
  await provider.addClient(backchannel);
  const party = new Party(provider, backchannel);
  expect(await party.discovery()).toMatchObject({
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
  });
  const tokens = await party.tokens();
  expect(tokens.idToken.payload['sid']).toEqual(expect.any(String));
  isDown = true;
  await confirm(party, await logout(party, { id_token_hint: tokens.id_token }));
  await eventually(() => {
    expect(received).toHaveLength(1);
  });
  const { payload, protectedHeader } = await jwtVerify(
    received[0]?.token ?? '',
    createLocalJWKSet((await party.jwks()) as never),
    { issuer: provider.issuer, audience: 'backchannel', typ: 'logout+jwt' },
  );
  expect(protectedHeader.alg).toBe('RS256');
  expect(payload).toMatchObject({
    sub: tokens.idToken.payload.sub,
    sid: tokens.idToken.payload['sid'],
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    jti: expect.any(String) as string,
  });
  expect(payload).not.toHaveProperty('nonce');
  expect(await provider.storage.prisma.delivery.count({ where: { channel: 'http' } })).toBe(0);
  expect(await isSignedOut(party)).toBe(true);
});
