// symbolon group, and what user and client have of groups and usernames: real commands beside a running provider.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAccount } from '../src/accounts/accounts.ts';
import { connect } from '../src/database/open.ts';
import type { PrismaClient } from '../src/generated/client.ts';
import { commandsWith } from './support/commands.ts';
import { type TestDatabase, createDatabase } from './support/database.ts';
import { temporaryFolder } from './support/folder.ts';
import { type ProviderProcess, freePort, startProcess } from './support/process.ts';
import { secret } from './support/provider.ts';
import { post, refreshAt } from './support/token-endpoint.ts';

let database: TestDatabase;
let environment: Record<string, string>;
let server: ProviderProcess;
let prisma: PrismaClient;

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  const issuer = `http://localhost:${await freePort()}`;
  prisma = connect(database.url);
  server = await startProcess({ ...environment, SYMBOLON_ISSUER: issuer });
});
afterAll(async () => {
  await server.end();
  await prisma.$disconnect();
  await database.drop();
});

const { symbolon, said: printed } = commandsWith(() => environment);
const said = async (...args: string[]) => (await printed(args)).trimEnd();
const refused = async (...args: string[]) => {
  const { code, stderr } = await symbolon(args);
  expect({ args, code }).toEqual({ args, code: 1 });
  return stderr.trimEnd();
};
const json = async (...args: string[]): Promise<unknown> =>
  JSON.parse(await said(...args, '--json')) as unknown;
const password = 'a nanosecond of wire';
const client = { client_id: 'payroll', client_secret: 'a secret of the payroll' };
const begin = (username: string) =>
  post(
    `${server.url}/token`,
    { grant_type: 'password', username, password, scope: 'openid offline_access' },
    client,
  );
const add = (email: string, ...more: string[]) =>
  symbolon(['user', 'add', email, '--password-stdin', ...more], password);

test('groups from the command line', { timeout: 600_000 }, async () => {
  const folder = await temporaryFolder();
  const file = (metadata: object) => folder.put('metadata.json', JSON.stringify(metadata));
  const described = ['--description', 'All who work here'];
  expect(await said('group', 'add', 'staff', ...described)).toBe('Added the group staff.');
  await prisma.group.create({ data: { name: 'board' } });
  expect(await refused('user', 'list', '--group', 'stuff')).toContain('There is no group "stuff"');

  const added = await add('ada@example.com', '--username', 'Ada', '--group', 'staff', 'board');
  expect(added).toMatchObject({ code: 0, stderr: '' });
  const nowhere = await add('alan@example.com', '--group', 'nobody');
  expect(nowhere.stderr).toContain('There is no group "nobody": symbolon group add makes one.');
  expect(await prisma.account.count()).toBe(1); // nothing is left of it
  await addAccount(prisma, { email: 'alan@example.com', password }, { admin: false });
  await said('group', 'member', 'add', 'staff', 'alan@example.com');
  expect(await json('group', 'list')).toMatchObject([
    { name: 'board', members: 1, description: null },
    { name: 'staff', members: 2, description: 'All who work here' },
  ]);
  expect(await json('user', 'list', '--group', 'staff', '--limit', '1')).toMatchObject([
    { email: 'ada@example.com', groups: ['board', 'staff'], username: 'ada' },
  ]);
  expect(await said('user', 'show', 'ada@example.com')).toMatch(/^groups +board, staff$/m);
  expect(JSON.parse(await said('user', 'export', 'ada@example.com'))).toMatchObject({
    ...{ username: 'ada', groups: ['board', 'staff'] },
  });

  // An application for one of them.
  const metadata = { allowed_groups: ['staff'], scope: 'openid offline_access groups' };
  const common = [
    'client',
    'add',
    'payroll',
    '--secret-stdin',
    '--redirect-uri',
    'https://a.example/',
  ];
  const grants = ['--grant', 'authorization_code', 'refresh_token', 'password'];
  const input = client.client_secret;
  const wrong = await file({ allowed_groups: ['stuff'] });
  const none = await symbolon([...common, '--metadata', wrong], input);
  expect(none.stderr).toContain('There is no group "stuff"');
  const made = await symbolon([...common, ...grants, '--metadata', await file(metadata)], input);
  expect(made.stderr).toBe('');
  const show = ['staff: All who work here', 'For its members: payroll', '', '2 in it'];
  expect(await said('group', 'show', 'staff')).toBe(
    [...show, '  ada@example.com', '  alan@example.com'].join('\n'),
  );

  const ada = (await begin('ada')).body.refresh_token ?? '';
  const alan = (await begin('alan@example.com')).body.refresh_token ?? '';
  expect(await said('group', 'member', 'remove', 'staff', 'alan@example.com')).toBe(
    'alan@example.com is not in the group staff any more; one refresh-token family ended.',
  );
  const answer = (await refreshAt(server.url, alan, client)).body;
  expect(answer.error_description).toMatch(/^access_withdrawn: /);
  expect((await symbolon(['family', 'explain'], alan)).stdout).toContain(
    'the person is in none of the groups that the application is for (allowed_groups)',
  );

  // The application is for others from now on; then their group goes.
  const board = await file({ allowed_groups: ['board'] });
  expect(await said('client', 'update', 'payroll', '--metadata', board)).toBe('Changed payroll.');
  const next = (await refreshAt(server.url, ada, client)).body.refresh_token ?? '';
  const staff = await file({ allowed_groups: ['staff'] });
  await said('client', 'update', 'payroll', '--metadata', staff);
  expect(await said('group', 'remove', 'staff')).toBe(
    'Removed the group staff, with 1 in it; one refresh-token family ended.',
  );
  expect((await refreshAt(server.url, next, client)).status).toBe(400);
  expect((await begin('ada')).body.error).toBe('invalid_grant');

  const open = await file({ allowed_groups: null });
  await said('client', 'update', 'payroll', '--metadata', open);
  await said('user', 'update', 'ada@example.com', '--username', 'countess');
  const last = (await begin('countess')).body.refresh_token ?? '';
  await prisma.group.create({ data: { name: 'staff' } });
  expect(
    await said(
      'client',
      'update',
      'payroll',
      '--metadata',
      await file({ allowed_groups: ['staff'] }),
    ),
  ).toBe('Changed payroll; one refresh-token family ended.');
  expect((await refreshAt(server.url, last, client)).status).toBe(400);
});
