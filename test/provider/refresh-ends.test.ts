// What is told, and kept, when refresh tokens end: applications are told once, and of a person who is gone no address is
// kept; a token that the database has forgotten is what it says, at introspection too.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { deleteAccount } from '../../src/accounts/removal.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { endLineOf } from '../../src/storage/revocation.ts';
import { hold, queued } from '../faults/locks.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';

const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const told = { ...web, client_id: 'told', backchannel_logout_uri: 'https://app.example/logout' };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    clients: [web, told],
    environment: {
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
    },
  });
});
afterAll(() => provider.close());

const endedBy = async (token: string) => (await family(familyIdOf(token))).endReason;
const refusals = async (token: string) =>
  (
    await provider.storage.prisma.auditEvent.findMany({
      where: { familyId: familyIdOf(token), type: 'refresh.refused' },
      orderBy: { id: 'asc' },
    })
  ).map(({ detail }) => (detail as { reason: string }).reason);
/** Spends a token and its successor, so that it is used up. */
const usedUp = async (token: string) => {
  const { body } = await refreshAt(provider.issuer, token);
  await refreshAt(provider.issuer, body.refresh_token ?? '');
};

const family = (id: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where: { id } });
const withScope = (token: string, scope: string) =>
  post(`${provider.issuer}/token`, { grant_type: 'refresh_token', refresh_token: token, scope });
const introspect = async (token: string) =>
  (await post(`${provider.issuer}/introspect`, { token })).body as Record<string, unknown>;

test('of two who disconnect one device at once, one has the application told', async () => {
  const { prisma, keyring, now } = provider.storage;
  const id = familyIdOf(await newFamily(provider.issuer, told));
  await prisma.$executeRaw`UPDATE refresh_family SET payload = payload || '{"sid":"s"}' WHERE id = ${id}`;
  const { grantId } = await family(id);
  const lock = 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE';
  const held = await hold(provider.databaseUrl, lock, [grantId]);
  const { accountId } = provider;
  const end = () =>
    prisma.$transaction((database) =>
      endLineOf(
        database,
        { id, accountId },
        { reason: 'revoked_by_user', keyring, now: now(), origin: commandLine },
      ),
    );
  const both = [end(), end()];
  await queued(held.holder, 2);
  await held.release();
  expect((await Promise.all(both)).sort()).toEqual([0, 1]);
  expect(await prisma.delivery.count({ where: { channel: 'logout' } })).toBe(1);
});

test('of a person who is gone, a refused refresh keeps no address and no browser', async () => {
  const { prisma } = provider.storage;
  const eve = { ...person, email: 'eve@example.com' };
  const account = await addAccount(prisma, eve, { admin: false });
  const { body } = await post(`${provider.issuer}/token`, {
    ...{ grant_type: 'password', username: eve.email, password: eve.password },
    scope: 'openid offline_access',
  });
  await prisma.$transaction((database) =>
    deleteAccount(database, { storage: provider.storage, origin: commandLine }, account),
  );
  await refreshAt(provider.issuer, body.refresh_token ?? '');
  await refreshAt(provider.issuer, body.refresh_token ?? '');
  const events = await prisma.auditEvent.findMany({ where: { accountId: account.id } });
  expect(events.filter(({ type }) => type === 'refresh.refused')).toHaveLength(1);
  for (const { ip, userAgent } of events) expect([ip, userAgent]).toEqual([null, null]);
});

test('a token whose uses the database has forgotten is active, as it is when it is presented', async () => {
  const { prisma } = provider.storage;
  const first = await newFamily(provider.issuer);
  const id = familyIdOf(first);
  const { generation, currentHash, previousHash, rotatedAt } = await family(id);
  let token = first;
  for (let use = 0; use < 2; use++)
    token = (await refreshAt(provider.issuer, token)).body.refresh_token ?? '';
  const idleExpiresAt = new Date(Date.now() - 1000);
  await prisma.refreshFamily.update({
    where: { id },
    data: { generation, currentHash, previousHash, rotatedAt, idleExpiresAt },
  });
  expect(await introspect(first)).toEqual({ active: false });
  expect(await introspect(token)).toMatchObject({ active: true, rotations: 2 });
  expect((await refreshAt(provider.issuer, token)).status).toBe(200);
});

test('an access token that no code started tells its line, too', async () => {
  const { body } = await post(`${provider.issuer}/token`, {
    ...{ grant_type: 'password', username: person.email, password: person.password },
    scope: 'openid offline_access',
  });
  expect(await introspect(body.access_token ?? '')).toMatchObject({
    authorization_id: familyIdOf(body.refresh_token ?? ''),
  });
});

test('a used-up token is reuse whatever scope is asked for with it', async () => {
  const token = await newFamily(provider.issuer);
  expect((await withScope(token, 'openid phone')).body.error).toBe('invalid_scope');
  expect(await endedBy(token)).toBeNull();
  await usedUp(token);
  const { body } = await withScope(token, 'openid phone');
  expect(body).toMatchObject({
    error: 'invalid_grant',
    error_description: expect.stringMatching(/^reuse: /) as string,
  });
  expect(await endedBy(token)).toBe('reuse');
});

test('a used-up token that is bound to a key is nobody’s who has not the key', async () => {
  const { prisma } = provider.storage;
  const token = await newFamily(provider.issuer);
  await prisma.$executeRaw`
    UPDATE refresh_family SET payload = payload || '{"jkt":"key"}' WHERE id = ${familyIdOf(token)}`;
  const { generation } = await family(familyIdOf(token));
  await prisma.$executeRaw`
    UPDATE refresh_family SET generation = generation + 2, current_hash = sha256('another'), rotated_at = now()
    WHERE id = ${familyIdOf(token)}`;
  for (const scope of ['openid', 'openid phone']) {
    const { body } = await withScope(token, scope);
    expect(body).toMatchObject({
      error: 'invalid_grant',
      error_description: expect.stringMatching(/^binding_mismatch: /) as string,
    });
  }
  expect(await family(familyIdOf(token))).toMatchObject({
    generation: generation + 2,
    endedAt: null,
  });
  expect(await refusals(token)).toEqual(['binding_mismatch']);
});

test('an application is told of the end of a session once no line of it is left', async () => {
  const { prisma, keyring, now } = provider.storage;
  const { accountId } = provider;
  const lines = [];
  for (let line = 0; line < 2; line++)
    lines.push(familyIdOf(await newFamily(provider.issuer, told)));
  await prisma.$executeRaw`
    UPDATE refresh_family SET payload = payload || '{"sid":"both"}' WHERE id = ANY (${lines})`;
  await prisma.delivery.deleteMany();
  const messages = [];
  for (const id of lines) {
    await prisma.$transaction((database) =>
      endLineOf(
        database,
        { id, accountId },
        { reason: 'revoked_by_user', keyring, now: now(), origin: commandLine },
      ),
    );
    messages.push(await prisma.delivery.count({ where: { channel: 'logout' } }));
  }
  expect(messages).toEqual([0, 1]);
});
