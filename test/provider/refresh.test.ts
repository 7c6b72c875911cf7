// Refresh tokens through the real HTTP server, with openid-client as the relying party.
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import { familyIdOf, secretOf } from '../support/token-endpoint.ts';

let provider: TestProvider;
let web: RelyingParty;
let spa: RelyingParty;

beforeAll(async () => {
  provider = await startProvider();
  web = await discover(provider.issuer);
  spa = await discover(provider.issuer, publicClient);
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => provider.close());

const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);

const family = (token: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });
const freshFamily = async (party = web) =>
  refreshTokenOf(await signIn(party, new Agent(provider.issuer)));
const rotate = async (party: RelyingParty, token: string) =>
  refreshTokenOf(await refresh(party, token));
const userinfo = (party: RelyingParty, accessToken: string) =>
  client.fetchUserInfo(party.configuration, accessToken, provider.accountId);

describe('rotation', () => {
  test('every use gives a new token, a later ID token and a working access token', async () => {
    const first = await signIn(web, new Agent(provider.issuer), { max_age: '10000' });
    const second = await refresh(web, refreshTokenOf(first));
    expect(second.refresh_token).toMatch(/^symr_[\w-]{22}\.1\.[\w-]{64}$/);
    expect(second.refresh_token).not.toBe(first.refresh_token);
    const before = decodeJwt(first.id_token ?? '');
    const after = decodeJwt(second.id_token ?? '');
    expect(before['auth_time']).toBeTypeOf('number');
    for (const claim of ['iss', 'sub', 'aud', 'auth_time'])
      expect(after[claim]).toEqual(before[claim]);
    expect(await userinfo(web, second.access_token)).toMatchObject({
      email: 'ada@example.com',
      name: 'Ada Lovelace',
    });
    expect((await family(refreshTokenOf(first))).generation).toBe(1);
  });

  test('ten thousand rotations would be one row: ten are', async () => {
    let token = await freshFamily();
    for (let use = 0; use < 10; use++) token = await rotate(web, token);
    expect((await family(token)).generation).toBe(10);
    expect(
      await provider.storage.prisma.refreshFamily.count({ where: { id: familyIdOf(token) } }),
    ).toBe(1);
  });

  test('token answers are not to be stored', async () => {
    const token = await freshFamily();
    const answer = await postToken({ grant_type: 'refresh_token', refresh_token: token });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const refused = await postToken({ grant_type: 'refresh_token', refresh_token: 'nonsense' });
    expect(refused.headers.get('cache-control')).toBe('no-store');
  });

  test('a narrower scope narrows the access token, not the family', async () => {
    const token = await freshFamily();
    const narrow = await refresh(web, token, { scope: 'openid' });
    expect(narrow.scope).toBe('openid');
    await expect(userinfo(web, narrow.access_token)).resolves.not.toHaveProperty('email');
    const wide = await refresh(web, refreshTokenOf(narrow));
    expect(wide.scope?.split(' ').sort()).toEqual(['email', 'offline_access', 'openid', 'profile']);
  });

  test('a wider scope is refused and spends nothing', async () => {
    const { url, finish } = await authorizationRequest(web, { scope: 'openid offline_access' });
    const token = refreshTokenOf(await finish(await new Agent(provider.issuer).authorize(url)));
    expect(await errorOf(refresh(web, token, { scope: 'openid email' }))).toEqual({
      status: 400,
      error: 'invalid_scope',
    });
    expect((await family(token)).generation).toBe(0);
    await rotate(web, token);
  });

  test('another client cannot use the token, and does not end its family', async () => {
    const token = await freshFamily();
    expect(await errorOf(refresh(spa, token))).toEqual({ status: 400, error: 'invalid_grant' });
    await rotate(web, token);
  });
});

describe('the retry window', () => {
  test('the token just used is answered with the same successor', async () => {
    const token = await freshFamily();
    const successor = await rotate(web, token);
    expect(await rotate(web, token)).toBe(successor);
    expect(await rotate(web, token)).toBe(successor);
    expect((await family(token)).generation).toBe(1);
    await rotate(web, successor);
  });

  test('ends after its seconds: then it is reuse', async () => {
    const token = await freshFamily();
    const successor = await rotate(web, token);
    pass(299);
    expect(await rotate(web, token)).toBe(successor);
    pass(1);
    expect(await errorOf(refresh(web, token))).toEqual({ status: 400, error: 'invalid_grant' });
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
    expect(await errorOf(refresh(web, successor))).toEqual({ status: 400, error: 'invalid_grant' });
  });

  test('can be switched off for a client', async () => {
    const strict = { ...webClient, client_id: 'strict', refresh_token_retry_window: 0 };
    await provider.addClient(strict);
    const party = await discover(provider.issuer, strict);
    const token = await freshFamily(party);
    await rotate(party, token);
    await errorOf(refresh(party, token));
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
  });
});

describe('reuse', () => {
  test('a used-up token ends its line: its family and its access tokens, and is audited', async () => {
    const tokens = await signIn(web, new Agent(provider.issuer));
    const first = refreshTokenOf(tokens);
    const second = await rotate(web, first);
    const third = await refresh(web, second);
    expect(await errorOf(refresh(web, first))).toEqual({ status: 400, error: 'invalid_grant' });

    expect(await family(first)).toMatchObject({ endReason: 'reuse' });
    expect(await errorOf(refresh(web, refreshTokenOf(third)))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    await expect(userinfo(web, third.access_token)).rejects.toThrow();
    await expect(userinfo(web, tokens.access_token)).rejects.toThrow();
    const events = await provider.storage.prisma.auditEvent.findMany({
      where: { familyId: familyIdOf(first), type: 'family.ended' },
    });
    expect(events).toMatchObject([
      {
        type: 'family.ended',
        detail: { reason: 'reuse' },
        accountId: provider.accountId,
        clientId: 'web',
      },
    ]);
  });

  test.each([
    ['of the second form', (id: string) => `symr_${id}.1.${'A'.repeat(64)}`],
    ['of the first form', (id: string) => `${id}.${'A'.repeat(43)}`],
  ])('a made-up token %s of a known family ends nothing', async (_form, madeUp) => {
    const token = await freshFamily();
    const guess = madeUp(familyIdOf(token));
    expect(await errorOf(refresh(web, guess))).toEqual({ status: 400, error: 'invalid_grant' });
    await client.tokenRevocation(web.configuration, guess);
    expect(await client.tokenIntrospection(web.configuration, guess)).toEqual({ active: false });
    await rotate(web, token);
    const events = { where: { familyId: familyIdOf(token), type: 'refresh.refused' } };
    expect(await provider.storage.prisma.auditEvent.count(events)).toBe(0);
  });

  test('other devices of the same person stay signed in', async () => {
    const lost = await freshFamily();
    const other = await freshFamily();
    await rotate(web, await rotate(web, lost));
    await errorOf(refresh(web, lost));
    await rotate(web, other);
  });
});

describe('lifetimes', () => {
  test('a family expires when it is idle', async () => {
    await provider.addClient({ ...webClient, client_id: 'idle', refresh_token_idle_ttl: 1000 });
    const party = await discover(provider.issuer, { ...webClient, client_id: 'idle' });
    let token = await freshFamily(party);
    pass(900);
    token = await rotate(party, token);
    pass(900);
    token = await rotate(party, token);
    pass(1001);
    expect(await errorOf(refresh(party, token))).toEqual({ status: 400, error: 'invalid_grant' });
  });

  test('a family expires at its absolute end, however busy, and its grant outlives it', async () => {
    await provider.addClient({
      ...webClient,
      client_id: 'absolute',
      refresh_token_absolute_ttl: 1000,
    });
    const party = await discover(provider.issuer, { ...webClient, client_id: 'absolute' });
    let token = await freshFamily(party);
    pass(600);
    token = await rotate(party, token);
    pass(300);
    token = await rotate(party, token);
    const { absoluteExpiresAt, grantId } = await family(token);
    const grant = await provider.storage.prisma.grant.findUniqueOrThrow({
      where: { id: grantId ?? '' },
    });
    expect(grant.expiresAt.getTime()).toBeGreaterThan(absoluteExpiresAt.getTime());
    pass(100);
    expect(await errorOf(refresh(party, token))).toEqual({ status: 400, error: 'invalid_grant' });
  });

  test('a family started late on an old grant extends it', async () => {
    const agent = new Agent(provider.issuer);
    const first = refreshTokenOf(await signIn(web, agent));
    const { grantId } = await family(first);
    await provider.storage.prisma.grant.update({
      where: { id: grantId ?? '' },
      data: { expiresAt: new Date(Date.now() + 86_400_000) },
    });
    const second = refreshTokenOf(await signIn(web, agent));
    const started = await family(second);
    expect(started.grantId).toBe(grantId);
    const grant = await provider.storage.prisma.grant.findUniqueOrThrow({
      where: { id: grantId ?? '' },
    });
    expect(grant.expiresAt.getTime()).toBeGreaterThan(started.absoluteExpiresAt.getTime());
  });
});

describe('revocation and introspection', () => {
  test('revoking the current token ends its family and its access tokens', async () => {
    const tokens = await signIn(web, new Agent(provider.issuer));
    await client.tokenRevocation(web.configuration, refreshTokenOf(tokens));
    expect(await family(refreshTokenOf(tokens))).toMatchObject({ endReason: 'revoked_by_client' });
    await expect(userinfo(web, tokens.access_token)).rejects.toThrow();
  });

  test('revoking a former token ends its family', async () => {
    const token = await freshFamily();
    await rotate(web, await rotate(web, token));
    await client.tokenRevocation(web.configuration, token);
    expect(await family(token)).toMatchObject({ endReason: 'revoked_by_client' });
  });

  test('revoking an access token ends its family', async () => {
    const tokens = await signIn(web, new Agent(provider.issuer));
    await client.tokenRevocation(web.configuration, tokens.access_token);
    expect(await family(refreshTokenOf(tokens))).toMatchObject({ endReason: 'revoked_by_client' });
  });

  test('another client cannot revoke the token', async () => {
    const token = await freshFamily();
    await client.tokenRevocation(spa.configuration, token).catch(() => undefined);
    await rotate(web, token);
  });

  test('introspection finds the current token active, a former one not, and finds no replay', async () => {
    const token = await freshFamily();
    expect(await client.tokenIntrospection(web.configuration, token)).toMatchObject({
      active: true,
      client_id: 'web',
      sub: provider.accountId,
      scope: expect.stringContaining('offline_access') as string,
    });
    const successor = await rotate(web, token);
    expect(await client.tokenIntrospection(web.configuration, token)).toEqual({ active: false });
    expect(
      await client.tokenIntrospection(web.configuration, `${familyIdOf(token)}.${'A'.repeat(43)}`),
    ).toEqual({ active: false });
    const introspected = await client.tokenIntrospection(web.configuration, successor);
    expect(introspected).toMatchObject({
      active: true,
      client_id: 'web',
      sub: provider.accountId,
      scope: 'openid profile email offline_access',
      rotations: 1,
      iat: expect.any(Number) as number,
      exp: expect.any(Number) as number,
    });
    expect(JSON.stringify(introspected)).not.toContain(secretOf(successor));
    await rotate(web, successor);
  });

  test('a client does not learn about the refresh tokens of another', async () => {
    await provider.addClient({ ...webClient, client_id: 'curious' });
    const curious = await discover(provider.issuer, { ...webClient, client_id: 'curious' });
    expect(await client.tokenIntrospection(curious.configuration, await freshFamily())).toEqual({
      active: false,
    });
  });
});

describe('issuance', () => {
  test('none without offline_access', async () => {
    const tokens = await signIn(web, new Agent(provider.issuer), { scope: 'openid profile' });
    expect(tokens.refresh_token).toBeUndefined();
  });

  test('none for a client without the grant', async () => {
    await provider.addClient({
      ...webClient,
      client_id: 'short',
      grant_types: ['authorization_code'],
    });
    const party = await discover(provider.issuer, { ...webClient, client_id: 'short' });
    const tokens = await signIn(party, new Agent(provider.issuer));
    expect(tokens.refresh_token).toBeUndefined();
    expect(tokens.scope).not.toContain('offline_access');
  });

  test('public clients rotate as well', async () => {
    const token = await freshFamily(spa);
    await rotate(spa, await rotate(spa, token));
    await errorOf(refresh(spa, token));
    expect(await family(token)).toMatchObject({ endReason: 'reuse' });
  });
});

function postToken(form: Record<string, string>): Promise<Response> {
  const credentials = Buffer.from(
    `${webClient.client_id}:${encodeURIComponent(webClient.client_secret)}`,
  ).toString('base64');
  return fetch(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${credentials}` },
    body: new URLSearchParams(form),
  });
}
