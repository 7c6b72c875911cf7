// From another provider: what it exports, turned into people who sign in as before, and applications that go on.
// exports/keycloak-26.4.0.json is what Keycloak 26.4.0 wrote ("kc.sh export"), less its settings; the files of Auth0 are
// made after its documentation.
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ClientMetadata } from '../src/storage/clients.ts';
import { Agent, type Page } from './support/agent.ts';
import { commandsWith } from './support/commands.ts';
import { type TestProvider, secret, startProvider } from './support/provider.ts';
import { authorizationRequest, discover } from './support/relying-party.ts';

const exported = (name: string) => fileURLToPath(new URL(`exports/${name}`, import.meta.url));
const keycloak = exported('keycloak-26.4.0.json');
const folder = mkdtempSync(join(tmpdir(), 'symbolon-convert-'));
let made = 0;
let output: string;
let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ clients: [] });
});
beforeEach(() => {
  output = join(folder, String(made++));
});
afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true });
});

const { symbolon, said } = commandsWith(() => ({
  DATABASE_URL: provider.databaseUrl,
  SYMBOLON_SECRET: secret,
}));
const converted = (from: string, ...files: string[]) =>
  symbolon(['convert', from, ...files, '--output', output]);
const read = (name: string) => readFileSync(join(output, name), 'utf8');
const imported = () => said(`user import ${join(output, 'people.jsonl')}`);
const heading = (page: Page) => page.html.querySelector('h1')?.text;
async function signIn(email: string, password: string) {
  const agent = new Agent(provider.issuer);
  const page = await agent.open(`${provider.issuer}/account`);
  return { agent, page: await agent.submit(page, { email, password }) };
}
type Listed = ClientMetadata & { redirect_uris: string[]; client_secret?: string };

const apply = () => symbolon(['apply', '-f', join(output, 'clients.json')]);
/** The clients, with their secrets. */
function clientsOf(): Listed[] {
  const { clients } = JSON.parse(read('clients.json')) as { clients: ClientMetadata[] };
  return clients.map((client) => {
    const { file } = (client.client_secret ?? {}) as { file?: string };
    return {
      ...client,
      ...(file === undefined ? {} : { client_secret: read(file).trim() }),
    } as Listed;
  });
}

describe('Keycloak', { timeout: 60_000 }, () => {
  test('people sign in with the passwords that they had, and with their apps for codes', async () => {
    const { code, stdout, stderr } = await converted('keycloak', keycloak);
    expect(code).toBe(1);
    expect(stdout).toContain('6 people, 5 clients, 5 groups');
    for (const remark of [
      'user nobody: not taken, since there is no e-mail address',
      'user grace: the attribute shift is not taken: there is no claim "shift" here',
    ])
      expect(stderr).toContain(remark);
    const lines = readFileSync(keycloak, 'utf8').split('\n');
    const [, line = ''] = /json:(\d+): user nobody/.exec(stderr) ?? [];
    expect(lines.slice(Number(line) - 1, Number(line) + 2).join()).toContain('"nobody"');

    expect(await imported()).toContain('Added 6 people');
    const passwords = {
      grace: 'nanoseconds of wire, many', // argon2id
      alan: 'bombes and bicycles, both', // PBKDF2, SHA-512
      hedy: 'frequencies that hop along', // SHA-1
    };
    for (const [name, password] of Object.entries(passwords)) {
      const { page } = await signIn(`${name}@example.com`, password);
      expect(heading(page), name).toBe(name === 'grace' ? 'Ihr Konto' : 'Your account');
      expect(heading((await signIn(`${name}@example.com`, 'wrong')).page), name).not.toMatch(
        /Konto|account/,
      );
    }
    const { page, agent } = await signIn('mary', 'on the connexion of the sciences');
    expect(heading(page)).toBe('One more step');
    const code6 = TOTP.generate({ secret: Secret.fromUTF8('r4nd0m k3y of 20 byt') });
    const inside = await agent.submit(page, { code: code6 }, /factor/);
    expect(heading(inside)).toBe('Your account');
    // PBKDF2 with SHA-256, and disabled.
    expect(
      heading((await signIn('joan@example.com', 'hut eight in the rain, again')).page),
    ).not.toBe('Your account');
    await said('user unlock joan@example.com');
    expect(heading((await signIn('joan@example.com', 'hut eight in the rain, again')).page)).toBe(
      'Your account',
    );
  });

  test('they are who they were: sub, username, claims, groups and what roles they had', async () => {
    const show = async (email: string) =>
      JSON.parse(await said(`user show ${email} --json`)) as object;
    expect(await show('grace@example.com')).toMatchObject({
      ...{ sub: '9d4f2aa0-3776-4774-81c9-948dc48034f0', email_verified: true, username: 'grace' },
      groups: ['role:pilot', 'staff', 'staff/night watch'], // the role by way of the group
      ...{ name: 'Grace Hopper', language: 'de' },
      claims: { given_name: 'Grace', family_name: 'Hopper', phone_number: '+1 202 555 0100' },
    });
    expect(await show('alan@example.com')).toMatchObject({
      ...{ email_verified: false, groups: ['board', 'role:dispatcher', 'role:pilot'] },
    });
  });

  test('applications go on with the ids and secrets that they had', async () => {
    const { stderr } = await converted('keycloak', keycloak);
    expect(stderr.split('\n').map((line) => line.replace(/^.*json:\d+: /, ''))).toEqual(
      expect.arrayContaining([
        'client https://ledger.example.com/saml: not taken, since it speaks saml',
        'client berths-api: not taken, since it is a resource server: "symbolon resource add" registers it',
        'client lighthouse: not taken, since it is disabled',
        'client manifest: the redirect URI https://staging.example.com/* is not taken: register each as it is, without *',
        'client manifest: the mapper shift is not taken: see scopes and claims',
        'client tide-tables: the implicit flow is not taken: use the code with PKCE',
      ]),
    );
    expect(stderr).not.toContain('a secret of the manifest');
    const ids = clientsOf().map(({ client_id: id }) => id);
    expect(ids).toEqual(['buoy', 'crane', 'manifest', 'pier', 'tide-tables']);
    expect(await apply()).toMatchObject({ code: 0, stderr: '' });
    expect((await apply()).stdout).toContain('Nothing to change');
    const clients = Object.fromEntries(clientsOf().map((one) => [one.client_id, one]));
    expect(clients['manifest']).toMatchObject({
      redirect_uris: [
        'https://manifest.example.com/callback',
        'https://manifest.example.com/silent',
      ],
      post_logout_redirect_uris: [
        'https://manifest.example.com/',
        'https://manifest.example.com/bye',
      ],
      backchannel_logout_uri: 'https://manifest.example.com/logout',
      groups_in: ['id_token', 'userinfo'],
      first_party: true,
    });
    expect(clients['pier']).toMatchObject({
      ...{
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
      },
      jwks_uri: 'https://pier.example.com/jwks',
    });
    expect(clients['buoy']).toMatchObject({ application_type: 'native' });
    const party = await discover(provider.issuer, clients['manifest']);
    const { url, finish } = await authorizationRequest(party, { scope: 'openid groups' });
    const as = { email: 'grace@example.com', password: 'nanoseconds of wire, many' };
    const tokens = await finish(await new Agent(provider.issuer).authorize(url, as));
    expect(tokens.claims()).toMatchObject({
      sub: '9d4f2aa0-3776-4774-81c9-948dc48034f0',
      groups: ['role:pilot', 'staff', 'staff/night watch'],
    });
  });

  test('what it writes is for nobody else, and whole or not there', async () => {
    await converted('keycloak', keycloak);
    for (const name of ['', 'people.jsonl', 'clients.json', 'secrets', 'secrets/crane'])
      expect(statSync(join(output, name)).mode & 0o077, name).toBe(0);
    const again = await converted('keycloak', keycloak);
    expect(again.stderr).toContain('cannot be made');
    expect(clientsOf()).toHaveLength(5);

    const realm = JSON.parse(readFileSync(keycloak, 'utf8')) as { users: { email?: unknown }[] };
    const first = realm.users[0];
    if (first) first.email = 7;
    output = join(folder, 'broken');
    const broken = join(folder, 'broken.json');
    writeFileSync(broken, JSON.stringify(realm));
    const refused = await converted('keycloak', broken);
    expect(refused.stderr).toContain('broken.json is no realm of Keycloak');
    expect(refused.stderr).toContain('users.0.email');
    expect(readdirSync(folder)).not.toContain('broken');
    expect(
      readdirSync(folder)
        .filter((name) => name.includes('.'))
        .sort(),
    ).toEqual(['broken.json']);
  });

  test('an export in several files, and roles of clients', async () => {
    const { users, roles, ...realm } = JSON.parse(readFileSync(keycloak, 'utf8')) as {
      users: { username: string; clientRoles?: object }[];
      roles: { realm: { name: string; composites?: object }[]; client: Record<string, object[]> };
    };
    const several = join(folder, 'several');
    mkdirSync(several);
    roles.client['manifest'] = [{ name: 'clerk', composite: false }];
    const pilot = roles.realm.find(({ name }) => name === 'pilot');
    Object.assign(pilot ?? {}, { composites: { client: { manifest: ['clerk'] } } });
    // What will not do costs nobody the rest.
    const alan = users.find(({ username }) => username === 'alan');
    const costly = { algorithm: 'pbkdf2', hashIterations: 20_000_000 };
    const credential = (alan as unknown as { credentials: { credentialData: string }[] })
      .credentials[0];
    Object.assign(credential ?? {}, { credentialData: JSON.stringify(costly) });
    Object.assign(alan ?? {}, { groups: ['/R&D', '/board'], username: 'Alan\u001b T.' });
    Object.assign(alan ?? {}, { attributes: { phoneNumberVerified: ['perhaps'] } });
    writeFileSync(join(several, 'harbour-realm.json'), JSON.stringify({ ...realm, roles }));
    const part = (some: object[]) => JSON.stringify({ realm: 'harbour', users: some });
    writeFileSync(join(several, 'harbour-users-0.json'), part(users.slice(0, 3)));
    writeFileSync(join(several, 'harbour-users-1.json'), part(users.slice(3)));
    const { stdout, stderr } = await converted('keycloak', several);
    expect(stdout).toContain('6 people, 5 clients, 6 groups');
    for (const remark of [
      'the group is not taken. A group’s name',
      'the username is not taken',
      'the password is not taken: PBKDF2 takes',
      'the attribute phoneNumberVerified is not taken: the claim "phone_number_verified" wants boolean',
    ])
      expect(stderr).toContain(`user Alan\ufffd T.: ${remark}`); // controls no terminal
    const grace = read('people.jsonl')
      .split('\n')
      .find((line) => line.includes('grace@'));
    expect(grace).toContain('"role:manifest:clerk"');
    writeFileSync(join(several, 'other-users-0.json'), '{"realm":"other","users":[]}');
    output = join(folder, 'two');
    expect((await converted('keycloak', several)).stderr).toContain('several realms');
  });
});

describe('Auth0', { timeout: 60_000 }, () => {
  test('people with the hashes that support has given, and applications', async () => {
    await provider.storage.prisma.account.deleteMany();
    const names = ['auth0-users.ndjson', 'auth0-passwords.ndjson', 'auth0-clients.json'];
    const { stdout, stderr } = await converted('auth0', ...names.map(exported));
    expect(stdout).toContain('4 people, 4 clients, 0 groups');
    expect(stderr.split('\n').map((line) => line.replace(/^.*\/exports\//, ''))).toEqual([
      'auth0-users.ndjson:1: user grace@example.com: the second factor (google-authenticator) is not taken: Auth0 exports no secrets',
      'auth0-users.ndjson:1: user grace@example.com: app_metadata.roles is not taken: see claims and groups',
      'auth0-users.ndjson:3: user hedy@example.com: signing in with google-oauth2 is not taken',
      'auth0-users.ndjson:4: user sms|5e9f1c: not taken, since there is no e-mail address',
      'auth0-users.ndjson:5: user joan@example.com: the username is not taken: here it has letters from a to z, digits and . _ -',
      'auth0-users.ndjson:5: user joan@example.com: there is no hash of the password: the person asks for a new one by mail',
      'auth0-clients.json:15: client Manifest: the grant implicit is not taken',
      'auth0-clients.json:15: client Manifest: the callback https://*.staging.example.com/callback is not taken: register each as it is, without *',
      'auth0-clients.json:64: client Tide tables: the grant implicit is not taken',
      'auth0-clients.json:64: client Tide tables: ID tokens are signed with a key of the provider, not with HS256',
      'auth0-clients.json:86: client Crane: its secret is not in the file: write another into the folder secrets, with 16 characters or more',
      'auth0-passwords.ndjson:3: a password hash: there is no user auth0|5dea9f9c82dd7c0e76e4ec95',
      '',
    ]);
    expect(await imported()).toContain('Added 4 people');
    const { page } = await signIn('grace@example.com', 'nanoseconds of wire, many');
    expect(heading(page)).toBe('Your account');
    const shown = await said('user show alan@example.com --json');
    expect(JSON.parse(shown)).toMatchObject({ sub: 'auth0|euclid', name: null, password: true });
    expect(JSON.parse(shown)).not.toHaveProperty('locked_at', null); // it was blocked

    expect((await apply()).stderr).toContain('secrets/cR8aNe5xKq0wTb7s is not set');
    writeFileSync(join(output, 'secrets/cR8aNe5xKq0wTb7s'), 'a secret that somebody has written');
    expect(await apply()).toMatchObject({ code: 0, stderr: '' });
    const manifest = clientsOf().find(({ client_id: id }) => id === 'kJ3xW0sQ7yZbVn2m');
    const party = await discover(provider.issuer, manifest);
    const { url } = await authorizationRequest(party, { scope: 'openid' });
    const as = { email: 'grace@example.com', password: 'nanoseconds of wire, many' };
    const back = await new Agent(provider.issuer).authorize(url, as);
    expect(back.searchParams.get('code')).not.toBeNull();
  });

  test('anything else is refused, and the entry is told', async () => {
    const { stderr } = await converted('auth0', keycloak);
    expect(stderr).toContain('is no user (user_id)');
    expect((await converted('auth0', join(folder, 'nowhere'))).stderr).toContain('cannot be read');
    writeFileSync(join(folder, 'cut'), '{"user_id":"a"}\n{"user_id":}\n');
    expect((await converted('auth0', join(folder, 'cut'))).stderr).toContain('line 2 is no JSON');
    rmSync(join(folder, 'cut'));
  });
});
