// Who may use an application: told and checked wherever something is issued, and taken back when it ends.
import { randomUUID } from 'node:crypto';
import { SignJWT, decodeJwt, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addGroup, joinGroups, leaveGroup, removeGroup } from '../../src/accounts/groups.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import {
  authorizationRequest,
  discover,
  refreshTokenOf,
  signIn,
} from '../support/relying-party.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const API = 'https://api.example.com';

const staffOnly = { allowed_groups: ['staff', 'board'] };
const payroll = { ...webClient, ...staffOnly, client_id: 'payroll', client_name: 'Payroll' };
const told = { ...payroll, client_id: 'told', backchannel_logout_uri: 'https://told.example/out' };
const open = { ...webClient, client_id: 'open' };
const tv = {
  ...{ client_id: 'tv', client_name: 'Television', token_endpoint_auth_method: 'none' },
  ...{ grant_types: [DEVICE, 'refresh_token'], response_types: [], redirect_uris: [] },
  ...staffOnly,
};
const secret = { client_secret: webClient.client_secret };

let provider: TestProvider;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;

beforeAll(async () => {
  keys = await generateKeyPair('ES256', { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), use: 'sig', alg: 'ES256' }] };
  const grants = [...webClient.grant_types, CIBA, EXCHANGE, JWT_BEARER, 'password'];
  provider = await startProvider({
    environment: {
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      SYMBOLON_ENABLE_TOKEN_EXCHANGE: 'true',
      SYMBOLON_ENABLE_CIBA: 'true',
    },
    clients: [
      ...[payroll, told, open, tv],
      {
        ...{ ...payroll, client_id: 'every-grant', grant_types: grants, jwks },
        ...{ token_exchange_from: [API], token_exchange_to: [API] },
        ...{ resource_scopes: { [API]: ['read'] }, backchannel_token_delivery_mode: 'poll' },
      },
      { ...publicClient, client_id: 'jwt', groups_in: ['access_token'] },
    ],
  });
  const { prisma } = provider.storage;
  await prisma.resource.create({ data: { id: API, scopes: { read: 'Read' } } });
  for (const name of ['staff', 'board', 'guests']) await add(name);
});
afterAll(() => provider.close());
beforeEach(() => setGroups([]));

const parts = () => ({ storage: provider.storage, origin: commandLine });
const change: TestProvider['storage']['prisma']['$transaction'] = (...work: never[]) =>
  provider.storage.prisma.$transaction(...(work as unknown as [never])) as never;
const add = (name: string) => change((database) => addGroup(database, parts(), { name }));
const join = (...names: string[]) =>
  change((database) => joinGroups(database, parts(), provider.accountId, names));
const leave = (name: string) =>
  change((database) => leaveGroup(database, parts(), provider.accountId, name));
/** As if the person had come or gone after the request in question had begun: nothing ends. */
const setGroups = async (groups: string[]) => {
  await provider.storage.prisma.account.updateMany({ data: { groups } });
};
const family = (token: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });
const token = (form: Record<string, string>, id = 'every-grant') =>
  post(`${provider.issuer}/token`, form, { client_id: id, ...secret });
const introspect = async (value: string, id = payroll.client_id) =>
  (await post(`${provider.issuer}/introspect`, { token: value }, { client_id: id, ...secret }))
    .body;
const userinfo = async (value: string) => {
  const headers = { authorization: `Bearer ${value}` };
  const answer = await fetch(`${provider.issuer}/userinfo`, { headers });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};

describe('the scope groups', () => {
  test('tells them in the ID token and in userinfo, to who has asked for it', async () => {
    await join('staff', 'guests');
    const party = await discover(provider.issuer, open);
    const asked = await signIn(party, new Agent(provider.issuer), { scope: 'openid groups' });
    expect(asked.claims()).toMatchObject({ groups: ['guests', 'staff'] });
    expect((await userinfo(asked.access_token)).body).toMatchObject({
      groups: ['guests', 'staff'],
    });
    const plain = await signIn(party, new Agent(provider.issuer), { scope: 'openid profile' });
    expect(plain.claims()).not.toHaveProperty('groups');
    expect((await userinfo(plain.access_token)).body).not.toHaveProperty('groups');
    const { scopes_supported: scopes, claims_supported: claims } = (await (
      await fetch(`${provider.issuer}/.well-known/openid-configuration`)
    ).json()) as Record<string, string[]>;
    expect(scopes).toContain('groups');
    expect(claims).toContain('groups');
  });

  test('in a JWT access token and nowhere else, as the client wants; none are an empty list', async () => {
    const party = await discover(provider.issuer, { ...publicClient, client_id: 'jwt' });
    const how = { scope: 'openid groups read', resource: API };
    const tokens = await signIn(party, new Agent(provider.issuer), how);
    expect(decodeJwt(tokens.access_token)).toMatchObject({ groups: [] });
    expect(tokens.claims()).not.toHaveProperty('groups');
    await join('staff');
    const again = await signIn(party, new Agent(provider.issuer), how);
    expect(decodeJwt(again.access_token)).toMatchObject({ groups: ['staff'] });
  });
});

describe('who is in none of the groups', () => {
  const denied =
    'access_withdrawn: the person is in none of the groups that the application is for';

  test('gets a page that says so, and the application access_denied', async () => {
    const party = await discover(provider.issuer, payroll);
    const agent = new Agent(provider.issuer);
    const { url } = await authorizationRequest(party);
    const page = await agent.walk(url);
    expect(page.html.querySelector('h1')?.text).toBe('You may not use Payroll');
    const back = await agent.submit(page, {}, /\/cancel$/);
    expect(back.away?.searchParams.get('error')).toBe('access_denied');
    expect(back.away?.searchParams.get('error_description')).toBe(denied);

    const quiet = await agent.open((await authorizationRequest(party, { prompt: 'none' })).url);
    expect(quiet.away?.searchParams.get('error')).toBe('access_denied');

    // Another account may, and so may this one from now on.
    const other = await agent.submit(
      await agent.open((await authorizationRequest(party)).url),
      { account: 'other' },
      /\/account$/,
    );
    expect(other.html.querySelector('input[name="password"]')).not.toBeNull();
    await join('board');
    expect((await agent.authorize(url)).searchParams.get('code')).not.toBeNull();
    expect(await provider.storage.prisma.grant.count({ where: { clientId: 'payroll' } })).toBe(1);
  });

  test('is recorded once an hour, wherever it is tried, and told at /account', async () => {
    const { prisma } = provider.storage;
    const events = async () =>
      (
        await prisma.auditEvent.findMany({
          where: { type: 'access.refused' },
          orderBy: { id: 'asc' },
        })
      ).map(({ accountId, clientId, actorKind, detail }) => ({
        ...{ accountId, clientId, actorKind, detail },
      }));
    await prisma.auditEvent.deleteMany();
    const { accountId } = provider;
    const agent = new Agent(provider.issuer);
    const party = await discover(provider.issuer, payroll);
    const { url } = await authorizationRequest(party);
    await agent.submit(await agent.open(url), person, /\/sign-in/);
    const here = { accountId, clientId: 'payroll', actorKind: 'person', detail: {} };
    expect(await events()).toEqual([here]);
    const silent = await authorizationRequest(party, { prompt: 'none' });
    const { away } = await agent.open(silent.url);
    expect(away?.searchParams.get('error')).toBe('access_denied');
    expect(await events()).toEqual([here]);
    await prisma.auditEvent.updateMany({
      where: { type: 'access.refused' },
      data: { at: new Date(Date.now() - 3_700_000) },
    });
    await agent.open((await authorizationRequest(party, { prompt: 'none' })).url);
    expect(await events()).toEqual([here, here]);
    const { text } = (await agent.open(`${provider.issuer}/account/history`)).html;
    expect(text).toContain(
      'You were not let into Payroll: you are in none of the groups that it is for.',
    );
    await prisma.auditEvent.deleteMany();
    const { email: username, password } = person;
    const asked = { scope: 'openid', login_hint: username };
    const as = { client_id: 'every-grant', ...secret };
    await post(`${provider.issuer}/backchannel_authentication`, asked, as);
    await prisma.auditEvent.updateMany({ data: { at: new Date(0) } });
    await token({ grant_type: 'password', username, password, scope: 'openid' });
    const there = { accountId, clientId: 'every-grant', actorKind: 'client' };
    expect(await events()).toEqual([
      { ...there, detail: { by: 'ciba' } },
      { ...there, detail: { by: 'password' } },
    ]);
  });

  test('lets no device in', async () => {
    const started = await post(`${provider.issuer}/device_authorization`, { scope: 'openid' }, tv);
    const device = started.body as unknown as Record<
      'device_code' | 'user_code' | 'verification_uri_complete',
      string
    >;
    const agent = new Agent(provider.issuer);
    let page = await agent.open(device.verification_uri_complete);
    page = await agent.submit(page, { user_code: device.user_code });
    page = await agent.submit(page, {});
    page = await agent.submit(page, person, /\/sign-in/);
    expect(page.html.querySelector('h1')?.text).toBe('You may not use Television');
    await agent.submit(page, {}, /\/cancel$/);
    const form = { grant_type: DEVICE, device_code: device.device_code };
    const { body } = await post(`${provider.issuer}/token`, form, tv);
    expect(body.error).toBe('access_denied');
  });

  test('is not asked by back channel', async () => {
    const form = { scope: 'openid', login_hint: person.email };
    const as = { client_id: 'every-grant', ...secret };
    const { status, body } = await post(`${provider.issuer}/backchannel_authentication`, form, as);
    expect({ status, body }).toEqual({
      status: 403, // CIBA §13
      body: { error: 'access_denied', error_description: denied },
    });
    await join('staff');
    const asked = await post(`${provider.issuer}/backchannel_authentication`, form, as);
    expect(asked.status).toBe(200);
  });

  test('is not taken from an assertion, a password or another token', async () => {
    const assertion = () =>
      new SignJWT({ jti: randomUUID(), aud: provider.issuer, sub: provider.accountId })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer('every-grant')
        .setExpirationTime('1m')
        .sign(keys.privateKey);
    const asserted = async () =>
      token({ grant_type: JWT_BEARER, assertion: await assertion(), scope: 'openid' });
    const typed = () => {
      const { email: username, password } = person;
      return token({ grant_type: 'password', username, password, scope: 'openid' });
    };
    const party = await discover(provider.issuer, { ...publicClient, client_id: 'jwt' });
    const how = { scope: 'openid read', resource: API };
    const { access_token: subject } = await signIn(party, new Agent(provider.issuer), how);
    const type = 'urn:ietf:params:oauth:token-type:access_token';
    const exchanged = () =>
      token({
        ...{ grant_type: EXCHANGE, subject_token: subject, subject_token_type: type },
        ...{ resource: API, scope: 'read' },
      });
    for (const [grant, error] of [
      [asserted, 'invalid_grant'],
      [typed, 'invalid_grant'],
      [exchanged, 'invalid_request'],
    ] as const) {
      expect((await grant()).body).toMatchObject({ error, error_description: denied });
    }
    await join('staff');
    for (const grant of [asserted, typed, exchanged]) expect((await grant()).status).toBe(200);
  });

  test('loses at its use what a request had issued that began before', async () => {
    await join('staff');
    const party = await discover(provider.issuer, payroll);
    const agent = new Agent(provider.issuer);
    const { url, finish } = await authorizationRequest(party);
    const callback = await agent.authorize(url);
    const tokens = await signIn(party, new Agent(provider.issuer));
    const held = refreshTokenOf(tokens);
    await setGroups(['guests']);
    await expect(finish(callback)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect((await userinfo(tokens.access_token)).status).toBe(401);
    expect(await introspect(tokens.access_token)).toEqual({ active: false });
    expect(await introspect(held)).toEqual({ active: false });
    const refused = await refreshAt(provider.issuer, held, { client_id: 'payroll', ...secret });
    expect(refused.body).toMatchObject({ error: 'invalid_grant', error_description: denied });
    expect(await family(held)).toMatchObject({ endedAt: null, generation: 0 });
    await setGroups(['staff']);
    expect((await introspect(held)) as { active: boolean }).toMatchObject({ active: true });
    const { status } = await refreshAt(provider.issuer, held, { client_id: 'payroll', ...secret });
    expect(status).toBe(200);
  });
});

describe('leaving', () => {
  const holdings = async () => {
    const held = async (client: typeof payroll | typeof open) =>
      signIn(await discover(provider.issuer, client), new Agent(provider.issuer));
    return { payroll: await held(payroll), told: await held(told), open: await held(open) };
  };
  type Held = Awaited<ReturnType<typeof holdings>>;
  const expectWithdrawn = async (held: Held) => {
    for (const id of ['payroll', 'told'] as const) {
      const refreshToken = refreshTokenOf(held[id]);
      expect(await family(refreshToken)).toMatchObject({ endReason: 'access_withdrawn' });
      const { body } = await refreshAt(provider.issuer, refreshToken, { client_id: id, ...secret });
      expect(body.error_description).toBe(
        'access_withdrawn: the person is in none of the groups that the application is for',
      );
      expect(await introspect(held[id].access_token, id)).toEqual({ active: false });
      expect((await userinfo(held[id].access_token)).status).toBe(401);
    }
    expect(await family(refreshTokenOf(held.open))).toMatchObject({ endedAt: null });
    expect((await userinfo(held.open.access_token)).status).toBe(200);
  };
  const messages = () => provider.storage.prisma.delivery.count({ where: { channel: 'logout' } });
  beforeEach(async () => {
    await provider.storage.prisma.delivery.deleteMany();
    await provider.storage.prisma.refreshFamily.deleteMany();
    await provider.storage.prisma.grant.deleteMany();
    await provider.storage.prisma.auditEvent.deleteMany();
  });

  test('the last of the groups ends what depended on it, tells the application, and nothing else', async () => {
    await join('staff', 'board', 'guests');
    const held = await holdings();
    expect(await leave('staff')).toEqual({ families: 0, told: [] });
    expect(await leave('guests')).toEqual({ families: 0, told: [] });
    expect(await family(refreshTokenOf(held.payroll))).toMatchObject({ endedAt: null });
    const { families, told: sent } = await leave('board');
    expect(families).toBe(2);
    expect(sent).toHaveLength(1);
    expect(await messages()).toBe(1);
    await expectWithdrawn(held);
    await expect(leave('board')).rejects.toThrow('The person is not in the group "board".');
    const events = await provider.storage.prisma.auditEvent.findMany({
      where: { type: { startsWith: 'group.' } },
      orderBy: { id: 'asc' },
      select: { type: true, accountId: true, actorKind: true, detail: true },
    });
    const { accountId } = provider;
    const event = (type: string, name: string) => ({
      ...{ type, accountId, actorKind: 'operator', detail: { name } },
    });
    expect(events).toEqual([
      ...['staff', 'board', 'guests'].map((name) => event('group.joined', name)),
      ...['staff', 'guests', 'board'].map((name) => event('group.left', name)),
    ]);
  });

  test('the group is removed: everybody leaves it', async () => {
    await join('board');
    const held = await holdings();
    const ended = await change((database) => removeGroup(database, parts(), 'board'));
    expect(ended).toMatchObject({ families: 2, members: 1 });
    expect(await messages()).toBe(1);
    await expectWithdrawn(held);
    await expect(join('board')).rejects.toThrow('There is no group "board"');
    await add('board');
  });

  test('a change that is undone ends nothing', async () => {
    await join('staff');
    const held = await holdings();
    const undone = change(async (database) => {
      await leaveGroup(database, parts(), provider.accountId, 'staff');
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await family(refreshTokenOf(held.payroll))).toMatchObject({ endedAt: null });
    expect(await messages()).toBe(0);
  });
});

test('a name is plain, and there once', async () => {
  for (const name of ['', ' staff', 'staff ', '-staff', 'a,b', 'a\u0000', 'a\nb', 'x'.repeat(101)])
    await expect(add(name), name).rejects.toThrow('A group’s name has 1 to 100');
  for (const name of ['Ärzte & Pflege']) await expect(add(name)).rejects.toThrow();
  for (const name of ['Ärzte und Pflege', '研究', 'x'.repeat(100), 'team:a/b@c+d-e_f.g'])
    await add(name);
  await expect(add('staff')).rejects.toThrow('There is a group "staff" already.');
});

test('a family of another client is none of its business', async () => {
  const as = { client_id: 'every-grant', ...secret };
  await join('staff');
  const held = await newFamily(provider.issuer, as);
  await setGroups([]);
  expect((await refreshAt(provider.issuer, held, { client_id: 'open', ...secret })).body).toEqual(
    expect.objectContaining({ error: 'invalid_grant' }),
  );
  expect((await refreshAt(provider.issuer, held, as)).body.error_description).toMatch(
    /^access_withdrawn/,
  );
});
