// Cookies from before their names had a prefix: who was signed in stays so, and nobody is signed in by a cookie that a
// sub-domain has set for this host.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';

const session = '__Host-symbolon_session';
let provider: TestProvider;
let ada: Agent;

beforeAll(async () => {
  provider = await startProvider({ environment: { SYMBOLON_ISSUER: 'https://id.example' } });
});
afterAll(() => provider.close());
beforeEach(async () => {
  ada = await signedIn();
});

/** A browser whose cookies for the whole domain, of a sub-domain, cannot be changed by the provider. */
function browser(tossed: Readonly<Record<string, string>> = {}): Agent {
  const others = Object.entries(tossed);
  return new Agent(
    provider.issuer,
    ({ pathname, search }) =>
      new URL(`http://localhost:${provider.config.port}${pathname}${search}`),
    {},
    others.map(([name, value]) => `${name}=${value}`),
  );
}

async function signedIn(): Promise<Agent> {
  const agent = browser();
  await agent.submit(await agent.open('/sign-in?to=/account'), {
    email: person.email,
    password: person.password,
  });
  return agent;
}

/** The cookies that this person's browser had under the former names. */
function former(agent: Agent): Record<string, string> {
  const value = (name: string) => agent.cookies.find((cookie) => cookie.name === name)?.value ?? '';
  const [key = ''] = provider.storage.keyring.cookieKeys;
  const id = value(session);
  return {
    symbolon_session: id,
    'symbolon_session.sig': createHmac('sha1', key)
      .update(`symbolon_session=${id}`)
      .digest('base64url'),
    symbolon_browser: value('__Host-symbolon_browser'),
  };
}

function having(agent: Agent, cookies: Readonly<Record<string, string>>): Agent {
  for (const [name, value] of Object.entries(cookies)) agent.set({ name, value, path: '/' });
  return agent;
}

const names = (agent: Agent) => agent.cookies.map(({ name }) => name);
async function isSignedIn(agent: Agent): Promise<boolean> {
  const { url, html } = await agent.open('/account');
  return url.pathname === '/account' && html.toString().includes(person.email);
}

test('who was signed in stays signed in, under the new name from then on', async () => {
  const agent = having(browser(), former(ada));
  expect(await isSignedIn(agent)).toBe(true);
  expect(names(agent)).toEqual(
    expect.arrayContaining([session, `${session}.sig`, '__Host-symbolon_browser']),
  );
  expect(names(agent).filter((name) => !name.startsWith('__'))).toEqual([]);
  expect(names(agent)).not.toContain('__Host-symbolon_former');
  expect(await isSignedIn(agent)).toBe(true);
});

test('a form that was open is sent again, not lost', async () => {
  const agent = having(browser(), former(ada));
  const asked = await agent.post(new URL('/account/nothing', provider.issuer), { a: 'b' });
  expect(asked.href).toBe(`${provider.issuer}/account/nothing`);
});

test('a cookie that a sub-domain has set signs nobody in', async () => {
  const victim = browser(former(ada));
  expect(await isSignedIn(victim)).toBe(false);
  expect(await isSignedIn(victim)).toBe(false);
  // Nor beside one that was this host's: which is whose cannot be told.
  expect(await isSignedIn(having(browser(former(ada)), former(await signedIn())))).toBe(false);
});

test('and never wins against this host’s own', async () => {
  const own = await signedIn();
  const victim = having(
    browser(former(ada)),
    Object.fromEntries(own.cookies.map(({ name, value }) => [name, value])),
  );
  const id = () => victim.cookies.find(({ name }) => name === session)?.value;
  const before = id();
  expect(await isSignedIn(victim)).toBe(true);
  expect(id()).toBe(before);
});

test('one that nobody here has signed is none', async () => {
  const forged = { ...former(ada), 'symbolon_session.sig': 'x'.repeat(27) };
  expect(await isSignedIn(having(browser(), forged))).toBe(false);
});

test('without TLS the names are what they were', async () => {
  const plain = await startProvider();
  const agent = new Agent(plain.issuer);
  await agent.submit(await agent.open('/sign-in?to=/account'), {
    email: person.email,
    password: person.password,
  });
  expect(names(agent)).toContain('symbolon_session');
  expect((await agent.open('/account')).url.pathname).toBe('/account');
  await plain.close();
});
