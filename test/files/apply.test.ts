// symbolon apply, as a process on a real database: what files say is there afterwards, all of it or nothing.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { parseSecrets, presentedSecret } from '../../src/storage/client-secrets.ts';
import { readSources } from '../../src/files/source.ts';
import { findClient, insertClient } from '../../src/storage/clients.ts';
import { commandsWith } from '../support/commands.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/folder.ts';
import { secret } from '../support/provider.ts';

const EXAMPLE = 'examples/apply';
const keyring = new Keyring([secret]);
const [first, second] = ['the first of two secrets', 'the second of two secrets'];

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});
beforeEach(async () => {
  await prisma.$executeRaw`TRUNCATE client, "group", resource, claims_policy, audit_event, account CASCADE`;
  environment = {
    ...{ DATABASE_URL: database.url, SYMBOLON_SECRET: secret },
    ...{ NOTES_CLIENT_SECRET: first, REPORTS_CLIENT_SECRET: second },
  };
});

const { symbolon, said } = commandsWith(() => environment);
const apply = (...args: string[]) => said(['apply', ...args]);
async function refused(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await symbolon(['apply', ...args]);
  expect({ args, code, stdout }).toEqual({ args, code: 1, stdout: '' });
  return stderr;
}
/** Every row with the transaction that has written it. */
async function rows(): Promise<unknown> {
  return prisma.$queryRaw`
    SELECT 'client' AS of, id, xmin::text FROM client UNION ALL SELECT 'group', name, xmin::text FROM "group"
    UNION ALL SELECT 'resource', id, xmin::text FROM resource
    UNION ALL SELECT 'claims', id::text, xmin::text FROM claims_policy
    UNION ALL SELECT 'event', id::text, xmin::text FROM audit_event ORDER BY 1, 2`;
}
const events = async () =>
  (await prisma.auditEvent.findMany({ orderBy: { id: 'asc' } })).map(
    ({ type, clientId, detail }) => ({
      type,
      ...(clientId === null ? {} : { clientId }),
      detail: detail,
    }),
  );
const isSecretOf = async (id: string, value: string) => {
  const found = await findClient(prisma, keyring, id);
  return presentedSecret(found?.client_secret, value, Date.now() / 1000) !== undefined;
};
const family = (id: string, accountId: string, clientId: string) => ({
  ...{ id, accountId, clientId, currentHash: Buffer.from(id), payload: {} },
  createdAt: new Date(),
  idleExpiresAt: new Date(Date.now() + 86_400_000),
  absoluteExpiresAt: new Date(Date.now() + 86_400_000),
});

test('the example: planned, applied, and nothing twice', { timeout: 120_000 }, async () => {
  const planned = await symbolon(['apply', '-f', EXAMPLE, '--plan']);
  expect(planned).toMatchObject({ code: 2, stderr: '' });
  expect(planned.stdout).toContain(
    '+ client notes\n    grant_types: ["authorization_code","refresh_token"]\n',
  );
  expect(planned.stdout).toContain('    client_secret: 1 added (not shown)\n');
  expect(planned.stdout).toMatch(/\n7 to add, 1 to change, 0 to remove\.\n$/);
  expect(await rows()).toEqual([]);

  const applied = await apply('-f', EXAMPLE);
  expect(applied).toContain('+ group staff\n    description: "All who work here"\n');
  for (const output of [planned.stdout, applied, JSON.stringify(await events())])
    for (const value of [first, second]) expect(output).not.toContain(value);
  expect(await isSecretOf('notes', first)).toBe(true);
  expect(await findClient(prisma, keyring, 'notes')).toMatchObject({
    ...{ client_name: 'Notes', allowed_groups: ['staff'] },
    ...{ grant_types: ['authorization_code', 'refresh_token'] },
  });
  expect(await prisma.resource.findMany()).toMatchObject([
    { id: 'https://api.example.com/notes', format: 'jwt', ttl: 600, applied: true },
  ]);
  expect(await prisma.claimsPolicy.findMany()).toMatchObject([
    { scopes: { work: { title: 'See where you work' } }, accessToken: ['groups'] },
  ]);
  const added = await prisma.auditEvent.findMany({ where: { type: 'client.added' } });
  expect(added).toHaveLength(3);
  expect(added[0]).toMatchObject({ actorKind: 'operator' });

  const before = await rows();
  expect(await apply('-f', EXAMPLE)).toBe('Nothing to change.\n');
  expect(await apply('-f', EXAMPLE, '--prune')).toBe('Nothing to change.\n');
  expect(await symbolon(['apply', '-f', EXAMPLE, '--plan'])).toMatchObject({ code: 0 });
  expect(await rows()).toEqual(before);
});

test('so is the example in the docs', async () => {
  const docs = await readFile('docs/files.md', 'utf8');
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(docs) ?? [];
  const folder = await temporaryFolder();
  expect(await apply('-f', await folder.put('docs.yaml', yaml))).toContain('+ client notes\n');
});

test(
  'all that is wrong is told at once, with its place, and nothing is written',
  { timeout: 120_000 },
  async () => {
    const folder = await temporaryFolder();
    await insertClient(prisma, keyring, { client_id: 'alone', client_id_issued_at: 1 });
    await folder.put(
      'a.yaml',
      [
        'groups:', // 1
        '  - name: staff', // 2
        '    descripton: typo', // 3
        '  - name: "?"', // 4
        'clients:', // 5
        '  - client_id: one', // 6
        '    redirect_uri: https://one.example/', // 7
        '    redirect_uris: [https://one.example/]', // 8
        '    client_secret: a secret as it is, in a file', // 9
        '  - client_id: two', // 10
        '    redirect_uris: [javascript:alert(1)]', // 11
        '    client_secret: { env: NOT_SET_ANYWHERE }', // 12
        '    allowed_groups: [nobody]', // 13
        '  - client_id: three', // 14
        '    redirect_uris: [https://three.example/]', // 15
        '  - client_id: alone', // 16
        '    token_endpoint_auth_method: none', // 17
        '    redirect_uris: [https://alone.example/]', // 18
        'resources:', // 19
        '  - resource: notes', // 20
        '    ttl: 999999', // 21
        'scopes:', // 22
        '  work: { title: Work, claims: { sub: string } }', // 23
        'clints: []', // 24
      ].join('\n'),
    );
    await folder.put('b.json', '{\n\t"clients": [\n\t\t{ "client_id": "three" }\n\t]\n}');
    const lines = (await refused('-f', folder.path)).trimEnd().split('\n');
    const at = (file: string, line: number) => `${folder.path}/${file}:${line}: `;
    expect(lines[0]).toBe('Nothing was changed.');
    const told = lines.slice(1);
    for (const [line, message] of [
      [3, 'descripton: not known; what is known: name, description'],
      [4, 'A group’s name has'],
      [7, 'redirect_uri: not known as client metadata. Known:'],
      [9, 'client_secret: wants { env: NAME }'],
      [11, 'redirect_uris'],
      [12, 'client_secret: the variable NOT_SET_ANYWHERE is not set'],
      [13, 'allowed_groups: there is no group "nobody"'],
      [14, 'client_secret: is needed'],
      [16, 'it registered itself'],
      [20, 'resource: The indicator is an absolute URI'],
      [21, 'ttl: Tokens live'],
      [23, 'scopes.work.claims.sub'],
      [24, 'clints: not known; what is known: groups, scopes, claims, resources, clients'],
    ] as const)
      expect(told, message).toContainEqual(
        expect.stringContaining(`${at('a.yaml', line)}${message}`),
      );
    expect(told).toContainEqual(
      `${at('b.json', 3)}clients: three is described twice; the first time at ${folder.path}/a.yaml:14`,
    );
    expect(told.join('\n')).not.toContain('a secret as it is');
    expect(await prisma.client.count()).toBe(1);
    expect(await events()).toEqual([]);

    // No file is read in part, and none in two ways.
    for (const [text, why] of [
      ['groups: [\n', /:\d+: /],
      ['groups: []\ngroups: []\n', ':2: Map keys must be unique'],
      ['a: &a [1]\ngroups: [*a, *a]\n', 'has an alias'],
      ['groups: !!js/function "x"\n', ':1: Unresolved tag'],
    ] as const)
      await expect(readSources([await folder.put('wrong.yml', text)]), text).rejects.toThrow(why);
    const list = await folder.put('wrong.yml', '- name: staff\n');
    expect(await refused('-f', list)).toContain('wants groups, scopes');
    const empty = await temporaryFolder();
    expect(await refused('-f', empty.path)).toContain('has no file that ends with');
    expect(await refused('-f', `${empty.path}/none.yaml`)).toContain('none.yaml: ENOENT');
  },
);

test('a redirect that anybody on the way can read is warned of', async () => {
  const folder = await temporaryFolder();
  const file = await folder.put(
    'app.yaml',
    'clients: [{ client_id: app, token_endpoint_auth_method: none, redirect_uris: ["http://app.example/"] }]\n',
  );
  expect(await apply('-f', file)).toContain('    Warning: "http://app.example/" is not https:');
});

const application = (folder: TemporaryFolder, secretLine: string) =>
  folder.put(
    'app.yaml',
    `clients:\n  - client_id: app\n    redirect_uris: [https://app.example/]\n    client_secret: ${secretLine}\n`,
  );

test(
  'a secret is replaced, or there are two while it is exchanged',
  { timeout: 120_000 },
  async () => {
    const folder = await temporaryFolder();
    environment = { ...environment, OLD: first, NEW: second };
    await apply('-f', await application(folder, '{ env: OLD }'));
    const both = await application(folder, '[{ env: OLD }, { file: new.secret }]');
    await folder.put('new.secret', `${second}\n`);
    expect(await apply('-f', both)).toContain(
      '~ client app\n    client_secret: 1 added (not shown)\n',
    );
    expect([await isSecretOf('app', first), await isSecretOf('app', second)]).toEqual([true, true]);
    expect(await apply('-f', both)).toBe('Nothing to change.\n');
    // Changing only secrets leaves the metadata, and what was issued.
    expect((await events()).map(({ type }) => type)).toEqual([
      'client.added',
      'client.secret_added',
    ]);

    expect(await apply('-f', await application(folder, '{ env: NEW }'))).toContain('1 removed');
    expect([await isSecretOf('app', first), await isSecretOf('app', second)]).toEqual([
      false,
      true,
    ]);
    environment['NEW'] = 'a third one, in one step';
    expect(await apply('-f', `${folder.path}/app.yaml`)).toContain(
      'client_secret: 1 added, 1 removed',
    );
    expect(await isSecretOf('app', second)).toBe(false);

    // One that is not there: an error, or left as it is.
    delete environment['NEW'];
    expect(await refused('-f', `${folder.path}/app.yaml`)).toContain('the variable NEW is not set');
    const left = await application(folder, '{ env: NEW, optional: true }');
    expect(await apply('-f', left)).toBe('Nothing to change.\n');
    environment['NEW'] = 'short';
    expect(await refused('-f', left)).toContain('wants at least 16 characters');

    // Without client_secret, the command line has them.
    await said('client secret add app');
    const silent = await folder.put(
      'app.yaml',
      'clients:\n  - client_id: app\n    redirect_uris: [https://app.example/]\n',
    );
    expect(await apply('-f', silent)).toBe('Nothing to change.\n');
    const found = await findClient(prisma, keyring, 'app');
    expect(parseSecrets(found?.client_secret ?? '')).toHaveLength(2);
    // A method without a secret.
    await folder.put(
      'app.yaml',
      'clients:\n  - client_id: app\n    token_endpoint_auth_method: none\n    redirect_uris: [https://app.example/]\n',
    );
    expect(await apply('-f', silent)).toContain('client_secret: 2 removed');
    expect(await prisma.client.findMany()).toMatchObject([{ secret: null }]);
  },
);

test('--prune removes what files have made, and nothing else', { timeout: 120_000 }, async () => {
  const folder = await temporaryFolder();
  await said('group add theirs');
  await said('resource add https://theirs.example');
  await said('client add theirs --public --redirect-uri https://theirs.example/');
  await said('client add taken --public --redirect-uri https://taken.example/');
  const file = await folder.put(
    'all.yaml',
    `groups: [{ name: staff }, { name: board }]
scopes: { work: { title: Work }, home: { title: Home } }
claims: { id_token: [groups] }
resources: [{ resource: "https://ours.example" }]
clients:
  - { client_id: ours, token_endpoint_auth_method: none, redirect_uris: ["https://ours.example/"], allowed_groups: [staff, board] }
  - { client_id: gone, token_endpoint_auth_method: none, redirect_uris: ["https://gone.example/"] }
  - { client_id: taken, token_endpoint_auth_method: none, redirect_uris: ["https://taken.example/"], client_name: Taken }
`,
  );
  expect(await apply('-f', file)).toContain('~ client taken\n    client_name: "Taken"\n');
  for (const [id, groups] of [
    ['ada', ['board']],
    ['alan', ['board', 'staff']],
  ] as const)
    await prisma.account.create({ data: { id, email: `${id}@example.com`, groups: [...groups] } });
  await prisma.refreshFamily.createMany({
    data: [
      family('one', 'ada', 'gone'),
      family('two', 'alan', 'gone'),
      family('three', 'ada', 'ours'),
      family('four', 'alan', 'ours'),
      family('five', 'ada', 'theirs'),
    ],
  });
  await folder.put(
    'all.yaml',
    `groups: [{ name: staff }]
scopes: { work: { title: Work } }
clients:
  - { client_id: ours, token_endpoint_auth_method: none, redirect_uris: ["https://ours.example/"], allowed_groups: [staff] }
`,
  );
  // Without it, nothing is removed but who may use what.
  const partly = await symbolon(['apply', '-f', file, '--plan']);
  expect(partly.stdout).toContain(
    '~ client ours  (refresh-token families that end: 1)\n    allowed_groups:\n      - "board"\n',
  );
  expect(partly.stdout).toContain('\n0 to add, 1 to change, 0 to remove.');

  const planned = await symbolon(['apply', '-f', file, '--prune', '--plan']);
  expect(planned).toMatchObject({ code: 2, stderr: '' });
  const removed = [
    '- scope home',
    '- client gone  (refresh-token families that end: 2)',
    '- resource https://ours.example',
    '- group board  (2 in it; refresh-token families that end: 1)',
  ];
  for (const line of removed) expect(planned.stdout).toContain(`${line}\n`);
  expect(planned.stdout).not.toMatch(/theirs|taken/);
  const done = JSON.parse(await apply('-f', file, '--prune', '--json')) as Record<string, unknown>;
  expect(done).toMatchObject({ ended: 3, applications: { told: 0, waiting: 0 } });
  expect((await prisma.client.findMany({ orderBy: { id: 'asc' } })).map(({ id }) => id)).toEqual([
    'ours',
    'taken',
    'theirs',
  ]);
  expect(
    (await prisma.group.findMany({ orderBy: { name: 'asc' } })).map(({ name }) => name),
  ).toEqual(['staff', 'theirs']);
  expect((await prisma.resource.findMany()).map(({ id }) => id)).toEqual([
    'https://theirs.example',
  ]);
  expect(await prisma.claimsPolicy.findMany()).toMatchObject([
    { scopes: { work: { title: 'Work', claims: {} } }, idToken: [] },
  ]);
  const ended = await prisma.refreshFamily.findMany({
    where: { endedAt: { not: null } },
    orderBy: { id: 'asc' },
  });
  expect(ended.map(({ id, endReason }) => [id, endReason])).toEqual([
    ['one', 'client_removed'],
    ['three', 'access_withdrawn'],
    ['two', 'client_removed'],
  ]);
  expect(await apply('-f', file, '--prune')).toBe('Nothing to change.\n');
});

test(
  'what is exported is taken back without a change, here and elsewhere',
  { timeout: 120_000 },
  async () => {
    await apply('-f', EXAMPLE);
    await said('client add 7-days --redirect-uri https://seven.example/');
    await said('client add 7.days --redirect-uri https://another.example/');
    await said('client disable 7-days --reason later');
    await said('resource add https://plain.example --format opaque --scope plain:read=Read');
    await insertClient(prisma, keyring, { client_id: 'alone', client_id_issued_at: 1 });
    const exported = await said('export');
    for (const value of [first, second]) expect(exported).not.toContain(value);
    expect(exported).not.toContain('alone');
    expect(exported).toContain('env: _7_DAYS_CLIENT_SECRET\n      optional: true\n');
    const [another = ''] = /\b_7_DAYS_[0-9A-F]{8}_CLIENT_SECRET/.exec(exported) ?? []; // no two share one
    const folder = await temporaryFolder();
    const file = await folder.put('exported.yaml', exported);
    const json = await folder.put('exported.json', await said('export --json'));
    const before = await rows();
    for (const one of [file, json]) expect(await apply('-f', one)).toBe('Nothing to change.\n');
    expect(await rows()).toEqual(before);

    // In another installation the secrets are needed.
    const other = await createDatabase();
    environment = { ...environment, DATABASE_URL: other.url };
    try {
      const told = await refused('-f', file);
      expect(told).toMatch(/:\d+: client_secret: is needed/);
      const names = { _7_DAYS_CLIENT_SECRET: first, NOTES_REPORTS_CLIENT_SECRET: second };
      Object.assign(environment, names, { [another]: 'another-secret-of-thirty-two-characters' });
      await apply('-f', file);
      expect(await said('export')).toBe(exported);
    } finally {
      await other.drop();
    }
  },
);
