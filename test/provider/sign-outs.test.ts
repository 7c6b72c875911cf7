// The end of a person's access reaches the applications: one logout token each, kept until it has arrived.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commandLine } from '../../src/storage/origin.ts';
import { Agent } from '../support/agent.ts';
import * as changes from '../support/changes.ts';
import { eventually } from '../support/eventually.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import {
  type TestProvider,
  person,
  secret,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { discover, signIn } from '../support/relying-party.ts';

interface Told {
  readonly client: string;
  readonly token: string;
  readonly at: number;
}

let server: Server;
let told: Told[];
let isDown: (client: string) => boolean;
let answer: number;
let provider: TestProvider;
let running: { stop(): Promise<void> } | undefined;

beforeEach(async () => {
  [told, isDown, answer] = [[], () => false, 200];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const client = request.url?.slice(1) ?? '';
      const token = new URLSearchParams(body).get('logout_token') ?? '';
      told.push({ client, token, at: performance.now() });
      response.statusCode = isDown(client) ? 503 : answer;
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const environment = { SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true' };
  provider = await startProvider({ environment, clients: [notes, calendar, mute] });
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  server.closeAllConnections();
  server.close();
  await provider.close();
});

const application = (id: string, metadata: object = {}) => ({
  ...webClient,
  client_id: id,
  get backchannel_logout_uri() {
    return `http://localhost:${(server.address() as AddressInfo).port}/${id}`;
  },
  ...metadata,
});
const notes = application('notes', { backchannel_logout_session_required: true });
const calendar = application('calendar');
const mute = { ...webClient, client_id: 'mute' };

const start = () => (running = provider.outgoing.start());
/** Signs in to all three in one browser. @returns the `sid` of the notes */
async function signInTo(clients: readonly (typeof webClient)[] = [notes, calendar, mute]) {
  const agent = new Agent(provider.issuer);
  let sid: unknown;
  for (const client of clients) {
    const tokens = await signIn(await discover(provider.issuer, client), agent);
    sid ??= tokens.claims()?.['sid'];
  }
  return { agent, sid };
}
const parts = () => ({ ...provider, origin: commandLine });
const left = () => provider.storage.prisma.delivery.count({ where: { channel: 'logout' } });
const all = async () => {
  await eventually(async () => {
    expect(await left()).toBe(0);
  });
  return told.map(({ client }) => client).sort();
};

describe('each is told once, of all sessions', () => {
  const { password } = person;
  const ways: Record<string, () => Promise<unknown>> = {
    'a lock': () => changes.lockAccount(parts(), provider.accountId),
    'signing out everywhere': () =>
      changes.signOutEverywhere(parts(), provider.accountId, 'revoked_by_admin'),
    'a new password': () =>
      changes.changePassword(parts(), provider.accountId, `another ${password}`),
    'a reset of factors': () => changes.resetFactors(parts(), provider.accountId),
  };

  test.each(Object.keys(ways))('%s', async (way) => {
    await signInTo();
    await signInTo(); // another browser: still one message each, and without a sid (Keycloak #22914)
    await ways[way]?.();
    expect(await left()).toBe(2); // committed with the change
    start();
    expect(await all()).toEqual(['calendar', 'notes']);
    const jwks: unknown = await (await fetch(`${provider.issuer}/jwks`)).json();
    for (const { client, token } of told) {
      const { payload, protectedHeader } = await jwtVerify(
        token,
        createLocalJWKSet(jwks as never),
        { issuer: provider.issuer, audience: client },
      );
      expect(protectedHeader.typ).toBe('logout+jwt');
      expect(payload.sub).toBe(provider.accountId);
      expect(payload).not.toHaveProperty('sid');
      expect(payload).not.toHaveProperty('nonce');
    }
  });
});

test('a change that is undone tells nobody', async () => {
  await signInTo();
  const undone = changes.changePassword(
    parts(),
    provider.accountId,
    'another good battery staple',
    () => Promise.reject(new Error('undone')),
  );
  await expect(undone).rejects.toThrow('undone');
  expect(await left()).toBe(0);
});

test('another password tells nobody when it ends nothing that they were given', async () => {
  await signInTo();
  const config = { ...provider.config, endFamiliesOn: ['none'] };
  await changes.changePassword(
    { ...parts(), config },
    provider.accountId,
    'another good battery staple',
  );
  expect(await left()).toBe(0);
});

// Authentik #25826: there it depends on an access token.
test('an application is told long after its tokens have expired', async () => {
  await signInTo();
  const { prisma } = provider.storage;
  await prisma.artifact.deleteMany({ where: { NOT: { model: 'Session' } } });
  await prisma.refreshFamily.deleteMany();
  await prisma.grant.deleteMany(); // the session is left
  await changes.lockAccount(parts(), provider.accountId);
  start();
  expect(await all()).toEqual(['calendar', 'notes']);
});

// Keycloak #37981, and offline access (#24763): there it depends on a session.
test('an application is told when no browser session is left', async () => {
  await signInTo();
  await provider.storage.prisma.artifact.deleteMany();
  await changes.lockAccount(parts(), provider.accountId);
  start();
  expect(await all()).toEqual(['calendar', 'notes']);
});

test('ending one session tells of that one', async () => {
  const here = await signInTo();
  const there = await signInTo();
  expect(there.sid).not.toBe(here.sid);
  start();
  const page = await here.agent.open(`${provider.issuer}/account/sessions`);
  await here.agent.submit(page, {}, /end-others$/);
  expect(await all()).toEqual(['calendar', 'notes']);
  const claims = told.map(({ client, token }) => [client, decodeJwt(token)['sid']]);
  expect(Object.fromEntries(claims)).toEqual({ notes: there.sid, calendar: undefined });
});

test('removing one application’s access tells that one; disconnecting a device, its session', async () => {
  const { agent, sid } = await signInTo();
  start();
  const { prisma } = provider.storage;
  const family = await prisma.refreshFamily.findFirstOrThrow({ where: { clientId: 'notes' } });
  const at = `${provider.issuer}/account/applications`;
  const page = await agent.open(at);
  await agent.submit(page, {}, new RegExp(`family/${family.id}$`));
  expect(await all()).toEqual(['notes']);
  expect(decodeJwt(told[0]?.token ?? '')['sid']).toBe(sid);
  told.length = 0;
  const form = { csrf: page.html.querySelector('input[name=csrf]')?.getAttribute('value') ?? '' };
  await agent.open(`${at}/remove`, { ...form, client: 'calendar' });
  expect(await all()).toEqual(['calendar']);
});

test('what has not arrived is kept for days, and sent with a new token', async () => {
  await signInTo([notes]);
  isDown = () => true;
  await changes.lockAccount(parts(), provider.accountId);
  start();
  const { prisma } = provider.storage;
  await eventually(async () => {
    expect(told).toHaveLength(1);
    const [row] = await prisma.delivery.findMany({ where: { channel: 'logout' } });
    expect(row?.expiresAt.getTime()).toBeGreaterThan(Date.now() + 6 * 86_400_000);
  });
  // Refusing is no reason to give up either: what is wrong at the application may be mended.
  [isDown, answer] = [() => false, 400];
  const again = () => prisma.delivery.updateMany({ data: { nextAt: new Date() } });
  await eventually(async () => {
    await again();
    expect(told.length).toBeGreaterThanOrEqual(2);
  });
  answer = 200;
  await eventually(async () => {
    await again();
    expect(await left()).toBe(0);
  });
  const tokens = told.map(({ token }) => decodeJwt(token).jti);
  expect(new Set(tokens).size).toBe(told.length);
});

test('an application that was removed meanwhile is not waited for', async () => {
  await signInTo();
  await changes.lockAccount(parts(), provider.accountId);
  await provider.storage.prisma.client.deleteMany({ where: { id: 'notes' } });
  start();
  expect(await all()).toEqual(['calendar']);
});

describe('the command', () => {
  let process: ProviderProcess;
  let environment: Record<string, string>;
  beforeEach(async () => {
    environment = {
      DATABASE_URL: provider.databaseUrl,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true',
    };
    const issuer = `http://localhost:${await freePort()}`;
    process = await startProcess({ ...environment, SYMBOLON_ISSUER: issuer });
  });
  afterEach(() => process.end());

  test('says how many were told, and how many not yet', async () => {
    await signInTo();
    isDown = (client) => client === 'calendar';
    const { code, stdout } = await run(
      ['src/cli.ts', 'user', 'lock', person.email, '--json'],
      environment,
    );
    expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
      ...{ code: 0, ended: 3 },
      applications: { told: 1, waiting: 1 },
    });
    const again = await run(['src/cli.ts', 'user', 'sign-out', person.email], environment);
    expect(again.stdout).toBe(
      `Signed ${person.email} out everywhere; 0 refresh-token families ended.\n`,
    );
  });
});
