// Who asks for tokens with a password while the person is locked out, or gets another password, is not left with a
// family: the request comes first, and what it issued ends too, or it comes second, and nothing is issued.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine } from '../../src/storage/origin.ts';
import {
  changePassword,
  lockAccount,
  signOutEverywhere,
  unlockAccount,
} from '../support/changes.ts';
import { type TestProvider, publicClient, startProvider } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';
import { hold, queued } from './locks.ts';

const app = { client_id: publicClient.client_id };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    clients: [{ ...publicClient, grant_types: [...publicClient.grant_types, 'password'] }],
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
  });
});
afterAll(() => provider.close());

test('the person is signed out after a request’s password was checked, before its commit: nothing is issued', async () => {
  const { holder } = await hold(
    provider.databaseUrl,
    'UPDATE account SET signed_out_at = now() WHERE id = $1',
    [provider.accountId],
  );
  const asked = expect(newFamily(provider.issuer, app)).rejects.toThrow('invalid_grant');
  await queued(holder, 1);
  await holder.query('COMMIT');
  await asked;
  await newFamily(provider.issuer, app); // who asks again is judged anew
});

test('the person leaves a group after a request’s password was checked, before its commit: nothing is issued', async () => {
  await provider.storage.prisma.$executeRaw`UPDATE account SET groups = '{members,others}'`;
  const { holder } = await hold(
    provider.databaseUrl,
    `UPDATE account SET groups = '{others}' WHERE id = $1`,
    [provider.accountId],
  );
  const asked = expect(newFamily(provider.issuer, app)).rejects.toThrow('invalid_grant');
  await queued(holder, 1);
  await holder.query('COMMIT');
  await asked;
  await newFamily(provider.issuer, app);
});

const parts = () => ({ ...provider, origin: commandLine });
const ends: Record<string, { now: () => Promise<unknown>; after: () => Promise<unknown> }> = {
  'is locked': {
    now: () => lockAccount(parts(), provider.accountId),
    after: () => unlockAccount(parts(), provider.accountId),
  },
  'is signed out everywhere': {
    now: () => signOutEverywhere(parts(), provider.accountId, 'revoked_by_admin'),
    after: () => Promise.resolve(),
  },
  // The last: nobody signs in with the former one afterwards.
  'gets another password': {
    now: () => changePassword(parts(), provider.accountId, 'another horse battery'),
    after: () => Promise.resolve(),
  },
};

describe.each(Object.entries(ends))('the person %s', (_name, { now, after }) => {
  test('while a request with the password commits: what it issued ends', async () => {
    const held = await hold(provider.databaseUrl, `SELECT FROM client WHERE id = 'spa' FOR UPDATE`);
    const asked = newFamily(provider.issuer, app);
    await queued(held.holder, 1); // the grant's row waits for its client's
    const ended = now();
    await Promise.race([ended, queued(held.holder, 2)]);
    await held.release();
    const [token] = await Promise.all([asked, ended]);
    await after();
    expect((await refreshAt(provider.issuer, token, app)).status).toBe(400);
  });
});
