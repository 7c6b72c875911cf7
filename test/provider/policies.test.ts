// What a client may have its own rule for, how tokens are bound, and the grants that are off unless switched on.
import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT, exportJWK } from 'jose';
import * as client from 'openid-client';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { commandLine } from '../../src/storage/origin.ts';
import { sweep, backlog } from '../../src/database/sweep.ts';
import { Agent } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import {
  authorizationRequest,
  discover,
  errorOf,
  refresh,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import { newFamily, post, refreshAt, familyIdOf } from '../support/token-endpoint.ts';
import { queued } from '../faults/locks.ts';
import { lockAccount, unlockAccount } from '../support/changes.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const password = { grant_types: [...webClient.grant_types, 'password'] };

let provider: TestProvider;
const add = async (id: string, metadata: object = {}) => {
  const added = { ...webClient, ...password, ...metadata, client_id: id };
  await provider.addClient(added);
  return { client_id: id, client_secret: webClient.client_secret };
};
const row = (token: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({
    where: { id: familyIdOf(token) },
  });
const reasons = async (token: string) =>
  (
    await provider.storage.prisma.auditEvent.findMany({
      where: { familyId: familyIdOf(token), type: 'refresh.refused' },
    })
  ).map(({ detail }) => (detail as { reason: string }).reason);
const successor = async (token: string, as: { client_id: string; client_secret?: string }) => {
  const { status, body } = await refreshAt(provider.issuer, token, as);
  expect(status).toBe(200);
  return body.refresh_token ?? '';
};

beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
    },
  });
});
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());
afterAll(() => provider.close());

describe('rotation', () => {
  test('never: the same token goes on, its idle life is renewed, a revocation ends it', async () => {
    const as = await add('never', {
      refresh_token_rotation: 'never',
      refresh_token_idle_ttl: 1000,
    });
    const token = await newFamily(provider.issuer, as);
    for (let use = 0; use < 3; use++) {
      vi.setSystemTime(Date.now() + 900_000);
      expect(await successor(token, as)).toBe(token);
    }
    expect(await row(token)).toMatchObject({ generation: 0 });
    await post(`${provider.issuer}/revoke`, { token }, as);
    expect((await refreshAt(provider.issuer, token, as)).body.error).toBe('invalid_grant');
  });

  test('always: also a bound one', async () => {
    const as = await add('always', { refresh_token_rotation: 'always' });
    const token = await newFamily(provider.issuer, as);
    expect(await successor(token, as)).not.toBe(token);
  });
});

describe('reuse', () => {
  const used = async (as: { client_id: string; client_secret: string }) => {
    const first = await newFamily(provider.issuer, as);
    const third = await successor(await successor(first, as), as);
    expect((await refreshAt(provider.issuer, first, as)).body.error).toBe('invalid_grant');
    return { first, third };
  };

  test('revoke_family leaves the grant and what else hangs on it', async () => {
    const id = 'by-family';
    const as = await add(id, { refresh_token_on_reuse: 'revoke_family' });
    const party = await discover(provider.issuer, { ...webClient, client_id: id });
    const agent = new Agent(provider.issuer);
    const one = await signIn(party, agent);
    const two = await signIn(party, agent); // the same browser, the same grant
    expect((await row(refreshTokenOf(one))).grantId).toBe((await row(refreshTokenOf(two))).grantId);
    const later = await successor(await successor(refreshTokenOf(one), as), as);
    expect((await refreshAt(provider.issuer, refreshTokenOf(one), as)).body.error).toBe(
      'invalid_grant',
    );
    expect(await row(later)).toMatchObject({ endReason: 'reuse' });
    await expect(
      client.fetchUserInfo(party.configuration, one.access_token, provider.accountId),
    ).rejects.toThrow();
    await client.fetchUserInfo(party.configuration, two.access_token, provider.accountId);
    await successor(refreshTokenOf(two), as);
  });

  test('refuse ends nothing, and the reason is kept', async () => {
    const as = await add('refusing', { refresh_token_on_reuse: 'refuse' });
    const { first, third } = await used(as);
    expect(await reasons(first)).toEqual(['reuse']);
    await successor(third, as);
  });

  test('revoke_family is the default: the grant stays', async () => {
    const as = await add('by-default');
    const { third } = await used(as);
    const { endReason, grantId } = await row(third);
    expect({ endReason, grantId }).toEqual({
      endReason: 'reuse',
      grantId: expect.any(String) as string,
    });
  });

  test('revoke_grant ends everything of the grant', async () => {
    const as = await add('by-grant', { refresh_token_on_reuse: 'revoke_grant' });
    const { third } = await used(as);
    expect(await row(third)).toMatchObject({ endReason: 'reuse', grantId: null });
    expect(await reasons(third)).toEqual(['reuse']);
  });
});

describe('why a refresh is refused is kept, with address and user agent', () => {
  const refusals = (token: string) =>
    provider.storage.prisma.auditEvent.findMany({
      where: { familyId: familyIdOf(token), type: 'refresh.refused' },
    });

  test('another application’s token: binding_mismatch, and the family goes on', async () => {
    const owner = await add('owner');
    const thief = await add('thief');
    const token = await newFamily(provider.issuer, owner);
    expect((await refreshAt(provider.issuer, token, thief)).body.error).toBe('invalid_grant');
    expect(await refusals(token)).toMatchObject([
      {
        detail: { reason: 'binding_mismatch' },
        clientId: 'owner',
        ip: expect.stringMatching(/127\.0\.0\.1|::1/) as string,
        userAgent: 'node',
      },
    ]);
    const next = await successor(token, owner);
    // Nor does what is used up end it, in another application's hands.
    await successor(next, owner);
    expect((await refreshAt(provider.issuer, token, thief)).body.error).toBe('invalid_grant');
    expect(await row(token)).toMatchObject({ endedAt: null });
  });

  test('a token that never was: unknown', async () => {
    const as = await add('guessing');
    const token = `${'A'.repeat(22)}.${'A'.repeat(43)}`;
    for (let again = 0; again < 2; again++) {
      expect((await refreshAt(provider.issuer, token, as)).body.error).toBe('invalid_grant');
    }
    // Of nobody's token nothing is written: a stranger could fill the audit.
    expect(await refusals(token)).toEqual([]);
    expect((await refreshAt(provider.issuer, 'no token at all', as)).body.error).toBe(
      'invalid_grant',
    );
  });

  test('a race that is lost to the end of the family has the end’s reason', async () => {
    const as = await add('racing');
    const token = await newFamily(provider.issuer, as);
    const familyId = familyIdOf(token);
    const holder = new pg.Client(provider.databaseUrl);
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM refresh_family WHERE id = $1 FOR UPDATE', [familyId]);
    const refreshing = refreshAt(provider.issuer, token, as); // read before, to be written after
    await queued(holder, 1);
    await holder.query(
      "UPDATE refresh_family SET ended_at = now(), end_reason = 'revoked_by_admin' WHERE id = $1",
      [familyId],
    );
    await holder.query('COMMIT');
    await holder.end();
    expect((await refreshing).body.error).toBe('invalid_grant');
    expect(await reasons(token)).toEqual(['revoked_by_admin']);
  });
});

describe('the retry window’s default', () => {
  const publicPassword = {
    ...publicClient,
    client_id: 'public-window',
    grant_types: [...publicClient.grant_types, 'password'],
  };
  const lasts = async (seconds: number, retry: () => Promise<number>) => {
    vi.setSystemTime(Date.now() + (seconds - 1) * 1000);
    expect(await retry()).toBe(200);
    vi.setSystemTime(Date.now() + 1000);
    expect(await retry()).toBe(400);
  };

  test('a minute for a public client’s unbound token', async () => {
    await provider.addClient(publicPassword);
    const token = await newFamily(provider.issuer, publicPassword);
    await successor(token, publicPassword);
    await lasts(60, async () => (await refreshAt(provider.issuer, token, publicPassword)).status);
  });

  test('five minutes for a client that authenticates', async () => {
    const as = await add('minutes');
    const token = await newFamily(provider.issuer, as);
    await successor(token, as);
    await lasts(300, async () => (await refreshAt(provider.issuer, token, as)).status);
  });

  test('an hour for a bound token', async () => {
    const party = await discover(provider.issuer, publicClient);
    const DPoP = client.getDPoPHandle(party.configuration, await client.randomDPoPKeyPair());
    const request = await authorizationRequest(party);
    const callback = await new Agent(provider.issuer).authorize(request.url);
    const token = refreshTokenOf(await request.finish(callback, { DPoP }));
    const retry = () =>
      client.refreshTokenGrant(party.configuration, token, undefined, { DPoP }).then(
        () => 200,
        (error: unknown) => (error as client.ResponseBodyError).status,
      );
    await retry();
    await lasts(3600, retry);
  });
});

test('the server’s defaults, for clients that have no rule of their own', async () => {
  const strict = await startProvider({
    environment: {
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_REFRESH_TOKEN_ROTATION: 'never',
      SYMBOLON_REFRESH_TOKEN_ON_REUSE: 'revoke_family',
      SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES: '1',
    },
    clients: [
      { ...webClient, ...password },
      { ...webClient, ...password, client_id: 'own', refresh_token_rotation: 'always' },
    ],
  });
  const { prisma } = strict.storage;
  const one = await newFamily(strict.issuer);
  expect((await refreshAt(strict.issuer, one)).body.refresh_token).toBe(one);
  await newFamily(strict.issuer);
  expect((await refreshAt(strict.issuer, one)).body.error).toBe('invalid_grant');
  const as = { client_id: 'own', client_secret: webClient.client_secret };
  const own = await newFamily(strict.issuer, as);
  const second = (await refreshAt(strict.issuer, own, as)).body.refresh_token ?? '';
  expect(second).not.toBe(own);
  const third = (await refreshAt(strict.issuer, second, as)).body.refresh_token ?? '';
  expect((await refreshAt(strict.issuer, own, as)).body.error).toBe('invalid_grant');
  expect(
    await prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(third) } }),
  ).toMatchObject({ endReason: 'reuse', grantId: expect.any(String) as string });
  await strict.close();
});

describe('limits and lifetimes', () => {
  test('the oldest family ends for one too many, also when several start at once', async () => {
    const as = await add('limited', { refresh_token_max_families: 2 });
    const tokens = [];
    for (let start = 0; start < 3; start++) {
      vi.setSystemTime(Date.now() + 1000);
      tokens.push(await newFamily(provider.issuer, as));
    }
    expect(await row(tokens[0] ?? '')).toMatchObject({ endReason: 'limit' });
    await Promise.all(Array.from({ length: 6 }, () => newFamily(provider.issuer, as)));
    expect(
      await provider.storage.prisma.refreshFamily.count({
        where: { clientId: 'limited', endedAt: null },
      }),
    ).toBe(2);
  });

  test('refresh_token_expires_in is told to who asks for it', async () => {
    const as = await add('telling', {
      refresh_token_expires_in: true,
      refresh_token_idle_ttl: 500,
      refresh_token_absolute_ttl: 800,
    });
    const token = await newFamily(provider.issuer, as);
    vi.setSystemTime(Date.now() + 400_000);
    const { body } = await refreshAt(provider.issuer, token, as);
    expect((body as { refresh_token_expires_in?: number }).refresh_token_expires_in).toBe(400);
    const silent = await add('silent');
    expect(
      (await refreshAt(provider.issuer, await newFamily(provider.issuer, silent), silent)).body,
    ).not.toHaveProperty('refresh_token_expires_in');
  });

  test.each([
    ['idle_expired', 1001, {}],
    ['absolute_expired', 1001, { refresh_token_idle_ttl: 5000, refresh_token_absolute_ttl: 1000 }],
    ['rotated_beyond_window', 61, {}],
  ])('the reason of a refusal: %s', async (reason, seconds, metadata) => {
    const as = await add(`because-${reason}`, {
      refresh_token_idle_ttl: 1000,
      refresh_token_retry_window: 60,
      ...metadata,
    });
    const token = await newFamily(provider.issuer, as);
    await successor(token, as);
    vi.setSystemTime(Date.now() + seconds * 1000);
    for (let again = 0; again < 3; again++) await refreshAt(provider.issuer, token, as);
    expect(await reasons(token)).toContain(reason);
    expect((await reasons(token)).filter((told) => told === reason)).toHaveLength(1);
  });

  test('offline access may end with the session', async () => {
    const id = 'session-bound';
    await provider.addClient({
      ...webClient,
      client_id: id,
      offline_access_ends_with_session: true,
    });
    const party = await discover(provider.issuer, { ...webClient, client_id: id });
    const agent = new Agent(provider.issuer);
    const token = refreshTokenOf(await refresh(party, refreshTokenOf(await signIn(party, agent))));
    await agent.submit(await agent.open(`${provider.issuer}/logout`), { logout: 'yes' });
    expect(await errorOf(refresh(party, token))).toEqual({ status: 400, error: 'invalid_grant' });
    expect(await row(token)).toMatchObject({ endReason: 'revoked_by_user' });
  });
});

test('a lock that ends no families still refreshes nothing, until it is undone', async () => {
  const none = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true', SYMBOLON_END_FAMILIES_ON: 'none' },
    clients: [{ ...webClient, ...password }],
  });
  const { storage, config, accountId } = none;
  const token = await newFamily(none.issuer);
  expect(await lockAccount({ storage, config, origin: commandLine }, accountId)).toBe(0);
  expect((await refreshAt(none.issuer, token)).body.error).toBe('invalid_grant');
  expect(
    await storage.prisma.auditEvent.findFirst({ where: { type: 'refresh.refused' } }),
  ).toMatchObject({ detail: { reason: 'account_locked' } });
  await unlockAccount({ storage }, accountId);
  expect((await refreshAt(none.issuer, token)).status).toBe(200);
  await none.close();
});

describe('DPoP', () => {
  test('a public client’s family is bound to its key: what does not prove it spends nothing', async () => {
    const party = await discover(provider.issuer, publicClient);
    const keys = await client.randomDPoPKeyPair();
    const DPoP = client.getDPoPHandle(party.configuration, keys);
    const stranger = client.getDPoPHandle(party.configuration, await client.randomDPoPKeyPair());
    const request = await authorizationRequest(party);
    const callback = await new Agent(provider.issuer).authorize(request.url);
    const tokens = await request.finish(callback, { DPoP });
    const token = refreshTokenOf(tokens);
    expect(tokens.token_type).toBe('dpop');

    expect((await errorOf(client.refreshTokenGrant(party.configuration, token))).error).toBe(
      'invalid_grant',
    );
    expect(
      (
        await errorOf(
          client.refreshTokenGrant(party.configuration, token, undefined, { DPoP: stranger }),
        )
      ).error,
    ).toBe('invalid_grant');
    expect(await row(token)).toMatchObject({ generation: 0, endedAt: null });
    expect(await reasons(token)).toEqual(['binding_mismatch']);
    const next = await client.refreshTokenGrant(party.configuration, token, undefined, { DPoP });
    const again = await client.refreshTokenGrant(party.configuration, token, undefined, { DPoP });
    expect(again.refresh_token).toBe(next.refresh_token);
    expect((await errorOf(client.refreshTokenGrant(party.configuration, token))).error).toBe(
      'invalid_grant',
    ); // the window needs the key too
    expect(await row(token)).toMatchObject({ generation: 1, endedAt: null });

    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const proof = (claims: object) =>
      exportJWK(publicKey).then((jwk) =>
        new SignJWT({ jti: randomUUID(), htm: 'POST', htu: `${provider.issuer}/token`, ...claims })
          .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
          .setIssuedAt()
          .sign(createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }))),
      );
    const refused = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: { dpop: await proof({ nonce: 'expired' }) },
      body: new URLSearchParams({
        client_id: 'spa',
        grant_type: 'refresh_token',
        refresh_token: refreshTokenOf(next),
      }),
    });
    expect(await refused.json()).toMatchObject({ error: 'use_dpop_nonce' });
    expect(await row(token)).toMatchObject({ generation: 1, endedAt: null });
  });

  test('a confidential client may present a new key at each refresh; unless_sender_constrained leaves a bound token alone', async () => {
    const party = await discover(provider.issuer);
    const DPoP = async () =>
      client.getDPoPHandle(party.configuration, await client.randomDPoPKeyPair());
    const token = refreshTokenOf(await signIn(party, new Agent(provider.issuer)));
    const next = await client.refreshTokenGrant(party.configuration, token, undefined, {
      DPoP: await DPoP(),
    });
    await client.refreshTokenGrant(party.configuration, refreshTokenOf(next), undefined, {
      DPoP: await DPoP(),
    });

    const spa = {
      ...publicClient,
      client_id: 'spa-bound',
      refresh_token_rotation: 'unless_sender_constrained',
    };
    await provider.addClient(spa);
    const bound = await discover(provider.issuer, spa);
    const handle = client.getDPoPHandle(bound.configuration, await client.randomDPoPKeyPair());
    const request = await authorizationRequest(bound);
    const first = await request.finish(await new Agent(provider.issuer).authorize(request.url), {
      DPoP: handle,
    });
    const second = await client.refreshTokenGrant(
      bound.configuration,
      refreshTokenOf(first),
      undefined,
      { DPoP: handle },
    );
    expect(second.refresh_token).toBe(first.refresh_token);
    const unbound = refreshTokenOf(await signIn(bound, new Agent(provider.issuer)));
    expect((await refresh(bound, unbound)).refresh_token).not.toBe(unbound);
  });
});

test('a family whose sign-in is below the client’s minimum by now is refused, and not ended', async () => {
  const { prisma } = provider.storage;
  const as = await add('raised');
  const token = await newFamily(provider.issuer, as);
  const { metadata } = await prisma.client.findUniqueOrThrow({ where: { id: 'raised' } });
  const raise = (minimum: object) => {
    const data = { metadata: { ...(metadata as object), ...minimum } };
    return prisma.client.update({ where: { id: 'raised' }, data });
  };
  await raise({ minimum_acr: '2fa' });
  const { status, body } = await refreshAt(provider.issuer, token, as);
  expect([status, body.error]).toEqual([400, 'invalid_grant']);
  expect(await reasons(token)).toEqual(['level_too_low']);
  expect((await row(token)).endedAt).toBeNull();
  await raise({ minimum_acr: '1fa' });
  const next = await successor(token, as);
  // Nor is the token just used answered again.
  await raise({ minimum_acr: '2fa' });
  expect((await refreshAt(provider.issuer, token, as)).status).toBe(400);
  await raise({});
  await successor(next, as);
});

describe('grants that are off unless switched on', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const assertion = (change: object = {}) =>
    new SignJWT({ sub: person.email, jti: randomUUID(), ...change })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer('asserting')
      .setAudience(provider.issuer)
      .setExpirationTime('2 minutes')
      .sign(rsa.privateKey);
  const ask = (
    form: Record<string, string>,
    as: { client_id: string; client_secret?: string } = {
      client_id: 'asserting',
      client_secret: webClient.client_secret,
    },
  ) => post(`${provider.issuer}/token`, { scope: 'openid offline_access', ...form }, as);

  test('jwt-bearer gives a refresh token with offline_access, for a proper assertion, once', async () => {
    const jwks = { keys: [await exportJWK(rsa.publicKey)] };
    await provider.addClient({
      ...webClient,
      client_id: 'asserting',
      jwks,
      grant_types: [...webClient.grant_types, JWT_BEARER],
    });
    const good = await assertion();
    const { status, body } = await ask({ grant_type: JWT_BEARER, assertion: good });
    expect(status).toBe(200);
    await successor(body.refresh_token ?? '', {
      client_id: 'asserting',
      client_secret: webClient.client_secret,
    });
    expect((await ask({ grant_type: JWT_BEARER, assertion: good })).body.error).toBe(
      'invalid_grant',
    );
    expect(
      (await ask({ grant_type: JWT_BEARER, assertion: await assertion(), scope: 'openid' })).body,
    ).not.toHaveProperty('refresh_token');
    const bad = [
      await assertion({ sub: 'nobody@example.com' }),
      await new SignJWT({ sub: person.email, jti: 'x' })
        .setProtectedHeader({ alg: 'RS256' })
        .setIssuer('other')
        .setAudience(provider.issuer)
        .setExpirationTime('2 minutes')
        .sign(rsa.privateKey),
      await new SignJWT({ sub: person.email, jti: 'x' })
        .setProtectedHeader({ alg: 'RS256' })
        .setIssuer('asserting')
        .setAudience('https://other.example')
        .setExpirationTime('2 minutes')
        .sign(rsa.privateKey),
      await new SignJWT({ sub: person.email, jti: 'x' })
        .setProtectedHeader({ alg: 'RS256' })
        .setIssuer('asserting')
        .setAudience(provider.issuer)
        .setExpirationTime('2 hours')
        .sign(rsa.privateKey),
      await new SignJWT({ sub: person.email, jti: 'x' })
        .setProtectedHeader({ alg: 'RS256' })
        .setIssuer('asserting')
        .setAudience(provider.issuer)
        .setExpirationTime('2 minutes')
        .sign(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
      'not.a.jwt',
    ];
    for (const wrong of bad)
      expect((await ask({ grant_type: JWT_BEARER, assertion: wrong })).body.error).toBe(
        'invalid_grant',
      );
  });

  test('password: not without the client’s registration, nor the server’s setting', async () => {
    const form = { grant_type: 'password', username: person.email, password: person.password };
    expect(
      (await ask(form, { client_id: 'web', client_secret: webClient.client_secret })).status,
    ).toBe(400);
    const as = await add('migrating');
    expect((await ask({ ...form, scope: 'openid' }, as)).body).not.toHaveProperty('refresh_token');
    expect((await ask({ ...form, password: 'wrong' }, as)).body.error).toBe('invalid_grant');
    const off = await startProvider();
    expect((await post(`${off.issuer}/token`, form)).body.error).toBe('unsupported_grant_type');
    await off.close();
  });

  test('password: guesses through a public client count for the address, which one that authenticates does not', async () => {
    const { prisma } = provider.storage;
    await prisma.attempt.deleteMany();
    const grant_types = [...publicClient.grant_types, 'password'];
    const names = ['guess-a', 'guess-b'];
    for (const id of names)
      await provider.addClient({ ...publicClient, client_id: id, grant_types });
    const as = await add('migrating-many');
    const guess = (round: number, client: { client_id: string; client_secret?: string }) => {
      const username = `nobody${round}@example.com`;
      return ask({ grant_type: 'password', username, password: 'wrong' }, client);
    };
    for (let round = 0; round < 51; round++)
      expect((await guess(round, { client_id: names[round % 2] ?? '' })).status).toBe(400);
    const limited = await guess(51, { client_id: 'guess-a' });
    expect(limited.status).toBe(429);
    expect(limited.headers.get('retry-after')).toMatch(/^[12]$/);
    expect((await guess(52, as)).body.error).toBe('invalid_grant');
    await prisma.attempt.deleteMany();
    // Of one account, under whichever name.
    const one: (string | undefined)[] = [];
    for (let round = 0; round < 7; round++)
      one.push((await guess(0, { client_id: names[round % 2] ?? '' })).body.error);
    expect(one).toEqual([...Array.from({ length: 6 }, () => 'invalid_grant'), 'too_many_attempts']);
    await prisma.attempt.deleteMany();
  });

  test('what nobody was asked for is no consent, and hides none', async () => {
    const as = await add('unasked');
    const consents = async () => {
      const party = await discover(provider.issuer, { ...webClient, ...as });
      const { url } = await authorizationRequest(party, { scope: 'openid offline_access' });
      const agent = new Agent(provider.issuer);
      const { email, password } = person;
      const page = await agent.submit(await agent.open(url), { email, password });
      return { agent, page };
    };
    const token = await newFamily(provider.issuer, as);
    const { agent, page } = await consents();
    expect(page.html.querySelector('h1')?.text).toContain('asks for your permission');
    expect((await agent.submit(page, {}, /consent$/)).away?.searchParams.get('code')).toBeTruthy();
    // Another grant of that kind is newer than what was consented to.
    vi.setSystemTime(Date.now() + 1000);
    await newFamily(provider.issuer, as);
    expect((await consents()).page.away?.searchParams.get('code')).toBeTruthy();
    await successor(token, as);
  });

  test('client credentials never give a refresh token', async () => {
    await provider.addClient({
      ...webClient,
      client_id: 'job',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    });
    const { status, body } = await ask(
      { grant_type: 'client_credentials', scope: '' },
      { client_id: 'job', client_secret: webClient.client_secret },
    );
    expect(status).toBe(200);
    expect(body).not.toHaveProperty('refresh_token');
  });
});

test('the sweep takes what has expired, and families when they need no explaining any more', async () => {
  const as = await add('swept', { refresh_token_absolute_ttl: 1000 });
  const token = await newFamily(provider.issuer, as);
  await post(`${provider.issuer}/revoke`, { token }, as);
  const { prisma, now } = provider.storage;
  const parts = { prisma, now, retention: 5000, auditRetention: 5000 };
  vi.setSystemTime(Date.now() + 3_000_000);
  await sweep(parts);
  expect(await row(token)).toMatchObject({ endReason: 'revoked_by_client' }); // still explained
  expect(
    await prisma.artifact.count({ where: { expiresAt: { lt: new Date(Date.now() - 60_000) } } }),
  ).toBe(0);
  vi.setSystemTime(Date.now() + 4_000_000);
  expect((await backlog(parts)).families).toBeGreaterThan(0);
  await sweep(parts);
  expect(await prisma.refreshFamily.findUnique({ where: { id: familyIdOf(token) } })).toBeNull();
  expect(await backlog(parts)).toEqual({
    artifacts: 0,
    grants: 0,
    deliveries: 0,
    links: 0,
    attempts: 0,
    families: 0,
    events: 0,
  });
});
