// Importing people: what is taken, what is not and why, twice, cut off, and beside those who come by themselves.
import { createHash, scryptSync } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ImportOptions, importPeople } from '../../src/accounts/import.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent } from '../support/agent.ts';
import { commandsWith } from '../support/commands.ts';
import { type TestProvider, person, secret, startProvider } from '../support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const { symbolon } = commandsWith(() => ({
  DATABASE_URL: provider.databaseUrl,
  SYMBOLON_SECRET: secret,
}));
const lines = (...people: readonly unknown[]) =>
  people.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
const accountOf = (email: string) =>
  provider.storage.prisma.account.findUnique({ where: { email } });

const password = 'nanoseconds of wire, many';
const scrypt = `$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0$${scryptSync(password, Buffer.from('saltsaltsalt'), 32, { N: 1024, r: 8, p: 1 }).toString('base64')}`;
const grace = {
  sub: 'auth0|5f7c8',
  email: 'Grace@Example.com',
  email_verified: true,
  name: 'Grace Hopper',
  username: 'grace',
  password_hash: scrypt,
  locale: 'de',
  claims: { nickname: 'Amazing Grace', birthdate: '1906-12-09' },
  groups: ['navy', 'compilers'],
};

describe('the command', () => {
  test('a trial run writes nothing, and says what would be done', async () => {
    const { code, stdout, stderr } = await symbolon('user import - --dry-run', lines(grace));
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'Would add 1 person; 0 people here already, 0 people not taken.\n',
      stderr: '',
    });
    expect(await accountOf('grace@example.com')).toBeNull();
  });

  test('people are taken with everything, once', async () => {
    const file = lines(grace, '', { email: 'joan@example.com', locked: true });
    const first = await symbolon('user import - --json', file);
    expect(JSON.parse(first.stdout)).toEqual({ added: 2, there: 0, not_taken: 0, dry_run: false });
    expect(await accountOf('grace@example.com')).toMatchObject({
      ...{ id: 'auth0|5f7c8', emailVerified: true, username: 'grace', locale: 'de' },
      ...{ name: 'Grace Hopper', passwordHash: scrypt, claims: grace.claims, lockedAt: null },
      groups: ['compilers', 'navy'],
    });
    expect(await accountOf('joan@example.com')).toMatchObject({
      ...{ emailVerified: false, passwordHash: null, lockedAt: expect.any(Date) as Date },
    });
    const { prisma } = provider.storage;
    expect(await prisma.group.count()).toBe(2);
    const events = await prisma.auditEvent.findMany({ where: { actorKind: 'operator' } });
    expect(events.map(({ type }) => type).sort()).toEqual([
      'account.added',
      'account.added',
      'group.added',
      'group.added',
    ]);

    const again = await symbolon('user import - --json', file);
    expect(JSON.parse(again.stdout)).toMatchObject({ added: 0, there: 2, not_taken: 0 });
    expect(await prisma.auditEvent.count({ where: { actorKind: 'operator' } })).toBe(4);
  });

  test('somebody from elsewhere signs in with the password, which is hashed anew', async () => {
    const agent = new Agent(provider.issuer);
    const page = await agent.submit(await agent.open('/account'), {
      ...{ email: 'grace@example.com', password },
    });
    expect(page.url.pathname).toBe('/account');
    const account = await accountOf('grace@example.com');
    expect(account?.passwordHash).toMatch(/^\$argon2id\$/);
  });

  test('what cannot be taken is told with its line, and the rest is taken', async () => {
    const wrong: Record<string, readonly [line: unknown, why: string]> = {
      'no JSON': ['{"email":', 'this is no JSON'],
      'no object': [[], 'expected object'],
      'no address': [{ name: 'Nobody' }, 'email'],
      'an address that is none': [{ email: 'nobody' }, 'email: This is not an e-mail address.'],
      'a member that nobody knows': [{ email: 'a@example.com', phone: '1' }, '"phone"'],
      'a password': [{ email: 'a@example.com', password }, '"password"'],
      'a hash of no known form': [
        { email: 'a@example.com', password_hash: createHash('md5').update('x').digest('hex') },
        'password_hash: the hash has none of the forms',
      ],
      'a claim that nobody knows': [
        { email: 'a@example.com', claims: { shoe_size: '42' } },
        'shoe_size: there is no such claim',
      ],
      'a username that will not do': [{ email: 'a@example.com', username: 'a b' }, 'username:'],
      'a sub that will not do': [{ email: 'a@example.com', sub: 'a b' }, 'sub: wants'],
      'a group that will not do': [{ email: 'a@example.com', groups: ['\t'] }, 'groups: 0:'],
      'a NUL': [{ email: 'a@example.com', claims: { nickname: 'a\0b' } }, 'character'],
      'an address of somebody else': [
        { email: person.email, sub: 'other' },
        `somebody has the address ${person.email}`,
      ],
      'a sub of somebody else': [{ email: 'b@example.com', sub: grace.sub }, 'has the sub'],
      'a username of somebody else': [{ email: 'c@example.com', username: 'grace' }, 'username'],
    };
    const cases = Object.values(wrong);
    const good = [{ email: 'first@example.com' }, { email: 'last@example.com' }];
    const twice = { email: 'FIRST@example.com' };
    const file = lines(good[0], ...cases.map(([line]) => line), twice, good[1]);
    const { code, stdout, stderr } = await symbolon('user import - --json', file);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ added: 2, there: 0, not_taken: cases.length + 1 });
    const told = new Map(
      stderr
        .trim()
        .split('\n')
        .map((line) => /^line (\d+): (.*)$/.exec(line)?.slice(1) as [string, string]),
    );
    for (const [index, [, why]] of cases.entries())
      expect(told.get(String(index + 2))).toContain(why);
    expect(told.get(String(cases.length + 2))).toBe('line 1 has the same address');
    for (const name of ['a', 'b', 'c']) expect(await accountOf(`${name}@example.com`)).toBeNull();
  });

  test('a file that is not there', async () => {
    const { code, stderr } = await symbolon('user import nowhere.jsonl');
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nowhere.jsonl cannot be read') as string,
    });
  });
});

const none: ImportOptions = { isDryRun: false, onNotTaken: () => {}, onProgress: () => {} };
const people = (count: number, prefix: string) =>
  Readable.from(
    Array.from({ length: count }, (_, number) =>
      JSON.stringify({ email: `${prefix}-${number}@example.com`, groups: ['navy'] }),
    ),
  ) as AsyncIterable<string>;
const parts = () => ({ ...provider, origin: commandLine });

test('an import that is cut off is whole after another', async () => {
  const cut = async function* () {
    yield* people(1200, 'cut');
    throw new Error('cut off');
  };
  await expect(importPeople(parts(), cut(), none)).rejects.toThrow('cut off');
  const { prisma } = provider.storage;
  const where = { email: { startsWith: 'cut-' } };
  expect(await prisma.account.count({ where })).toBe(1000);
  expect(await importPeople(parts(), people(1500, 'cut'), none)).toEqual({
    ...{ added: 500, there: 1000, notTaken: 0 },
  });
});

test('two imports of the same people at once add each of them once', async () => {
  const refused: string[] = [];
  const options = { ...none, onNotTaken: ({ reason }: { reason: string }) => refused.push(reason) };
  const results = await Promise.all(
    [1, 2, 3].map(() => importPeople(parts(), people(1000, 'both'), options)),
  );
  const sum = (key: 'added' | 'there' | 'notTaken') =>
    results.reduce((all, one) => all + one[key], 0);
  expect(sum('added')).toBe(1000);
  expect(sum('there') + sum('notTaken')).toBe(2000);
  expect(refused.every((reason) => reason.includes('meanwhile'))).toBe(true);
  const events = await provider.storage.prisma.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int FROM audit_event e JOIN account a ON a.id = e.account_id
    WHERE a.email LIKE 'both-%' AND e.type = 'account.added'`;
  expect(events).toEqual([{ count: 1000 }]);
});

test('people sign in and make accounts meanwhile', async () => {
  const { prisma } = provider.storage;
  const importing = importPeople(parts(), people(3000, 'beside'), none);
  const agents = Array.from({ length: 4 }, () => new Agent(provider.issuer));
  const pages = await Promise.all(
    agents.map(async (agent) =>
      agent.submit(await agent.open('/account'), {
        ...{ email: person.email, password: person.password },
      }),
    ),
  );
  expect(pages.map(({ url }) => url.pathname)).toEqual(agents.map(() => '/account'));
  expect(await importing).toMatchObject({ added: 3000 });
  expect(await prisma.account.count({ where: { groups: { has: 'navy' } } })).toBeGreaterThan(3000);
});
