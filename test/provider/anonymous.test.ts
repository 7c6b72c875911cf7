// What requests of nobody in particular leave in the database: how much of it, for how long, and who answers for it.
import { randomUUID } from 'node:crypto';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sweep } from '../../src/database/sweep.ts';
import { updateClient } from '../../src/storage/clients.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { type Json, Party, type PartyClient, answerOf, pkce } from '../conformance/party.ts';
import { Agent, signInForm } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const DAY = 86_400_000; // milliseconds
const redirect = 'https://app.example/callback';
const device = { ...publicClient, client_id: 'device', grant_types: [DEVICE] };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_REGISTRATION: 'open', SYMBOLON_TRUST_PROXY: 'true' },
    clients: [
      webClient,
      publicClient,
      { ...device, response_types: [], redirect_uris: [] },
      { ...publicClient, client_id: 'app', redirect_uris: [redirect] },
    ],
  });
});
// Each test has a network of its own, since a process remembers who has had too much.
let here: string;
let networks = 0;
beforeEach(async () => {
  here = `198.51.100.${++networks}`;
  const { attempt, artifact } = provider.storage.prisma;
  await attempt.deleteMany();
  await artifact.deleteMany({ where: { model: 'Interaction' } });
});
afterAll(() => provider.close());

const interactions = () =>
  provider.storage.prisma.artifact.count({ where: { model: 'Interaction' } });
const from = (ip = here) => ({ 'x-forwarded-for': ip });
/** As if this much had been written for everybody who asked already. */
async function written(kind: string, points: number) {
  const { count } = await provider.storage.prisma.attempt.updateMany({
    where: { key: { startsWith: `${kind}:` } },
    data: { points, expire: BigInt(Date.now() + 60_000) },
  });
  expect(count).toBeGreaterThan(0);
}
const register = async (metadata: Json, { token, ip }: { token?: string; ip?: string } = {}) =>
  answerOf(
    await fetch(`${provider.issuer}/register`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...from(ip),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ redirect_uris: [redirect], ...metadata }),
    }),
  );
const party = (ip?: string) =>
  new Party(
    provider,
    { ...publicClient, client_id: 'app', redirect_uris: [redirect] },
    {},
    new Agent(provider.issuer, undefined, from(ip)),
  );
const challenge = () => ({ code_challenge: pkce().code_challenge, code_challenge_method: 'S256' });

describe('a pushed request', () => {
  async function pushed(more: Json = {}) {
    const asker = party();
    const { body } = await asker.post('/par', {
      ...Object.fromEntries(asker.request(challenge()).searchParams),
      ...(more as Record<string, string>),
    });
    return new URL(
      `${provider.issuer}/authorize?${new URLSearchParams({ client_id: 'app', request_uri: String(body['request_uri']) }).toString()}`,
    );
  }

  test('that is opened again and again has one interaction', async () => {
    const url = await pushed({ state: 'x'.repeat(40_000) });
    for (let n = 0; n < 5; n++) await fetch(url, { redirect: 'manual', headers: from() });
    expect(await interactions()).toBe(1);
  });

  test('that is opened by many at once has one interaction', async () => {
    const url = await pushed();
    await Promise.all(
      Array.from({ length: 8 }, () => fetch(url, { redirect: 'manual', headers: from() })),
    );
    expect(await interactions()).toBe(1);
  });

  test('may be loaded again by the person, who then signs in', async () => {
    const url = await pushed();
    const { agent } = party();
    await agent.open(url);
    expect((await agent.authorize(url)).searchParams.has('code')).toBe(true);
    expect(await interactions()).toBe(0);
  });

  test('and another one each have theirs', async () => {
    const urls = [await pushed(), await pushed()];
    for (const url of urls) await fetch(url, { redirect: 'manual', headers: from() });
    expect(await interactions()).toBe(2);
  });
});

describe('a network from which too much was written', () => {
  const open = async (asker = party(), more = {}) =>
    asker.agent.open(asker.request({ ...challenge(), ...more }));

  test('gets a page that says to wait, and nothing is written or sent to the application', async () => {
    await open();
    await written('row', 600);
    const before = await interactions();
    const page = await open();
    expect(page.away).toBeUndefined();
    expect(page.status).toBe(429);
    expect(Number(page.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await interactions()).toBe(before);
  });

  test('keeps neither another network nor a person who is signed in from anything', async () => {
    const known = party();
    await known.authorize(challenge());
    await written('row', 600);
    expect((await open()).status).toBe(429);
    expect((await open(known, { prompt: 'consent' })).status).toBe(200);
    expect((await open(party('203.0.113.9'))).status).toBe(200);
  });

  test('keeps no browser from anything that an account knows, and says that nobody has guessed', async () => {
    const owner = party();
    await owner.authorize(challenge());
    const known = party();
    for (const cookie of owner.agent.cookies)
      if (cookie.name.endsWith('symbolon_browser')) known.agent.set(cookie);
    expect(known.agent.cookies).toHaveLength(1);
    await written('row', 600);
    const stranger = await open();
    expect(stranger.status).toBe(429);
    expect(stranger.html.querySelector('h1')?.text).toBe('Too many requests');
    expect(stranger.html.querySelector('main')?.text).not.toContain('guessed');
    expect((await open(known)).status).toBe(200);
    // Its own limit is narrower, and nobody makes up such a browser.
    await written('known', 60);
    expect((await open(known)).status).toBe(429);
    const forged = party();
    const [cookie] = known.agent.cookies.filter(({ name }) => name.endsWith('symbolon_browser'));
    forged.agent.set({ name: '', path: '/', ...cookie, value: `x${cookie?.value ?? ''}` });
    expect((await open(forged)).status).toBe(429);
  });

  test('is a /56 or a /48 of IPv6, too', async () => {
    const status = async (network: string) => (await open(party(`2001:db8:${network}::1`))).status;
    expect(await status('1:1')).toBe(200);
    await written('row', 1200);
    expect(await status('1:2')).toBe(429);
    expect(await status('1:100')).toBe(200);
    await written('row', 2400);
    expect(await status('1:200')).toBe(429);
    expect(await status('2:1')).toBe(200);
  });

  test('what is large counts for more', async () => {
    await open(party(), { state: 'x'.repeat(10_000) });
    const counted = await provider.storage.prisma.attempt.findMany({
      where: { key: { startsWith: 'row:' } },
    });
    expect(counted[0]?.points).toBeGreaterThan(2);
  });

  test.each([
    ['/par', 'app', () => Object.fromEntries(party().request(challenge()).searchParams)],
    ['/device_authorization', 'device', () => ({ scope: 'openid' })],
  ])(
    '%s: a client that does not authenticate waits, one that does need not',
    async (path, id, form) => {
      const send = (client: PartyClient) =>
        new Party(provider, client).post(path, { ...form(), client_id: client.client_id }, from());
      const stranger = { client_id: id, redirect_uris: [redirect] };
      expect((await send(stranger)).status).toBeLessThan(300);
      await written('row', 600);
      const { status, headers } = await send(stranger);
      expect(status).toBe(429);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      const { client_secret } = webClient;
      const known = { ...stranger, client_id: `${id} with a secret`, client_secret };
      await provider.addClient({
        ...known,
        grant_types: ['authorization_code', DEVICE],
      });
      expect((await send(known)).status).toBeLessThan(300);
    },
  );

  test('signing out and the page for codes make no sessions either', async () => {
    const sessions = () => provider.storage.prisma.artifact.count({ where: { model: 'Session' } });
    await party().agent.open('/logout');
    await written('row', 600);
    const before = await sessions();
    for (const path of ['/logout', '/device'])
      expect((await party().agent.open(provider.issuer + path)).status).toBe(429);
    expect(await sessions()).toBe(before);
  });

  test('has no more fetched for strangers; what has failed is not fetched again at once', async () => {
    const uris = [1, 2, 3].map((n) => `https://app.example/request.${n}`);
    const { body } = await register({ request_uris: uris });
    const ask = async (uri = '') => {
      const request = { client_id: String(body['client_id']), request_uri: uri };
      return party().agent.open(
        `${provider.issuer}/authorize?${new URLSearchParams(request).toString()}`,
      );
    };
    const fetched = async () => {
      const key = { startsWith: 'fetch:' };
      const rows = await provider.storage.prisma.attempt.findMany({ where: { key } });
      return rows.map(({ points }) => points);
    };
    for (const uri of [uris[0], uris[0], uris[1]]) expect((await ask(uri)).status).toBe(400);
    expect(await fetched()).toEqual([2]);
    await written('fetch', 60);
    const refused = await ask(uris[2]);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('has no more assertions of strangers remembered', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const { body } = await register({
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] },
    });
    const id = String(body['client_id']);
    const ask = async () =>
      party().post(
        '/token',
        {
          grant_type: 'refresh_token',
          refresh_token: 'x',
          client_id: id,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await new SignJWT({})
            .setProtectedHeader({ alg: 'ES256', kid: 'a' })
            .setIssuer(id)
            .setSubject(id)
            .setAudience(provider.issuer)
            .setJti(randomUUID())
            .setIssuedAt()
            .setExpirationTime('1 minute')
            .sign(privateKey),
        },
        from(),
      );
    const kept = () =>
      provider.storage.prisma.artifact.count({ where: { model: 'ReplayDetection' } });
    expect((await ask()).body['error']).toBe('unauthorized_client'); // authenticated, for all that
    const before = await kept();
    await written('row', 600);
    expect((await ask()).status).toBe(429);
    expect(await kept()).toBe(before);
  });

  test('registers no more clients, but by invitation', async () => {
    expect((await register({})).status).toBe(201);
    await written('registration', 100);
    expect(await register({})).toMatchObject({ status: 429 });
    expect((await register({}, { ip: '203.0.113.9' })).status).toBe(201);
  });
});

test('nonsense in the place of a passkey leaves a few events, and keeps nobody out', async () => {
  const { auditEvent } = provider.storage.prisma;
  const asker = party();
  const page = await asker.agent.open(asker.request(challenge()));
  await auditEvent.deleteMany();
  for (let n = 0; n < 40; n++) {
    const refused = await asker.agent.submit(page, { passkey: `nonsense ${n}` }, /\/passkey$/);
    expect(refused.status).toBe(401);
  }
  expect(await auditEvent.count()).toBe(20);
  const signedIn = await asker.agent.submit(
    page,
    { email: person.email, password: person.password },
    signInForm,
  );
  expect(signedIn.away?.searchParams.has('code')).toBe(true);
});

describe('a client that registered itself', () => {
  const events = async (clientId: unknown) =>
    (
      await provider.storage.prisma.auditEvent.findMany({
        where: { clientId: String(clientId) },
        orderBy: { id: 'asc' },
      })
    ).map(({ type, ip, detail }) => ({ type, ip, detail }));
  const manage = (registration: Json, method: string, metadata?: Json) =>
    fetch(String(registration['registration_client_uri']), {
      method,
      headers: {
        authorization: `Bearer ${String(registration['registration_access_token'])}`,
        'content-type': 'application/json',
        ...from('203.0.113.10'),
      },
      ...(metadata ? { body: JSON.stringify(metadata) } : {}),
    });

  test('is in the audit, with its changes and its end', async () => {
    const { body } = await register({}, { ip: '203.0.113.10' });
    const { client_id } = body;
    const wanted = { client_id, redirect_uris: [redirect], client_name: 'Other' };
    const changed = await manage(body, 'PUT', wanted);
    await manage((await changed.json()) as Json, 'DELETE');
    const ip = '203.0.113.10';
    expect(await events(client_id)).toEqual([
      { type: 'client.registered', ip, detail: { invited: false } },
      {
        type: 'client.changed',
        ip,
        detail: { by: 'itself', changed: { client_name: { from: null, to: 'Other' } } },
      },
      { type: 'client.removed', ip, detail: { by: 'itself' } },
    ]);
  });

  test('and is not used is swept, with all that belongs to it', async () => {
    const { prisma, keyring } = provider.storage;
    const unused = await register({});
    const used = await register({ token_endpoint_auth_method: 'none' });
    const young = await register({});
    const vouched = await register({});
    const id = (answer: { body: Json }) => String(answer.body['client_id']);
    const user = new Party(provider, used.body as unknown as PartyClient, {}, party().agent);
    expect(await user.authorize(challenge())).toHaveProperty('code');
    const { metadata } = await prisma.client.findUniqueOrThrow({ where: { id: id(vouched) } });
    await updateClient(prisma, {
      ...(metadata as object),
      client_id: id(vouched),
      vouched_for: true,
    });
    const old = [unused, used, vouched].map(id);
    await prisma.client.updateMany({
      where: { id: { in: [...old, 'web'] } },
      data: { updatedAt: new Date(Date.now() - 31 * DAY) },
    });
    const tokens = () =>
      prisma.artifact.count({ where: { model: 'RegistrationAccessToken', clientId: id(unused) } });
    expect(await tokens()).toBe(1);

    const parts = {
      prisma,
      now: () => new Date(),
      retention: 3600,
      auditRetention: 3600,
      unusedClients: 30 * 86_400,
    };
    await sweep(parts);
    const left = await prisma.client.findMany({
      where: { id: { in: [...old, id(young), 'web'] } },
      select: { id: true },
    });
    expect(left.map((client) => client.id).sort()).toEqual(
      [id(used), id(vouched), id(young), 'web'].sort(),
    );
    expect(await tokens()).toBe(0);
    expect((await events(id(unused))).at(-1)).toEqual({
      type: 'client.removed',
      ip: null,
      detail: { reason: 'unused' },
    });
    expect(keyring).toBeDefined();
  });
});

describe('an initial access token', () => {
  let strict: TestProvider;
  beforeAll(async () => {
    strict = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'token' } });
  });
  afterAll(() => strict.close());

  async function invitation(uses?: number): Promise<string> {
    let token = '';
    await runUnit(strict.storage, commandLine, async () => {
      const { InitialAccessToken } = strict.engine.provider;
      const metadata = { expiresIn: 60, ...(uses === undefined ? {} : { uses }) };
      token = await new InitialAccessToken(metadata).save();
    });
    return token;
  }
  const registerWith = async (token: string, metadata: Json = {}) =>
    (
      await fetch(`${strict.issuer}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ redirect_uris: [redirect], ...metadata }),
      })
    ).status;

  test('registers one client; a refusal does not use it', async () => {
    const token = await invitation();
    expect(await registerWith(token, { first_party: true })).toBe(400);
    expect(await registerWith(token)).toBe(201);
    expect(await registerWith(token)).toBe(401);
  });

  test('registers as many as it is for, also at once', async () => {
    const token = await invitation(3);
    const before = await strict.storage.prisma.client.count();
    const answers = await Promise.all(Array.from({ length: 6 }, () => registerWith(token)));
    expect(answers.sort()).toEqual([201, 201, 201, 401, 401, 401]);
    expect(await strict.storage.prisma.client.count()).toBe(before + 3);
  });
});
