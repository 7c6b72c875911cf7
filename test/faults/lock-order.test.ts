// Accounts are locked first, by everything that also locks what belongs to one: of two that go different ways each would
// wait for the other. Here somebody holds the account; what waits for it must not hold the rest yet.
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { confirmTotp as confirm } from '../../src/accounts/totp.ts';
import { makeLink, spendLink } from '../../src/accounts/links.ts';
import { sha256 } from '../../src/keys/keyring.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { beginTotp } from '../support/changes.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import { hold, queued } from './locks.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const holdAccount = () =>
  hold(provider.databaseUrl, 'SELECT FROM account WHERE id = $1 FOR UPDATE', [provider.accountId]);

test('an app for one-time codes that is confirmed', async () => {
  const { storage, config, accountId } = provider;
  const account = { id: accountId, email: person.email };
  const { secret } = await beginTotp({ storage, config }, account);
  const code = TOTP.generate({ secret: Secret.fromBase32(secret) });
  const row = await holdAccount();
  const confirming = storage.prisma.$transaction((database) =>
    confirm(database, { storage, origin: commandLine }, accountId, code),
  );
  await queued(row.holder, 1);
  await row.holder.query('SELECT FROM totp WHERE account_id = $1 FOR UPDATE NOWAIT', [accountId]);
  await row.release();
  await confirming;
  expect((await storage.prisma.totp.findUnique({ where: { accountId } }))?.confirmedAt).not.toBe(
    null,
  );
});

test('a link that is spent', async () => {
  const { prisma, keyring, now } = provider.storage;
  const { accountId } = provider;
  const link = { purpose: 'password_reset', accountId, email: person.email, now: now() } as const;
  const token = await makeLink(prisma, keyring, link);
  const row = await holdAccount();
  const spending = prisma.$transaction((database) =>
    spendLink(database, ['password_reset'], token, now()),
  );
  await queued(row.holder, 1);
  await row.holder.query('SELECT FROM link WHERE id = $1 FOR UPDATE NOWAIT', [sha256(token)]);
  await row.release();
  expect(await spending).toMatchObject({ accountId });
});
