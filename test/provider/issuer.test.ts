// An issuer with a slash at its end is told as it is written: relying parties compare it exactly.
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Party, answerOf } from '../conformance/party.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { authorizationRequest, discover } from '../support/relying-party.ts';

describe.each(['/', '/application/o/notes/'])('an issuer that ends with %s', (path) => {
  let provider: TestProvider;
  beforeAll(async () => {
    provider = await startProvider({
      path,
      environment: {
        SYMBOLON_REGISTRATION: 'open',
        SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      },
    });
  });
  afterAll(() => provider.close());
  const base = () => provider.issuer.slice(0, -1);

  test('is itself everywhere, and its endpoints are below it', async () => {
    expect(provider.issuer.endsWith(path)).toBe(true);
    const { body } = await answerOf(
      await fetch(`${provider.issuer}.well-known/openid-configuration`),
    );
    expect(body['issuer']).toBe(provider.issuer);
    const endpoints = Object.entries(body).filter(([name]) => /_endpoint$|^jwks_uri$/.test(name));
    expect(endpoints.length).toBeGreaterThan(8);
    for (const [name, url] of endpoints)
      expect(String(url), name).toMatch(new RegExp(`^${base()}/[a-z_]+$`));
  });

  test('RFC 8414 §3.1: its metadata is in front of its path, with the slash and without', async () => {
    const { origin } = new URL(provider.issuer);
    for (const end of [path, path.slice(0, -1)]) {
      const at = `${origin}/.well-known/oauth-authorization-server${end === '/' ? '' : end}`;
      expect((await answerOf(await fetch(at))).body['issuer'], at).toBe(provider.issuer);
    }
  });

  test('a library signs a person in: answer, ID token, userinfo, refresh', async () => {
    const party = await discover(provider.issuer);
    expect(party.configuration.serverMetadata().issuer).toBe(provider.issuer);
    const { url, finish } = await authorizationRequest(party);
    const answer = await new Agent(base()).authorize(url);
    expect(answer.searchParams.get('iss')).toBe(provider.issuer);
    const tokens = await finish(answer);
    expect(decodeJwt(tokens.id_token ?? '').iss).toBe(provider.issuer);
    const { sub = '' } = tokens.claims() ?? {};
    const { access_token: access, refresh_token: refresh = '' } = tokens;
    expect(await client.fetchUserInfo(party.configuration, access, sub)).toMatchObject({ sub });
    const next = await client.refreshTokenGrant(party.configuration, refresh);
    expect(next.refresh_token).not.toBe(refresh);
  });

  test('the pages and their links have one slash', async () => {
    const home = await new Agent(base()).open(`${provider.issuer}account`);
    expect(home.status).toBe(200);
    for (const link of home.html.querySelectorAll('[href],[src],[action]'))
      for (const name of ['href', 'src', 'action'])
        expect(link.getAttribute(name) ?? '').not.toMatch(/^\/\/|[^:]\/\//);
  });

  test('a client registers itself, and manages itself where it is told to', async () => {
    const { body } = await answerOf(
      await fetch(`${base()}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: ['https://app.example/callback'] }),
      }),
    );
    const at = String(body['registration_client_uri']);
    expect(at.startsWith(`${base()}/register/`)).toBe(true);
    const headers = { authorization: `Bearer ${String(body['registration_access_token'])}` };
    expect((await fetch(at, { headers })).status).toBe(200);
  });
});

test('one without a slash has none', async () => {
  const provider = await startProvider({ path: '/op' });
  const party = new Party(provider, webClient);
  expect((await party.discovery())['issuer']).toBe(provider.issuer);
  expect(provider.issuer.endsWith('/op')).toBe(true);
  await provider.close();
});
