// What a person allows, and what they leave out: what is left out is neither issued nor asked for again, wherever it
// would come from.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Agent, type Fields, type Page } from '../support/agent.ts';
import {
  type TestProvider,
  person,
  publicClient,
  startProvider,
  webClient,
} from '../support/provider.ts';
import {
  type RelyingParty,
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
} from '../support/relying-party.ts';
import { post } from '../support/token-endpoint.ts';

const API = 'https://notes.example/api';
const CIBA = 'urn:openid:params:grant-type:ciba';
const needy = { ...webClient, client_id: 'needy', required_scopes: 'openid email' };
const house = { ...webClient, client_id: 'house', first_party: true };
const native = {
  ...publicClient,
  client_id: 'native',
  first_party: true,
  application_type: 'native',
  redirect_uris: ['com.example.app:/callback'],
};
const narrow = { ...webClient, client_id: 'narrow', resource_scopes: { [API]: ['notes:read'] } };
const bank = {
  client_id: 'bank',
  client_secret: 'the secret of the bank',
  client_name: 'Riverside Bank',
  grant_types: [CIBA, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  backchannel_token_delivery_mode: 'poll',
};

let provider: TestProvider;
let party: RelyingParty;
const folder = mkdtempSync(join(tmpdir(), 'symbolon-consent-'));

beforeAll(async () => {
  const file = join(folder, 'claims.json');
  writeFileSync(
    file,
    JSON.stringify({
      scopes: { team: { title: 'See your team', claims: { team: 'string' } } },
      access_token: ['team'],
      id_token: ['team'],
    }),
  );
  provider = await startProvider({
    environment: { SYMBOLON_CLAIMS_FILE: file, SYMBOLON_ENABLE_CIBA: 'true' },
    clients: [webClient, needy, house, native, narrow, bank],
  });
  const { prisma } = provider.storage;
  await prisma.resource.create({
    data: { id: API, scopes: { 'notes:read': 'Read your notes', 'notes:write': '' } },
  });
  await prisma.account.updateMany({ data: { claims: { team: 'Analytical' } } });
  party = await discover(provider.issuer);
});
beforeEach(() => provider.storage.prisma.grant.deleteMany());
afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true });
});

const heading = (page: Page) => page.html.querySelector('h1')?.text.trim();
const boxes = (page: Page) =>
  page.html.querySelectorAll('input[type=checkbox]').map((box) => box.getAttribute('value'));
const credentials = { email: person.email, password: person.password };

interface Visit {
  readonly from?: RelyingParty;
  readonly agent?: Agent;
}

/** Goes to the application's page, signing in when asked to. */
async function visit(parameters: Record<string, string>, { from = party, agent }: Visit = {}) {
  const browser = agent ?? new Agent(provider.issuer);
  const { url, finish } = await authorizationRequest(from, parameters);
  let page = await browser.open(url);
  if (page.html.querySelector('form[action$="/sign-in"]'))
    page = await browser.submit(page, credentials, /sign-in$/);
  const answer = async (fields: Fields) => {
    const { away } = await browser.submit(page, fields, /consent$/);
    return finish(away ?? new URL('x:'));
  };
  return { browser, page, answer, tokens: () => finish(page.away ?? new URL('x:')) };
}

const scopesOf = (scope: string | undefined) => scope?.split(' ').sort();

describe('what is unticked', () => {
  test('is not issued, is not asked for again, and can be allowed later', async () => {
    const parameters = { scope: 'openid profile email team offline_access' };
    const first = await visit(parameters);
    expect(heading(first.page)).toBe('Notes asks for your permission');
    expect(boxes(first.page)).toEqual(['profile', 'email', 'team', 'offline_access']);
    const tokens = await first.answer({ scope: ['profile'] });
    expect(scopesOf(tokens.scope)).toEqual(['openid', 'profile']);
    expect(tokens.refresh_token).toBeUndefined();
    expect(tokens.claims()).not.toHaveProperty('team');
    const told = await oidc.fetchUserInfo(
      party.configuration,
      tokens.access_token,
      provider.accountId,
    );
    expect(told).toMatchObject({ name: person.name });
    expect(told).not.toHaveProperty('email');

    // In this browser, and in another.
    for (const agent of [first.browser, new Agent(provider.issuer)]) {
      const again = await visit(parameters, { agent });
      const fewer = await again.tokens();
      expect(scopesOf(fewer.scope)).toEqual(['openid', 'profile']);
      expect(fewer.refresh_token).toBeUndefined();
    }

    const asked = await visit({ ...parameters, prompt: 'consent' }, { agent: first.browser });
    const all = await asked.answer({});
    expect(scopesOf(all.scope)).toEqual(['email', 'offline_access', 'openid', 'profile', 'team']);
    expect(all.claims()?.['team']).toBe('Analytical');
    expect((await refresh(party, refreshTokenOf(all))).claims()?.['team']).toBe('Analytical');
  });

  test('is gone from what was allowed before, also for those who refresh', async () => {
    const parameters = { scope: 'openid email team offline_access' };
    const first = await visit(parameters);
    const before = await first.answer({});
    expect(before.claims()?.['team']).toBe('Analytical');
    const asked = await visit({ ...parameters, prompt: 'consent' }, { agent: first.browser });
    await asked.answer({ scope: ['email', 'offline_access'] });
    const after = await refresh(party, refreshTokenOf(before));
    expect(scopesOf(after.scope)).toEqual(['email', 'offline_access', 'openid']);
    expect(after.claims()).not.toHaveProperty('team');
  });

  test('of a resource is in no token for it', async () => {
    const parameters = { scope: 'openid notes:read notes:write offline_access', resource: API };
    const { page, answer, browser } = await visit(parameters);
    expect(boxes(page)).toEqual([`${API} notes:read`, `${API} notes:write`, 'offline_access']);
    const tokens = await answer({ resource_scope: [`${API} notes:read`] });
    expect(tokens.scope).toBe('notes:read');
    expect(decodeJwt(tokens.access_token)['scope']).toBe('notes:read');
    const refreshed = await refresh(party, refreshTokenOf(tokens));
    expect(decodeJwt(refreshed.access_token)['scope']).toBe('notes:read');
    const again = await visit(parameters, { agent: browser });
    expect((await again.tokens()).scope).toBe('notes:read');
  });

  test('of the claims parameter is told nowhere', async () => {
    const claims = JSON.stringify({
      userinfo: { email: null, name: null },
      id_token: { acr: null },
    });
    const { page, answer } = await visit({ scope: 'openid', claims });
    expect(boxes(page)).toEqual(['email', 'name']);
    const tokens = await answer({ claim: ['name'] });
    const told = await oidc.fetchUserInfo(
      party.configuration,
      tokens.access_token,
      provider.accountId,
    );
    expect(told).toEqual({ sub: provider.accountId, name: person.name });
  });

  test('of a request that waited for the person’s answer is not issued either (CIBA)', async () => {
    const { body } = await post(
      `${provider.issuer}/backchannel_authentication`,
      { scope: 'openid email team offline_access', login_hint: person.email },
      bank,
    );
    const agent = new Agent(provider.issuer);
    const list = await agent.submit(await agent.open(`${provider.issuer}/approve`), credentials);
    expect(boxes(list)).toEqual(['email', 'team', 'offline_access']);
    await agent.submit(list, { answer: 'allow', scope: ['email'] }, /approve\/.+/);
    const { auth_req_id: id = '' } = body as { auth_req_id?: string };
    const tokens = (
      await post(`${provider.issuer}/token`, { grant_type: CIBA, auth_req_id: id }, bank)
    ).body as { scope?: string; id_token?: string; refresh_token?: string };
    expect(scopesOf(tokens.scope)).toEqual(['email', 'openid']);
    expect(tokens.refresh_token).toBeUndefined();
    expect(decodeJwt(tokens.id_token ?? '')).not.toHaveProperty('team');
  });
});

test('a form can add nothing that was not asked for', async () => {
  const { answer } = await visit({ scope: 'openid notes:read', resource: API });
  const tokens = await answer({
    scope: ['openid', 'profile', 'email', 'offline_access'],
    claim: ['email'],
    resource_scope: [`${API} notes:read`, `${API} notes:write`],
    duration: '86400',
  });
  expect(tokens.scope).toBe('notes:read');
  expect(tokens.refresh_token).toBeUndefined();
  const { payload } = await provider.storage.prisma.grant.findFirstOrThrow();
  expect(payload).toMatchObject({
    openid: { scope: 'openid' },
    resources: { [API]: 'notes:read' },
  });
  expect(payload).not.toHaveProperty('consentExpiresAt');
});

test('openid and what a client cannot do without have no box, and are not left out', async () => {
  const from = await discover(provider.issuer, needy);
  const { page, answer } = await visit({ scope: 'openid profile email' }, { from });
  expect(boxes(page)).toEqual(['profile']);
  expect(page.html.text).toContain('See your e-mail address');
  expect(scopesOf((await answer({ scope: [] })).scope)).toEqual(['email', 'openid']);
});

test('the page shows only what the client may ask of a resource', async () => {
  const from = await discover(provider.issuer, narrow);
  const { page } = await visit({ scope: 'openid notes:read notes:write', resource: API }, { from });
  expect(boxes(page)).toEqual([`${API} notes:read`]);
});

test('for as long as was chosen, and only with offline access', async () => {
  const { answer } = await visit({ scope: 'openid offline_access' });
  await answer({ scope: [], duration: '86400' });
  const { payload } = await provider.storage.prisma.grant.findFirstOrThrow();
  expect(payload).not.toHaveProperty('consentExpiresAt');
});

describe('the operator’s own client', () => {
  test('is granted what it asks for, and more when it asks for more, also silently', async () => {
    const from = await discover(provider.issuer, house);
    const first = await visit({ scope: 'openid email' }, { from });
    expect(scopesOf((await first.tokens()).scope)).toEqual(['email', 'openid']);
    const more = { scope: 'openid profile notes:read', resource: API, prompt: 'none' };
    const tokens = await (await visit(more, { from, agent: first.browser })).tokens();
    expect(tokens.scope).toBe('notes:read');
    const claims = JSON.stringify({ userinfo: { name: null } });
    const asked = await visit({ scope: 'openid', claims }, { from, agent: first.browser });
    expect(asked.page.away).toBeDefined();
  });

  test('asks for offline access the first time, and nothing else can be left out', async () => {
    const from = await discover(provider.issuer, house);
    const parameters = { scope: 'openid email offline_access' };
    const first = await visit(parameters, { from });
    expect(boxes(first.page)).toEqual(['offline_access']);
    const tokens = await first.answer({});
    await refresh(from, refreshTokenOf(tokens));
    const again = await visit(parameters, { from, agent: first.browser });
    expect((await again.tokens()).refresh_token).toBeDefined();
  });

  test('gets no offline access when it is refused, and does not ask again', async () => {
    const from = await discover(provider.issuer, house);
    const parameters = { scope: 'openid email offline_access' };
    const first = await visit(parameters, { from });
    expect((await first.answer({ scope: [] })).refresh_token).toBeUndefined();
    const again = await visit(parameters, { from, agent: first.browser });
    const tokens = await again.tokens();
    expect(scopesOf(tokens.scope)).toEqual(['email', 'openid']);
    expect(tokens.refresh_token).toBeUndefined();
  });

  // RFC 8252 §8.6: anyone could claim its redirect URI.
  test('is asked for like any other when it is native', async () => {
    const from = await discover(provider.issuer, native);
    const { page } = await visit({ scope: 'openid' }, { from });
    expect(heading(page)).toBe('Sketches asks for your permission');
  });

  test('is granted nothing for somebody who has yet to sign in', async () => {
    const from = await discover(provider.issuer, house);
    const { url } = await authorizationRequest(from, { scope: 'openid email' });
    await new Agent(provider.issuer).open(url);
    expect(await provider.storage.prisma.grant.count()).toBe(0);
  });
});
