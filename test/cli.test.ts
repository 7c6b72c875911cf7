// The command line as real processes, on a database of their own, and beside a running server.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../src/database/open.ts';
import type { PrismaClient } from '../src/generated/client.ts';
import { Keyring, sha256 } from '../src/keys/keyring.ts';
import { maintainKeys } from '../src/keys/signing-keys.ts';
import { artifactContext } from '../src/storage/sealed-artifact.ts';
import { commandsWith } from './support/commands.ts';
import { type TestDatabase, createDatabase } from './support/database.ts';
import { type ProviderProcess, freePort, run, startProcess } from './support/process.ts';
import { secret } from './support/provider.ts';
import { schedule } from './support/signing-keys.ts';
import { newFamily, post, refreshAt, familyIdOf, secretOf } from './support/token-endpoint.ts';

let database: TestDatabase;
let environment: Record<string, string>;
let server: ProviderProcess;
let prisma: PrismaClient;
let folder: string;

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  server = await startProcess({
    ...environment,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
  });
  prisma = connect(database.url);
  folder = await mkdtemp(join(tmpdir(), 'symbolon-cli-'));
});
afterAll(async () => {
  await server.end();
  await prisma.$disconnect();
  await database.drop();
  await rm(folder, { recursive: true });
});

const { symbolon, said } = commandsWith(() => environment);
async function json<T = Record<string, unknown>>(args: string, input?: string): Promise<T> {
  return JSON.parse(await said(`${args} --json`, input)) as T; // nothing else is on standard output
}
async function metadata(content: unknown): Promise<string> {
  const file = join(folder, `${Math.random()}.json`);
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}
const granted = 'authorization_code refresh_token password';

test('every command has help', { timeout: 120_000 }, async () => {
  for (const command of [
    '',
    'serve',
    'migrate',
    'sweep',
    'user add',
    'user list',
    'user show',
    'user password',
    'user lock',
    'user unlock',
    'user sign-out',
    'group add',
    'group list',
    'group show',
    'group remove',
    'group member add',
    'group member remove',
    'client add',
    'client list',
    'client show',
    'client update',
    'client remove',
    'client invite',
    'client secret add',
    'client secret list',
    'client secret remove',
    'client secret replace',
    'client disable',
    'client enable',
    'resource add',
    'resource list',
    'resource show',
    'resource remove',
    'user claims',
    'user update',
    'key list',
    'key rotate',
    'key remove',
    'secret reseal',
    'secret abandon',
    'family list',
    'family show',
    'family explain',
    'family revoke',
    'audit',
    'audit verify',
  ]) {
    const { code, stdout } = await symbolon(`${command} --help`.trim());
    expect({ command, code }).toEqual({ command, code: 0 });
    expect(stdout).toContain('Usage: symbolon');
  }
});

describe('user', () => {
  test('add, show, list; no password is ever shown', async () => {
    const added = await json(
      'user add Ada@Example.com --name Ada --admin --password-stdin',
      'correct horse battery\n',
    );
    expect(added).toMatchObject({ email: 'ada@example.com', name: 'Ada', admin: true });
    const shown = await symbolon('user show ada@example.com');
    expect(shown.stdout).toContain('ada@example.com');
    expect(shown.stdout).not.toContain('argon2');
    expect(await json<unknown[]>('user list')).toHaveLength(1);
    expect((await symbolon('user list')).stdout).toMatch(/E-MAIL[\s\S]+ada@example\.com/);
  });

  test.each([
    [
      'user add ada@example.com --password-stdin',
      'correct horse battery',
      'email: There is an account',
    ],
    [
      'user add nobody --password-stdin',
      'correct horse battery',
      'email: This is not an e-mail address',
    ],
    ['user add bob@example.com --password-stdin', 'short', 'password: A password has at least 8'],
    ['user add bob@example.com --password-stdin', '', 'No password came'],
    ['user add bob@example.com', '', 'give it on standard input with --password-stdin'],
    ['user show bob@example.com', '', 'There is no account'],
  ])('%s (%s) is refused', async (args, input, message) => {
    const { code, stderr, stdout } = await symbolon(args, input);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(await prisma.account.count()).toBe(1);
  });
});

describe('client', () => {
  test('a secret that is not given is made, shown once, and works', async () => {
    const made = await json<{ client_secret: string }>(
      `client add web --redirect-uri http://localhost:4000/callback --grant ${granted} --name Notes`,
    );
    expect(made.client_secret).toMatch(/^[\w-]{43}$/);
    const credentials = { client_id: 'web', client_secret: made.client_secret };
    expect(
      await newFamily(server.url, { ...credentials }).catch((error: unknown) => String(error)),
    ).toMatch(/^\w/);
    for (const args of [
      'client show web',
      'client show web --json',
      'client list',
      'client list --json',
    ]) {
      expect((await symbolon(args)).stdout).not.toContain(made.client_secret);
    }
    expect(
      (await refreshAt(server.url, 'x', { client_id: 'web', client_secret: 'wrong' })).body.error,
    ).toBe('invalid_client');
  });

  test('a given secret, a public client, metadata from a file', async () => {
    await json(
      'client add given --redirect-uri https://a.example/cb --secret-stdin',
      'a secret of mine, long enough\n',
    );
    expect(
      (
        await refreshAt(server.url, 'x', {
          client_id: 'given',
          client_secret: 'a secret of mine, long enough',
        })
      ).body.error,
    ).toBe('invalid_grant');
    const spa = await json(
      'client add spa --public --redirect-uri https://a.example/cb https://b.example/cb',
    );
    expect(spa).toMatchObject({
      token_endpoint_auth_method: 'none',
      redirect_uris: ['https://a.example/cb', 'https://b.example/cb'],
    });
    expect(spa).not.toHaveProperty('client_secret');
    const file = await metadata({ refresh_token_idle_ttl: 100, client_uri: 'https://a.example' });
    expect(
      await json(`client add file --redirect-uri https://a.example/cb --metadata ${file}`),
    ).toMatchObject({ refresh_token_idle_ttl: 100 });
    await json('client add tv --grant device_code refresh_token');
    await json('client add job --grant client_credentials');
  });

  test.each([
    [
      'client add web --redirect-uri https://a.example/cb',
      undefined,
      'client_id: there is a client "web" already',
    ],
    ['client add bad', undefined, 'redirect_uris'],
    ['client add bad --redirect-uri not-a-uri', undefined, 'redirect_uris'],
    ['client add bad --redirect-uri https://a.example/cb#x', undefined, 'redirect_uris'],
    ['client add bad --redirect-uri https://a.example/cb --grant magic', undefined, 'grant_types'],
    [
      'client add bad --redirect-uri https://a.example/cb',
      { redirect_uri: 'x' },
      'redirect_uri: not known',
    ],
    [
      'client add bad --redirect-uri https://a.example/cb',
      { refresh_token_idle_ttl: -1 },
      'refresh_token_idle_ttl must be a number of seconds',
    ],
    [
      'client add bad --redirect-uri https://a.example/cb',
      { refresh_token_rotation: 'sometimes' },
      'refresh_token_rotation must be',
    ],
    [
      'client add bad --public --redirect-uri https://a.example/cb',
      { refresh_token_on_reuse: 'refuse' },
      'refresh_token_on_reuse may be "refuse" only',
    ],
    [
      'client add bad --redirect-uri https://a.example/cb',
      { client_secret: 'x' },
      'client_secret: is not taken from the metadata file',
    ],
    ['client add bad --redirect-uri https://a.example/cb', '[]', 'does not hold a JSON object'],
    [
      'client add bad --redirect-uri https://a.example/cb --metadata /nowhere.json',
      undefined,
      'cannot be read',
    ],
    [
      'client add bad --public --secret-stdin --redirect-uri https://a.example/cb',
      undefined,
      'exclude each other',
    ],
    ['client show bad', undefined, 'There is no client "bad"'],
    ['client remove bad', undefined, 'There is no client "bad"'],
  ])('%s with %o is refused', async (args, content, message) => {
    const before = await prisma.client.count();
    const { code, stderr, stdout } = await symbolon(
      content === undefined ? args : `${args} --metadata ${await metadata(content)}`,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(await prisma.client.count()).toBe(before);
  });

  test.each([
    [
      'client add short --redirect-uri https://a.example/cb --secret-stdin',
      'x',
      'client_secret_basic',
    ],
    [
      'client add short --redirect-uri https://a.example/cb --secret-stdin',
      'fifteen letters',
      'client_secret_post',
    ],
    [
      'client add short --grant client_credentials --secret-stdin',
      'a secret of 31 characters only',
      'client_secret_jwt',
    ],
  ])('%s with the secret %j is refused', async (args, chosen, method) => {
    const file = await metadata({ token_endpoint_auth_method: method });
    const { code, stderr } = await symbolon(`${args} --metadata ${file}`, `${chosen}\n`);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /client_secret: has \d+ characters; at least \d+ are wanted/,
      ) as string,
    });
    expect(await prisma.client.findUnique({ where: { id: 'short' } })).toBeNull();
  });

  test('an operator’s own redirect URI may be http on a host of theirs, with a warning', async () => {
    const { code, stderr } = await symbolon('client add lan --redirect-uri http://nas.lan/cb');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('"http://nas.lan/cb" is not https') as string,
    });
    const local = await symbolon('client add here --redirect-uri http://localhost:4000/cb');
    expect({ code: local.code, stderr: local.stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each([
    [{ redirect_uris: [' https://a.example/cb'] }, 'spaces'],
    [{ redirect_uris: ['https://a.example/c\tb'] }, 'spaces'],
    [{ redirect_uris: ['https://*.example/cb'] }, 'wildcard'],
    [{ redirect_uris: ['https://ada:x@a.example/cb'] }, 'user name'],
    [{ application_type: 'native', redirect_uris: ['mailto:ada@example.com'] }, 'act on mailto:'],
    [
      {
        application_type: 'native',
        redirect_uris: ['com.example.app:/cb'],
        post_logout_redirect_uris: ['ms-settings:privacy'],
      },
      'act on ms-settings:',
    ],
    [{ redirect_uris: ['https://a.example/cb'], logo_uri: 'https://a.example/ logo' }, 'logo_uri'],
  ])('%j is refused to an operator too', async (content, message) => {
    const { code, stderr } = await symbolon(`client add bad --metadata ${await metadata(content)}`);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(message) as string,
    });
  });

  test('is changed, and what is set to null is removed', async () => {
    await json(
      `client update file --metadata ${await metadata({ client_name: 'Renamed', refresh_token_idle_ttl: null })}`,
    );
    const shown = await json('client show file');
    expect(shown).toMatchObject({ client_name: 'Renamed' });
    expect(shown).not.toHaveProperty('refresh_token_idle_ttl');
    expect(shown).toMatchObject({ refresh_policy: { refresh_token_idle_ttl: 30 * 86_400 } });
    expect((await symbolon('client show file')).stdout).toMatch(
      /refresh_token_rotation +always \(server default\)/,
    );
    const refused = await symbolon(
      `client update file --metadata ${await metadata({ redirect_uris: [] })}`,
    );
    expect(refused.code).toBe(1);
    expect(await json('client show file')).toMatchObject({
      redirect_uris: ['https://a.example/cb'],
    });
  });

  test('neither makes keys nor rotates them', { timeout: 120_000 }, async () => {
    const own = await createDatabase();
    const settings = { ...environment, DATABASE_URL: own.url, SYMBOLON_REGISTRATION: 'token' };
    const tables = connect(own.url);
    const file = await metadata({ client_name: 'Renamed' });
    const register = async (id: string) => {
      for (const args of [
        `add ${id} --redirect-uri https://a.example/cb`,
        `update ${id} --metadata ${file}`,
        'invite',
      ]) {
        const { code, stderr } = await run(['src/cli.ts', 'client', ...args.split(' ')], settings);
        expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
      }
    };
    await register('first');
    expect(await tables.signingKey.findMany()).toEqual([]);
    expect(await tables.installationSecret.findMany()).toEqual([]);

    const longAgo = new Date(Date.now() - 2 * schedule.rotateEvery);
    await maintainKeys(tables, new Keyring([secret]), longAgo, schedule);
    const due = await tables.signingKey.findMany({ orderBy: { kid: 'asc' } });
    expect(due).not.toEqual([]);
    await register('second');
    expect(await tables.signingKey.findMany({ orderBy: { kid: 'asc' } })).toEqual(due);
    await tables.$disconnect();
    await own.drop();
  });
});

describe('family', () => {
  const client = { client_id: 'notes', client_secret: 'a secret that is long enough to be one' };
  beforeAll(async () => {
    await json(
      `client add notes --redirect-uri https://notes.example/cb --grant ${granted} --secret-stdin`,
      client.client_secret,
    );
  });

  test('list, show, explain, revoke', async () => {
    const first = await newFamily(server.url, client);
    const second = (await refreshAt(server.url, first, client)).body.refresh_token ?? '';
    const id = familyIdOf(first);
    const [listed] = await json<Record<string, unknown>[]>(
      'family list --user ada@example.com --client notes',
    );
    expect(listed).toMatchObject({
      id,
      client_id: 'notes',
      user: 'ada@example.com',
      state: 'active',
      rotations: 1,
    });
    expect(await json<unknown[]>('family list --client web')).not.toContainEqual(
      expect.objectContaining({ id }),
    );

    const story = (await symbolon(`family show ${id}`)).stdout;
    expect(story).toContain('Issued to notes for ada@example.com');
    expect(story).toContain('Renewed once');
    expect(story).toContain('Alive');
    const explained = await symbolon('family explain', `${second}\n`);
    expect(explained.stdout).toContain('The token is the current one');
    expect(explained.stdout).not.toContain(secretOf(second));
    expect((await symbolon('family explain', first)).stdout).toContain('within the retry window');

    expect(await json(`family revoke ${id}`)).toMatchObject({ id, revoked: true });
    expect((await refreshAt(server.url, second, client)).body.error).toBe('invalid_grant');
    const told = (await symbolon(`family show ${second}`)).stdout; // a whole token is taken for its family
    expect(told).toContain('because an administrator revoked it');
    expect(told).toContain('revoked_by_admin');
    expect((await symbolon(`family revoke ${id}`)).stderr).toContain('ended already');
    expect((await symbolon('family show nobody')).code).toBe(1);
    expect((await symbolon('family explain', 'not a token')).code).toBe(1);
  });

  test('revoke all of a person, a client or a grant', async () => {
    for (const by of ['--user ada@example.com', '--client notes', '--grant'] as const) {
      const token = await newFamily(server.url, client);
      const row = await prisma.refreshFamily.findUniqueOrThrow({
        where: { id: familyIdOf(token) },
      });
      await json(`family revoke ${by === '--grant' ? `--grant ${row.grantId ?? ''}` : by}`);
      expect((await refreshAt(server.url, token, client)).body.error).toBe('invalid_grant');
    }
    expect((await symbolon('family revoke')).stderr).toContain('Name one');
  });

  test.each([
    ['user password ada@example.com --password-stdin', 'correct horse battery', 'password_changed'],
    ['user sign-out ada@example.com', '', 'revoked_by_admin'],
    ['user lock ada@example.com', '', 'account_locked'],
  ])('%s ends families', async (args, input, reason) => {
    const token = await newFamily(server.url, client);
    expect(await json(args, input)).toMatchObject({ ended: 1 });
    expect((await refreshAt(server.url, token, client)).body.error).toBe('invalid_grant');
    const row = await prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(token) },
    });
    expect(row.endReason).toBe(reason);
    if (reason !== 'account_locked') return;
    const form = {
      grant_type: 'password',
      username: 'ada@example.com',
      password: 'correct horse battery',
      scope: 'openid',
    };
    expect((await post(`${server.url}/token`, form, client)).body.error).toBe('invalid_grant');
    await json('user unlock ada@example.com');
  });

  test('user unlock forgets what strangers have guessed', async () => {
    const signIn = async (password: string) => {
      const form = {
        grant_type: 'password',
        username: 'ada@example.com',
        password,
        scope: 'openid',
      };
      return (await post(`${server.url}/token`, form, client)).status;
    };
    expect(await signIn('wrong')).toBe(400);
    // As if they had guessed until no more is judged.
    await prisma.attempt.updateMany({
      where: { key: { startsWith: 'n:' } },
      data: { points: 100 },
    });
    expect(await signIn('correct horse battery')).toBe(429);
    await json('user unlock ada@example.com');
    expect(await signIn('correct horse battery')).toBe(200);
  });

  test('removing a client ends its families', async () => {
    const token = await newFamily(server.url, client);
    await json('client remove notes');
    expect((await refreshAt(server.url, token, client)).body.error).toBe('invalid_client');
    const row = await prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(token) },
    });
    expect(row).toMatchObject({ endReason: 'client_removed', grantId: null });
  });
});

test('migrate and sweep say what they did', async () => {
  expect(await json('migrate')).toEqual({ applied: [] });
  expect(await json('sweep --backlog')).toMatchObject({ artifacts: 0 });
  expect(await json('sweep')).toEqual({ deleted: 0 });
});

test(
  'works beside a running server on the embedded database, and leaves it running',
  { timeout: 120_000 },
  async () => {
    const data = { SYMBOLON_DATA_DIR: join(folder, 'embedded'), PORT: String(await freePort()) };
    const beside = await startProcess(data);
    expect(beside.output()).toContain('/setup?token=');
    const added = await run(
      ['src/cli.ts', 'user', 'add', 'ada@example.com', '--password-stdin'],
      data,
      'correct horse battery',
    );
    expect(added).toMatchObject({ code: 0 });
    expect((await fetch(`${beside.url}/.well-known/openid-configuration`)).status).toBe(200);
    expect(
      await (await fetch(`${beside.url}/`, { headers: { accept: 'text/html' } })).text(),
    ).not.toContain('no account yet');
    expect(await beside.end()).toBe(0);
    const again = await startProcess(data);
    expect(again.output()).not.toContain('/setup?token=');
    expect(await again.end()).toBe(0);
  },
);

describe('resource', () => {
  const api = 'https://api.example/notes';

  test('is added with its scopes, listed, shown and removed', async () => {
    const { code } = await run(
      [
        'src/cli.ts',
        'resource',
        'add',
        api,
        '--name',
        'Notes API',
        '--scope',
        'notes:read=Read your notes',
        'notes:write=Change = and delete',
        '--ttl',
        '300',
        '--alg',
        'ES256',
      ],
      environment,
    );
    expect(code).toBe(0);
    const shown = {
      resource: api,
      name: 'Notes API',
      format: 'jwt',
      ttl: 300,
      alg: 'ES256',
      scopes: { 'notes:read': 'Read your notes', 'notes:write': 'Change = and delete' },
    };
    expect(await json(`resource show ${api}`)).toEqual(shown);
    expect(await json('resource list')).toEqual([shown]);
    expect((await symbolon(`resource show ${api}`)).stdout).toContain('Read your notes');
    await json(`resource remove ${api}`);
    expect(await json('resource list')).toEqual([]);
  });

  test.each([
    ['resource add relative', 'absolute URI'],
    ['resource add https://x.example#f', 'fragment'],
    ['resource add https://x.example --scope openid', 'the provider’s own'],
    ['resource add https://x.example --ttl 90000', 'at most'],
    ['resource add https://x.example --ttl soon', 'ttl'],
    ['resource add https://x.example --ttl 1e3', '--ttl: wants a number of seconds'],
    ['resource add https://x.example --alg HS256', 'alg'],
    ['resource add https://x.example --format paper', 'format'],
    ['resource show https://x.example', 'There is no resource'],
    ['resource remove https://x.example', 'There is no resource'],
  ])('%s is refused, and nothing is written', async (args, message) => {
    const { code, stderr } = await symbolon(args);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(message) as string,
    });
    expect(await prisma.resource.count()).toBe(0);
  });
});

test('user update changes the name, and whether the address is verified', async () => {
  await json('user add update@example.com --password-stdin', 'correct horse battery');
  expect(
    await json('user update update@example.com --name Ada --email-verified true'),
  ).toMatchObject({ name: 'Ada', email_verified: true });
  expect((await symbolon('user update update@example.com --email-verified yes')).code).toBe(1);
  expect((await symbolon('user update nobody@example.com --name X')).code).toBe(1);
});

describe('user claims', () => {
  beforeAll(() => json('user add claims@example.com --password-stdin', 'correct horse battery'));

  test('are set, changed and removed', async () => {
    const set = (content: unknown) =>
      metadata(content).then((file) => json(`user claims claims@example.com --set ${file}`));
    await set({ given_name: 'Ada', address: { country: 'GB' }, phone_number_verified: true });
    expect(await set({ given_name: null, nickname: 'A' })).toEqual({
      address: { country: 'GB' },
      phone_number_verified: true,
      nickname: 'A',
    });
  });

  test.each([
    [{ shoe_size: '42' }, 'no such claim'],
    [{ email: 'x@example.com' }, 'no such claim'],
    [{ sub: 'me' }, 'no such claim'],
    [{ phone_number_verified: 'yes' }, 'wants boolean'],
    ['[]', 'JSON object'],
  ])('%o is refused', async (content, message) => {
    const before = await json('user claims claims@example.com');
    const { code, stderr } = await symbolon(
      `user claims claims@example.com --set ${await metadata(content)}`,
    );
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(message) as string,
    });
    expect(await json('user claims claims@example.com')).toEqual(before);
  });
});

test('client invite makes a token with which a client registers itself', async () => {
  expect((await symbolon('client invite')).stderr).toContain('SYMBOLON_REGISTRATION');
  const inviting = { ...environment, SYMBOLON_REGISTRATION: 'token' };
  const { stdout } = await run(['src/cli.ts', 'client', 'invite', '--json'], inviting);
  const { initial_access_token: token } = JSON.parse(stdout) as { initial_access_token: string };
  expect(token.length).toBeGreaterThan(20);
  const registering = await startProcess({
    ...inviting,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
  });
  const register = () =>
    fetch(`${registering.url}/register`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://app.example/callback'] }),
    });
  expect((await register()).status).toBe(201);
  expect((await register()).status).toBe(401); // it works once, unless --uses says otherwise
  for (const wrong of ['--uses 0', '--uses many', '--expires-in 99999999999']) {
    const refused = await run(['src/cli.ts', 'client', 'invite', ...wrong.split(' ')], inviting);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
  }
  await registering.end();
});

test('keys are listed and rotated, and never shown', async () => {
  const list = () => json<{ kid: string; alg: string; state: string }[]>('key list');
  const before = await list();
  expect(before.map(({ state }) => state).sort()).toEqual([
    ...Array.from({ length: 3 }, () => 'current'),
    ...Array.from({ length: 3 }, () => 'next'),
  ]);
  await json('key rotate --now');
  const after = await list();
  expect(after.filter(({ state }) => state === 'retired')).toHaveLength(3);
  expect(JSON.stringify(after)).not.toContain('"d"');
  expect((await symbolon('key list')).stdout).toContain('retired');
  const [retired] = after.filter(({ state }) => state === 'retired');
  const [current] = after.filter(({ state }) => state === 'current');
  expect((await symbolon(`key remove ${current?.kid ?? ''}`)).stderr).toContain('rotate --now');
  expect((await symbolon('key remove nothing')).stderr).toContain('There is no key');
  await json(`key remove ${retired?.kid ?? ''}`);
  expect((await list()).map(({ kid }) => kid)).not.toContain(retired?.kid);
});

test('what is sealed is sealed anew under the first secret, and the old one can go', async () => {
  const [former, current] = [secret, 'the next secret is long enough as well'];
  await json('user add sealed@example.com --password-stdin', 'correct horse battery');
  const made = await json<{ client_secret: string }>(
    `client add resealed --redirect-uri https://a.example/cb --metadata ${await metadata({ grant_types: granted.split(' ') })}`,
  );
  const keyring = new Keyring([former]);
  const ids = Array.from({ length: 1200 }, (_, index) => sha256(`artifact ${index}`));
  await prisma.artifact.createMany({
    data: ids.map((id) => ({
      id,
      model: 'Session',
      sealed: keyring.seal(artifactContext(id), JSON.stringify({ uid: 'x' })),
      expiresAt: new Date(Date.now() + 60_000),
    })),
  });
  const both = { ...environment, SYMBOLON_SECRET: `${current},${former}` };
  const { code, stdout, stderr } = await run(['src/cli.ts', 'secret', 'reseal', '--json'], both);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const counts = JSON.parse(stdout) as Record<string, number>;
  expect(counts['signing_keys']).toBeGreaterThan(5);
  expect(counts['client_secrets']).toBeGreaterThan(0);
  expect(counts['installation_secrets']).toBeGreaterThan(0);
  expect(counts['artifacts']).toBeGreaterThanOrEqual(ids.length);
  const again = await run(['src/cli.ts', 'secret', 'reseal', '--json'], both);
  expect(Object.values(JSON.parse(again.stdout) as object).every((n) => n === 0)).toBe(true);
  // A process that knows the new secret only.
  const fresh = await startProcess({
    ...environment,
    SYMBOLON_SECRET: current,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
  });
  const answer = await newFamilyOf(fresh.url, 'resealed', made.client_secret);
  expect(answer.status).toBe(200);
  await fresh.end();
  const back = { ...environment, SYMBOLON_SECRET: `${former},${current}` };
  expect((await run(['src/cli.ts', 'secret', 'reseal'], back)).code).toBe(0);
});

function newFamilyOf(url: string, id: string, clientSecret: string) {
  return post(
    `${url}/token`,
    {
      grant_type: 'password',
      username: 'sealed@example.com',
      password: 'correct horse battery',
      scope: 'openid offline_access',
    },
    { client_id: id, client_secret: clientSecret },
  );
}
