// Processes whose clocks are minutes apart behave as one: the database's clock decides.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, publicClient, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const preload = fileURLToPath(new URL('../support/skewed-clock.mjs', import.meta.url));
const minutes = { right: 0, fast: 5, slow: -5 };
const grants = { grant_types: [...webClient.grant_types, 'password'] };
const web = { ...webClient, ...grants, refresh_token_idle_ttl: 120 };
const app = { ...publicClient, ...grants };
const redirectUri = webClient.redirect_uris[0] ?? '';

let database: TestDatabase;
let prisma: PrismaClient;
let issuer: string;
let processes: Record<keyof typeof minutes, ProviderProcess>;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  for (const client of [web, app]) await insertClient(prisma, new Keyring([secret]), client);
  issuer = `http://localhost:${await freePort()}`;
  const start = (skew: number) =>
    startProcess({
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ISSUER: issuer,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ACCESS_TOKEN_TTL: '120',
      NODE_OPTIONS: `--import=${preload}`,
      TEST_CLOCK_SKEW: String(skew * 60_000),
    });
  const [right, fast, slow] = await Promise.all(Object.values(minutes).map(start));
  if (!right || !fast || !slow) throw new Error('they did not start');
  processes = { right, fast, slow };
});
afterAll(async () => {
  await Promise.all(Object.values(processes).map((one) => one.end()));
  await prisma.$disconnect();
  await database.drop();
});

const pairs = Object.keys(minutes).flatMap((one) =>
  Object.keys(minutes)
    .filter((other) => other !== one)
    .map((other) => [one, other]),
) as [keyof typeof minutes, keyof typeof minutes][];

test.each(pairs)(
  'a public client refreshes at the %s one and tries again at the %s one',
  async (one, other) => {
    const token = await newFamily(processes[one].url, app);
    const first = await refreshAt(processes[one].url, token, app);
    const again = await refreshAt(processes[other].url, token, app);
    expect(again).toMatchObject({ status: 200, body: { refresh_token: first.body.refresh_token } });
    const next = await refreshAt(processes[other].url, again.body.refresh_token ?? '', app);
    expect(next.status).toBe(200);
  },
);

test.each(pairs)(
  'a family of the %s one is neither idle nor for ever at the %s one',
  async (one, other) => {
    const token = await newFamily(processes[one].url, web);
    const { status, body } = await refreshAt(processes[other].url, token, web);
    expect(status).toBe(200);
    const family = await prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(token) },
    });
    const left = (family.idleExpiresAt.getTime() - Date.now()) / 1000;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(125);
    expect((body as { refresh_token_timeout?: number }).refresh_token_timeout).toBe(120);
  },
);

test.each(pairs)('an access token of the %s one is active at the %s one', async (one, other) => {
  const token = await newFamily(processes[one].url, web);
  const { body } = await refreshAt(processes[one].url, token, web);
  const asked = await post(`${processes[other].url}/introspect`, {
    token: body.access_token ?? '',
  });
  expect(asked.body).toMatchObject({ active: true });
});

test.each(pairs)('a code of the %s one is exchanged at the %s one', async (one, other) => {
  const agent = new Agent(issuer, (url) => {
    const routed = new URL(url);
    routed.host = new URL(processes[one].url).host;
    return routed;
  });
  const url = new URL(`${issuer}/authorize`);
  url.search = new URLSearchParams({
    ...{ client_id: 'web', response_type: 'code', redirect_uri: redirectUri },
    scope: 'openid offline_access',
  }).toString();
  const code = (await agent.authorize(url)).searchParams.get('code') ?? '';
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri };
  expect((await post(`${processes[other].url}/token`, form)).status).toBe(200);
  // Used once, at either.
  expect((await post(`${processes[one].url}/token`, form)).body.error).toBe('invalid_grant');
});

test('a process says that its clock is off, in its log and its readiness', async () => {
  expect(processes.fast.output()).toMatch(/clock is (299|300)\.\d s ahead of the database's/);
  expect(processes.slow.output()).toMatch(/clock is (299|300)\.\d s behind the database's/);
  expect(processes.right.output()).not.toContain("the database's, which decides");
  const readiness = async ({ url }: ProviderProcess) => {
    const answer = await fetch(`${url}/health/ready`);
    expect(answer.status).toBe(200);
    return (await answer.json()) as { status: string; clock_offset?: number };
  };
  const fast = await readiness(processes.fast);
  expect(fast).toEqual({ status: 'ready', clock_offset: expect.any(Number) as number });
  expect(fast.clock_offset).toBeCloseTo(300, -1);
  expect((await readiness(processes.slow)).clock_offset).toBeCloseTo(-300, -1);
  expect(await readiness(processes.right)).toEqual({ status: 'ready' });
});
