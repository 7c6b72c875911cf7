// A browser session slides with its use, up to an absolute end after the sign-in (OWASP ASVS 5, 7.3.2).
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { createLog } from '../../src/operations/log.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  signIn,
} from '../support/relying-party.ts';

const DAY = 86_400;
let provider: TestProvider;
let party: RelyingParty;
let agent: Agent;
const start = async (environment: Record<string, string>) => {
  provider = await startProvider({ environment });
  party = await discover(provider.issuer);
  agent = new Agent(provider.issuer);
};
afterEach(() => provider.close());
const rows = () => provider.storage.prisma.artifact.findMany({ where: { model: 'Session' } });
const secondsLeft = async () => {
  const [session] = await rows();
  return ((session?.expiresAt.getTime() ?? 0) - Date.now()) / 1000;
};

test('by default it is thirty days after the sign-in at the latest', async () => {
  await start({});
  expect(provider.config.ttl.sessionAbsolute).toBe(30 * DAY);
  await signIn(party, agent);
  expect(await secondsLeft()).toBeLessThanOrEqual(14 * DAY);
});

test('a use does not move the end of a session past it', async () => {
  await start({ SYMBOLON_SESSION_ABSOLUTE_TTL: '600' });
  await signIn(party, agent);
  await signIn(party, agent); // without a word: the session is used
  expect(await secondsLeft()).toBeLessThanOrEqual(600);
  // Pages of our own are signed in to the same way.
  const own = new Agent(provider.issuer);
  const { email, password } = person;
  await own.submit(await own.open(`${provider.issuer}/sign-in?to=/account`), { email, password });
  for (const { expiresAt } of await rows())
    expect((expiresAt.getTime() - Date.now()) / 1000).toBeLessThanOrEqual(600);
});

test('a session that was begun under a longer setting is over for every page', async () => {
  await start({});
  await signIn(party, agent);
  // Another process, with a shorter setting, two minutes later.
  const { config, storage } = provider;
  const { koa } = await createApp({
    config: { ...config, ttl: { ...config.ttl, sessionAbsolute: 60 } },
    storage: { ...storage, now: () => new Date(Date.now() + 120_000) },
    log: createLog('silent'),
  });
  koa.silent = true;
  const server: Server = createServer(koa.callback() as never);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  const there = new Agent(provider.issuer, (url) => {
    const other = new URL(url);
    other.port = String(port);
    return other;
  });
  for (const cookie of agent.cookies) there.set(cookie);
  const page = await there.open(`${provider.issuer}/account`);
  expect(page.html.querySelector('h1')?.text).toBe('Sign in');
  const { url } = await authorizationRequest(party, { prompt: 'none' });
  expect((await there.open(url)).away?.searchParams.get('error')).toBe('login_required');
  // Where the setting is the longer one, it goes on.
  expect((await agent.open(url)).away?.searchParams.get('error')).toBeNull();
  server.closeAllConnections();
  server.close();
});
