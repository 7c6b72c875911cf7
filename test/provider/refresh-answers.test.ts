// What token answers say of refresh tokens: until when they last, and why one was refused. Only the client that a token
// belongs to is told.
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { REASONS, describeRefusal } from '../../src/storage/families/reasons.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { endLine, revokeClient } from '../../src/storage/revocation.ts';
import { type Storage, createStorage } from '../../src/storage/storage.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';
import { lockAccount, unlockAccount } from '../support/changes.ts';

const lives = { refresh_token_idle_ttl: 1000, refresh_token_absolute_ttl: 1500 };
const grants = (metadata: object) => ({
  ...webClient,
  ...metadata,
  grant_types: [...webClient.grant_types, 'password'],
});
const web = grants({ ...lives, refresh_token_retry_window: 60 });
const other = grants({ client_id: 'other' });
const app = { ...publicClient, grant_types: [...publicClient.grant_types, 'password'] };

let provider: TestProvider;
/** Whether the statement that rotates fails, as when the connection is cut. */
let isDown = false;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [web, other, app, grants({ client_id: 'told', refresh_token_expires_in: true })],
    wrap: withOutage,
  });
});
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());
afterAll(() => provider.close());

const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);
const as = ({ client_id: id }: { client_id: string }) =>
  id === app.client_id
    ? { client_id: id }
    : { client_id: id, client_secret: webClient.client_secret };
const refresh = async (token: string, client: { client_id: string } = web) =>
  (await refreshAt(provider.issuer, token, as(client))).body as Record<string, unknown>;
const why = async (token: string, client: { client_id: string } = web) => {
  const { error, error_description: description } = await refresh(token, client);
  expect(error).toBe('invalid_grant');
  return String(description);
};
const fresh = (client: { client_id: string } = web) => newFamily(provider.issuer, as(client));
const GENERIC = 'grant request is invalid';

test('how long the token may lie unused, and until when it is renewed at most', async () => {
  const token = await fresh();
  const first = await refresh(token);
  expect(first).toMatchObject({ refresh_token_timeout: 1000, authorization_expires_in: 1500 });
  expect(first['refresh_token_expires_in']).toBeUndefined();
  pass(800);
  const next = await refresh(String(first['refresh_token']));
  expect(next).toMatchObject({ refresh_token_timeout: 700, authorization_expires_in: 700 });
  const asked = await refresh(await fresh({ client_id: 'told' }), { client_id: 'told' });
  expect(asked).toMatchObject({ refresh_token_timeout: 2_592_000 });
  expect([2_591_999, 2_592_000]).toContain(asked['refresh_token_expires_in']);
});

test('the first answer says so, and the discovery document that answers do', async () => {
  const form = {
    ...{ grant_type: 'password', username: person.email, password: person.password },
    scope: 'openid offline_access',
  };
  const { body } = await post(`${provider.issuer}/token`, form, as(web));
  expect(body).toMatchObject({ refresh_token_timeout: 1000, authorization_expires_in: 1500 });
  const discovery = await fetch(`${provider.issuer}/.well-known/openid-configuration`);
  expect(await discovery.json()).toMatchObject({
    refresh_token_expiration_types_supported: ['token_timeout', 'authorization'],
  });
});

test('the client is told why', async () => {
  const idle = await fresh();
  pass(1000);
  expect(await why(idle)).toMatch(/^idle_expired: /);
  const old = await fresh();
  const renewed = String((await refresh(old))['refresh_token']);
  pass(61);
  expect(await why(old)).toMatch(/^rotated_beyond_window: /);
  expect(await why(renewed)).toMatch(/^reuse: /);
  const ended = await fresh();
  await provider.storage.prisma.$transaction((database) =>
    endLine(
      database,
      { id: familyIdOf(ended), grantId: null },
      { reason: 'revoked_by_admin', now: new Date(), origin: commandLine },
    ),
  );
  expect(await why(ended)).toMatch(/^revoked_by_admin: /);
  const locked = await fresh();
  const { storage, config, accountId } = provider;
  await lockAccount({ storage, config, origin: commandLine }, accountId);
  expect(await why(locked)).toMatch(/^account_locked: /);
  await unlockAccount({ storage }, accountId);
});

test('a stranger is not: another client, or who has made a token up', async () => {
  const token = await fresh();
  expect(await why(token, other)).toBe(GENERIC);
  expect(await why(token, app)).toBe(GENERIC);
  await post(`${provider.issuer}/revoke`, { token }, as(web));
  expect(await why(token, other)).toBe(GENERIC);
  expect(await why(token)).toMatch(/^revoked_by_client: /);
  const id = familyIdOf(token);
  for (const madeUp of [`${id}.${'A'.repeat(43)}`, `symr_${id}.0.${'A'.repeat(64)}`])
    for (const client of [web, app]) expect(await why(madeUp, client)).toBe(GENERIC);
  const mine = await fresh(app);
  await post(`${provider.issuer}/revoke`, { token: mine }, as(app));
  expect(await why(mine, app)).toMatch(/^revoked_by_client: /);
});

test('a removed application’s families tell why they ended', async () => {
  const token = await fresh(other);
  await provider.storage.prisma.$transaction((database) =>
    revokeClient(database, 'other', {
      reason: 'client_removed',
      now: new Date(),
      origin: commandLine,
    }),
  );
  expect(await why(token, other)).toMatch(/^client_removed: /);
});

describe('docs/refresh-answers.md shows what is answered', () => {
  const doc = readFileSync(new URL('../../docs/refresh-answers.md', import.meta.url), 'utf8');
  // Each answer that it shows, in order.
  const shown = [...doc.matchAll(/```http\nHTTP\/1\.1 (\d+)[^\n]*\n([^]*?)```/g)].map(
    ([, status, rest = '']) => ({
      status: Number(status),
      body: JSON.parse(rest.slice(rest.indexOf('{'))) as Record<string, unknown>,
    }),
  );
  const [success, retry, narrow, wide, unavailable, notTheClient, refused] = shown;
  const form = { grant_type: 'refresh_token', scope: 'openid' };
  const fieldsOf = (body: object | undefined) => Object.keys(body ?? {});

  test('a success, a retry with the same refresh token, and a narrower scope', async () => {
    const token = await fresh();
    const answers = [
      await refreshAt(provider.issuer, token, as(web)),
      await refreshAt(provider.issuer, token, as(web)),
    ];
    for (const [at, { status, body }] of answers.entries()) {
      const example = [success, retry][at];
      expect(status).toBe(example?.status);
      expect(fieldsOf(body)).toEqual(fieldsOf(example?.body));
    }
    const [first, second] = answers.map(({ body }) => body);
    expect(second?.refresh_token).toBe(first?.refresh_token);
    expect(retry?.body['refresh_token']).toBe(success?.body['refresh_token']);
    for (const [one, other] of [
      [second, first],
      [retry?.body, success?.body],
    ] as const)
      expect(one?.access_token).not.toBe(other?.access_token);
    const less = await post(
      `${provider.issuer}/token`,
      { ...form, refresh_token: String(second?.refresh_token) },
      as(web),
    );
    expect(fieldsOf(less.body)).toEqual(fieldsOf(narrow?.body));
    expect(less.body).toMatchObject({ scope: narrow?.body['scope'] });
    expect(await refresh(String(less.body.refresh_token))).toMatchObject({
      scope: 'openid offline_access',
    });
  });

  test('what is refused, and what cannot be answered now', async () => {
    const token = await fresh();
    const ask = async (more: object = {}, client = as(web)) => {
      const all = { ...form, refresh_token: token, ...more };
      const { status, body } = await post(`${provider.issuer}/token`, all, client);
      return { status, body };
    };
    expect(await ask({ scope: 'openid profile' })).toEqual(wide);
    expect(await ask({}, { client_id: 'web', client_secret: 'not this' })).toEqual(notTheClient);
    isDown = true;
    const down = await refreshAt(provider.issuer, token, as(web));
    isDown = false;
    expect({ status: down.status, body: down.body }).toEqual(unavailable);
    expect(down.headers.get('retry-after')).toBe(/Retry-After: (\d+)/.exec(doc)?.[1]);
    pass(1000);
    expect(await ask()).toEqual(refused);
  });

  test('and tells every reason in the words of the answer', () => {
    const told = [...doc.matchAll(/^\| `((\w+): [^`]+)` +\|/gm)].map(([, text, reason]) => [
      reason,
      text,
    ]);
    // An unknown token gets the same words as a malformed request.
    const all = REASONS.filter((reason) => reason !== 'unknown');
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(all.map((reason) => [reason, describeRefusal(reason)])),
    );
    expect(doc).toContain(`| \`${GENERIC}\``);
  });

  test('signing out of the application: 200 without a body, also a second time', async () => {
    const token = await fresh();
    const revoke = async () => {
      const { status, body } = await post(`${provider.issuer}/revoke`, { token }, as(web));
      expect({ status, body }).toEqual({ status: 200, body: {} });
    };
    await revoke();
    await revoke();
  });
});

/** A database whose connection is cut before a rotation. */
function withOutage(storage: Storage): Storage {
  const pool = new Proxy(storage.pool, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== 'query') return value;
      return (query: { name?: string }) =>
        isDown && query.name === 'rotate_and_issue'
          ? Promise.reject(new Error('injected: the connection was cut'))
          : (value as (given: unknown) => Promise<unknown>).call(target, query);
    },
  });
  return createStorage({ ...storage, pool }, { now: storage.now });
}
