// A client is changed by several at once: commands as real processes, and an application that changes its own
// registration. Each begins with what the one before has left; nothing that an operator has done is undone.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { presentedSecret } from '../../src/storage/client-secrets.ts';
import { findClient, insertClient, setDisabled } from '../../src/storage/clients.ts';
import { commandsWith } from '../support/commands.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/folder.ts';
import { secret, startProvider, webClient } from '../support/provider.ts';
import { hold, queued } from './locks.ts';

let database: TestDatabase;
let prisma: PrismaClient;
const keyring = new Keyring([secret]);

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});
beforeEach(async () => {
  await prisma.client.deleteMany();
  await insertClient(prisma, keyring, webClient);
});

const { symbolon } = commandsWith(() => ({ DATABASE_URL: database.url, SYMBOLON_SECRET: secret }));
const holdClient = (url = database.url, id = 'web') =>
  hold(url, 'SELECT FROM client WHERE id = $1 FOR UPDATE', [id]);
/** Runs a command whose turn comes after another's change, which it began before. */
async function after(change: string, ...args: string[]) {
  const { holder } = await holdClient();
  const running = symbolon(['client', ...args]);
  await queued(holder, 1);
  await holder.query(`UPDATE client SET ${change} WHERE id = 'web'`);
  await holder.query('COMMIT');
  const { code, stderr } = await running;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

test('a command keeps what was changed while it waited', async () => {
  const set = (name: string) => `metadata = metadata || '{"${name}": "https://x.example"}'`;
  const folder = await temporaryFolder();
  const named = await folder.put('name.json', '{ "client_name": "Renamed" }');
  const more = 'https://one.example/callback';
  await prisma.$executeRaw`UPDATE client SET metadata = metadata || '{"redirect_uris": []}'`;
  await after(set('client_uri'), 'update', 'web', '--add-redirect-uri', more);
  await after(set('policy_uri'), 'disable', 'web');
  await after(set('tos_uri'), 'update', 'web', '--metadata', named);
  await after(set('logo_uri'), 'secret', 'replace', 'web');
  const uris = ['client_uri', 'policy_uri', 'tos_uri', 'logo_uri'];
  expect(await findClient(prisma, keyring, 'web')).toMatchObject({
    ...Object.fromEntries(uris.map((name) => [name, 'https://x.example'])),
    ...{ disabled: '', client_name: 'Renamed', redirect_uris: [more] },
  });
  const { detail } = await prisma.auditEvent.findFirstOrThrow({
    where: { type: 'client.changed' },
    orderBy: { id: 'desc' },
  });
  expect(detail).toEqual({ changed: { client_name: { from: 'Notes', to: 'Renamed' } } });
});

test('of two commands at once each takes effect', async () => {
  const { holder } = await holdClient();
  const disabling = symbolon('client disable web');
  await queued(holder, 1);
  const updating = symbolon('client update web --add-redirect-uri https://one.example/callback');
  await queued(holder, 2);
  await holder.query('COMMIT');
  expect((await Promise.all([disabling, updating])).map(({ code }) => code)).toEqual([0, 0]);
  const client = await findClient(prisma, keyring, 'web');
  expect(client).toMatchObject({ disabled: '' });
  expect(client?.redirect_uris).toHaveLength(2);
});

test('a secret is replaced by the rules of the method that the client has by then', async () => {
  const signs = `metadata = metadata || '{"token_endpoint_auth_method": "client_secret_jwt"}'`;
  await after(signs, 'secret', 'replace', 'web');
  const { client_secret: kept = '' } = (await findClient(prisma, keyring, 'web')) ?? {};
  expect(kept).toHaveLength(43); // itself: with a hash no assertion could be checked
});

test('replacing the secret, or going without one, forgets the uses of the former ones', async () => {
  const use = { clientId: 'web', at: new Date() };
  const uses = () => prisma.clientSecretUse.findMany({ where: { clientId: 'web' } });
  await prisma.clientSecretUse.create({ data: { ...use, secretId: '01234567' } });
  expect((await symbolon('client secret replace web')).code).toBe(0);
  expect(await uses()).toEqual([]);
  const { client_secret: stored } = (await findClient(prisma, keyring, 'web')) ?? {};
  expect(presentedSecret(stored, webClient.client_secret, 0)).toBeUndefined();
  await prisma.clientSecretUse.create({ data: { ...use, secretId: '89abcdef' } });
  const folder = await temporaryFolder();
  const open = await folder.put('f.json', '{ "token_endpoint_auth_method": "none" }');
  expect((await symbolon(['client', 'update', 'web', '--metadata', open])).code).toBe(0);
  expect(await uses()).toEqual([]);
});

test('an application that changes its registration meanwhile is told so, and undoes nothing', async () => {
  const provider = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'open' } });
  try {
    const metadata = { redirect_uris: ['https://app.example/callback'] };
    const send = async (method: string, to: string, body: object, token?: string) =>
      fetch(to, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(body),
      });
    const made = (await (
      await send('POST', `${provider.issuer}/register`, metadata)
    ).json()) as Record<string, string>;
    const { client_id: id = '', registration_client_uri: uri = '' } = made;
    const change = (name: string) =>
      send('PUT', uri, { ...metadata, client_id: id, client_name: name }, token);
    const { registration_access_token: token } = made;
    const lock = await holdClient(provider.databaseUrl, id);
    const changing = change('Other');
    await queued(lock.holder, 1);
    await lock.holder.query(
      `UPDATE client SET metadata = metadata || '{"disabled": "stolen"}' WHERE id = $1`,
      [id],
    );
    await lock.holder.query('COMMIT');
    const answer = await changing;
    expect({ status: answer.status, body: await answer.json() }).toMatchObject({
      status: 409,
      body: { error: 'temporarily_unavailable' },
    });
    const { prisma: database, keyring: keys } = provider.storage;
    const stored = await findClient(database, keys, id);
    expect(stored).toMatchObject({ disabled: 'stolen' });
    expect(stored).not.toHaveProperty('client_name');
    // What it read again it may change; what the operator did stays.
    expect((await change('Other')).status).toBe(200);
    expect(await findClient(database, keys, id)).toMatchObject({
      ...{ disabled: 'stolen', client_name: 'Other' },
    });
    expect(await setDisabled(database, id, null)).toBe(true);
  } finally {
    await provider.close();
  }
});
