// Every event says who acted and in which request, through the whole provider.
import { userInfo } from 'node:os';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sweep } from '../../src/database/sweep.ts';
import { Agent } from '../support/agent.ts';
import { run } from '../support/process.ts';
import {
  type TestProvider,
  person,
  secret,
  startProvider,
  webClient,
} from '../support/provider.ts';
import { type RelyingParty, discover, refreshTokenOf, signIn } from '../support/relying-party.ts';
import { post, refreshAt } from '../support/token-endpoint.ts';

const passwordClient = {
  ...webClient,
  client_id: 'old',
  grant_types: ['password', 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  post_logout_redirect_uris: [],
};
let provider: TestProvider;
let party: RelyingParty;

beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true', SYMBOLON_REGISTRATION: 'open' },
    clients: [webClient, passwordClient],
  });
  party = await discover(provider.issuer);
});
beforeEach(() => provider.storage.prisma.auditEvent.deleteMany());
afterAll(() => provider.close());

const named = (id: string) => new Agent(provider.issuer, undefined, { 'x-request-id': id });
/** The events so far: type, actor, request. */
async function told(): Promise<string[]> {
  const events = await provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } });
  return events.map(({ type, actorKind, actorId, requestId }) => {
    const actor = actorKind === null ? 'nobody' : `${actorKind} ${actorId ?? ''}`;
    return `${type}: ${actor}, ${requestId ?? '-'}`;
  });
}

test('the person who signs in and allows it, then the client that exchanges the code and loses its family', async () => {
  const ada = `person ${provider.accountId}`;
  const tokens = await signIn(party, named('browser.1'));
  const events = await told();
  expect(events.slice(0, 2)).toEqual([`sign_in: ${ada}, browser.1`, `consent: ${ada}, browser.1`]);
  expect(events[2]).toMatch(/^family\.started: client web, [0-9a-f-]{36}$/);

  const first = refreshTokenOf(tokens);
  let token = first;
  for (let n = 0; n < 2; n++)
    token = (await refreshAt(provider.issuer, token)).body.refresh_token ?? '';
  const answer = await refreshAt(provider.issuer, first);
  const id = answer.headers.get('x-request-id') ?? '';
  expect((await told()).slice(3)).toEqual([
    `family.ended: client web, ${id}`,
    `refresh.refused: client web, ${id}`,
  ]);
});

test('a family that starts in a transaction, not in the fast statement, has its actor too', async () => {
  const { email: username, password } = person;
  const form = { grant_type: 'password', username, password, scope: 'openid offline_access' };
  expect((await post(`${provider.issuer}/token`, form, passwordClient)).status).toBe(200);
  expect((await told()).map((line) => line.split(',')[0])).toEqual([
    'family.started: client old',
    'consent: client old',
  ]);
});

test('who failed to sign in is nobody; who was signed in before is the actor', async () => {
  const agent = named('try');
  const wrong = { email: person.email, password: 'not this one, I guess' };
  const page = await agent.open(`${provider.issuer}/account`);
  await agent.submit(page, wrong);
  expect(await told()).toEqual(['sign_in.failed: nobody, try']);
});

test('a client that does not know its secret is not the actor', async () => {
  const form = { grant_type: 'refresh_token', refresh_token: 'none' };
  for (let n = 0; n < 11; n++)
    await post(`${provider.issuer}/token`, form, { client_id: 'web', client_secret: 'wrong' });
  expect((await told()).map((line) => line.split(',')[0])).toEqual(['client.limited: nobody']);
  await provider.storage.prisma.attempt.deleteMany();
});

test('a page of the account: the person; another browser that holds no session: nobody', async () => {
  const agent = named('page-1');
  const { email, password } = person;
  const home = await agent.submit(await agent.open(`${provider.issuer}/account`), {
    email,
    password,
  });
  await agent.submit(home, { name: 'Ada King' }, /\/name$/);
  expect(await told()).toEqual([
    `sign_in: person ${provider.accountId}, page-1`,
    `name.changed: person ${provider.accountId}, page-1`,
  ]);
});

test('a client that registers itself, and the sweep that removes it', async () => {
  const response = await fetch(`${provider.issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'registers' },
    body: JSON.stringify({ redirect_uris: ['https://notes.example/callback'] }),
  });
  const { client_id: id = '' } = (await response.json()) as { client_id?: string };
  const later = () => new Date(Date.now() + 86_400_000);
  const { prisma } = provider.storage;
  await sweep({
    prisma,
    now: later,
    retention: 30 * 86_400,
    auditRetention: 30 * 86_400,
    unusedClients: 3600,
  });
  expect(await told()).toEqual([
    `client.registered: client ${id}, registers`,
    'client.removed: system sweep, -',
  ]);
});

test('the command line: the user of the system, and one id for the command', async () => {
  const environment = {
    DATABASE_URL: provider.databaseUrl,
    SYMBOLON_SECRET: secret,
    LOG_LEVEL: 'warn',
  };
  const args = ['src/cli.ts', 'user', 'password', person.email, '--password-stdin'];
  const { code } = await run(args, environment, 'another battery staple\n');
  expect(code).toBe(0);
  const [ended = '', changed] = await told(); // a new password ends families
  expect(ended).toMatch(
    new RegExp(`^family\\.ended: operator ${userInfo().username}, [0-9a-f-]{36}$`),
  );
  expect(changed).toBe(ended.replace('family.ended', 'password.changed'));
});

test.each([
  ['a.Sane_one-1', true],
  ['x'.repeat(64), true],
  ['x'.repeat(65), false],
  ['has space', false],
  ['<script>', false],
  ['', false],
])('a request that is called %j', async (given, isKept) => {
  for (const path of ['/jwks', '/nowhere', '/token', '/health/ready', '/']) {
    const url = provider.issuer + path;
    const answer = await fetch(url, { headers: { 'x-request-id': given } });
    const id = answer.headers.get('x-request-id');
    if (isKept) expect(id).toBe(given);
    else expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  }
});

test('an error page shows the id that its answer has', async () => {
  const page = await named('what-went-wrong').open(`${provider.issuer}/auth?client_id=nobody`);
  expect(page.headers.get('x-request-id')).toBe('what-went-wrong');
  expect(page.html.text).toContain('what-went-wrong');
});
