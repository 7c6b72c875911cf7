// Files are applied by several at once, and beside other changes: real commands and providers, which wait for each other.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { locks } from '../../src/database/locks.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { findClient } from '../../src/storage/clients.ts';
import { commandsWith } from '../support/commands.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryFolder } from '../support/folder.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';
import { deadlocks, hold, queued } from './locks.ts';

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  environment = { DATABASE_URL: database.url, SYMBOLON_SECRET: secret };
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});
beforeEach(async () => {
  await prisma.$executeRaw`TRUNCATE client, "group", resource, claims_policy, audit_event, account CASCADE`;
});

const { symbolon, said } = commandsWith(() => environment);
const changes = 'SELECT pg_advisory_xact_lock($1)';
const app = (id: string, more = '') =>
  `  - { client_id: ${id}, token_endpoint_auth_method: none, redirect_uris: ["https://${id}.example/"]${more} }\n`;

test('of two commands at once the second finds nothing to do', async () => {
  const folder = await temporaryFolder();
  const file = await folder.put('all.yaml', `groups: [{ name: staff }]\nclients:\n${app('one')}`);
  const held = await hold(database.url, changes, [locks.changingAccess]);
  const both = [symbolon(['apply', '-f', file]), symbolon(['apply', '-f', file])];
  await queued(held.holder, 2);
  await held.release();
  const results = await Promise.all(both);
  expect(results.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ''],
    [0, ''],
  ]);
  const said = results.map(({ stdout }) => stdout.trimEnd().split('\n').at(-1)).sort();
  expect(said).toEqual(['2 added, 0 changed, 0 removed.', 'Nothing to change.']);
  expect(await prisma.auditEvent.count()).toBe(2);
});

test('what was changed while it waited is what it begins with', async () => {
  const folder = await temporaryFolder();
  const file = await folder.put('all.yaml', `clients:\n${app('one')}`);
  await said(['apply', '-f', file]);
  await folder.put('all.yaml', `clients:\n${app('one', ', client_name: One')}`);
  const held = await hold(database.url, "SELECT FROM client WHERE id = 'one' FOR UPDATE");
  const running = said(['apply', '-f', file]);
  await queued(held.holder, 1);
  await held.holder.query(
    `UPDATE client SET metadata = metadata || '{"client_uri": "https://x.example", "disabled": "later"}'`,
  );
  await held.holder.query('COMMIT');
  expect(await running).toContain('    client_uri: "https://x.example" -> (removed)\n');
  const found = await findClient(prisma, new Keyring([secret]), 'one');
  expect(found).toMatchObject({ client_name: 'One', disabled: 'later' });
  expect(found).not.toHaveProperty('client_uri');
});

test('who ends the access of a person meanwhile is not waited for in a circle', async () => {
  const folder = await temporaryFolder();
  const file = await folder.put('all.yaml', `clients:\n${app('a')}${app('b')}`);
  await said(['apply', '-f', file]);
  await folder.put('all.yaml', 'clients: []\n');
  await prisma.account.create({ data: { id: 'ada', email: 'ada@example.com' } });
  const expiresAt = new Date(Date.now() + 86_400_000);
  const grant = { accountId: 'ada', payload: {}, expiresAt };
  await prisma.grant.createMany({
    data: [
      { ...grant, id: '1', clientId: 'b' },
      { ...grant, id: '2', clientId: 'a' },
    ],
  });
  const lock = 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE';
  const held = await hold(database.url, lock, ['1']);
  const before = await deadlocks(held.holder);
  const running = said(['apply', '-f', file, '--prune']);
  await queued(held.holder, 1);
  await held.holder.query(lock, ['2']);
  await held.release();
  expect(await running).toContain('0 added, 0 changed, 2 removed.');
  expect(await deadlocks(held.holder)).toBe(before);
  expect(await prisma.grant.count()).toBe(0);
});

test('providers apply a folder at their start, once, and serve what it describes', async () => {
  const folder = await temporaryFolder();
  await folder.put(
    'all.yaml',
    `scopes: { work: { title: Work } }\nclients:\n${app('one', ', scope: openid work')}`,
  );
  const settings = { ...environment, SYMBOLON_APPLY: folder.path };
  const issuer = `http://localhost:${await freePort()}`;
  await said('migrate');
  const held = await hold(database.url, changes, [locks.changingAccess]);
  const starting = [1, 2].map(() => startProcess({ ...settings, SYMBOLON_ISSUER: issuer }));
  await queued(held.holder, 2);
  await held.release();
  const [first, second] = (await Promise.all(starting)) as [ProviderProcess, ProviderProcess];
  const scopes = async ({ url }: ProviderProcess) => {
    const answer = await fetch(`${url}/.well-known/openid-configuration`);
    return ((await answer.json()) as { scopes_supported: string[] }).scopes_supported;
  };
  try {
    for (const one of [first, second]) expect(await scopes(one)).toContain('work');
    const events = await prisma.auditEvent.findMany({ where: { actorId: 'apply' } });
    expect(events.map(({ type, actorKind }) => [type, actorKind])).toEqual([
      ['claims.changed', 'system'],
      ['client.added', 'system'],
    ]);
    // What is applied beside them, they take up.
    const more = await folder.put('more.yaml', 'scopes: { home: { title: Home } }\n');
    await said(['apply', '-f', more]);
    for (const one of [first, second])
      await eventually(async () => {
        expect(await scopes(one)).toEqual(expect.arrayContaining(['work', 'home']));
      });
  } finally {
    await Promise.all([first.end(), second.end()]);
  }

  await folder.put('wrong.yaml', 'groups: [{ nam: staff }]\n');
  const refused = await run(['src/main.ts'], { ...settings, PORT: String(await freePort()) });
  expect(refused).toMatchObject({
    code: 1,
    stdout: expect.not.stringContaining('is running') as string,
  });
  expect(refused.stderr).toContain('files of SYMBOLON_APPLY: Nothing was changed.\n');
  expect(refused.stderr).toContain(
    `${folder.path}/wrong.yaml:1: nam: not known; what is known: name, description`,
  );
});
