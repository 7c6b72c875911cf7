// Several secrets of one client at a time, and a client that is kept out for a while: nothing that was issued ends.
import { createHash, timingSafeEqual } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  formatSecrets,
  hashedSecret,
  parseSecrets,
  presentedSecret,
} from '../../src/storage/client-secrets.ts';
import { changeSecrets, findClient, setDisabled } from '../../src/storage/clients.ts';
import { hold, queued } from '../faults/locks.ts';
import { Agent } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { authorizationRequest, discover } from '../support/relying-party.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';

const FIRST = webClient.client_secret;
const SECOND = 'another secret of the web client';
const CIBA = 'urn:openid:params:grant-type:ciba';
const client = {
  ...webClient,
  grant_types: [...webClient.grant_types, 'password', 'client_credentials', CIBA],
  backchannel_token_delivery_mode: 'poll',
};
const tv = {
  ...{ client_id: 'tv', token_endpoint_auth_method: 'none', response_types: [], redirect_uris: [] },
  grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
};
const by = (secret: string, id = 'web') => ({ client_id: id, client_secret: secret });

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true', SYMBOLON_ENABLE_CIBA: 'true' },
    clients: [client, { ...client, client_id: 'api' }, tv],
  });
});
afterAll(() => provider.close());
beforeEach(async () => {
  await provider.storage.prisma.attempt.deleteMany();
});

const change = (work: Parameters<typeof changeSecrets>[3]) =>
  provider.storage.prisma.$transaction((database) =>
    changeSecrets(database, provider.storage.keyring, 'web', work),
  );
const reset = () => change(() => [hashedSecret(FIRST, 1)]);
const add = (secret: string, expiresAt = 0) =>
  change((before) => [...(before ?? []), hashedSecret(secret, 2, expiresAt)]);
const remove = (secret: string) =>
  change((before = []) =>
    before.filter((one) => presentedSecret(formatSecrets([one]), secret, 0) === undefined),
  );
const authenticates = async (secret: string) =>
  (await post(`${provider.issuer}/introspect`, { token: 'any' }, by(secret))).status === 200;
const disable = (reason: string | null) => setDisabled(provider.storage.prisma, 'web', reason);

describe('secrets', () => {
  beforeEach(reset);

  test('each authenticates until it is removed or has expired; what was issued goes on', async () => {
    const token = await newFamily(provider.issuer, by(FIRST));
    await add(SECOND);
    expect(await authenticates(FIRST)).toBe(true);
    expect(await authenticates(SECOND)).toBe(true);
    expect(await authenticates('a third secret of the client')).toBe(false);
    await remove(FIRST);
    expect(await authenticates(FIRST)).toBe(false);
    expect((await refreshAt(provider.issuer, token, by(SECOND))).status).toBe(200);
    const now = Math.floor(Date.now() / 1000);
    await add('a secret that has expired', now - 10);
    await add('a secret that will expire', now + 1000);
    expect(await authenticates('a secret that has expired')).toBe(false);
    expect(await authenticates('a secret that will expire')).toBe(true);
  });

  test('one that a former build has written works, and the former build takes the first of several', () => {
    const salt = 'AAAAAAAAAAAAAAAAAAAAAA';
    const hash = createHash('sha256').update(`${salt}$${FIRST}`).digest('base64url');
    const former = `sha256$${salt}$${hash}`;
    expect(presentedSecret(former, FIRST, 0)).toBe('00000000');
    expect(presentedSecret(former, SECOND, 0)).toBeUndefined();
    const both = formatSecrets([...(parseSecrets(former) ?? []), hashedSecret(SECOND, 5)]);
    expect(presentedSecret(both, FIRST, 0)).toBe('00000000');
    expect(presentedSecret(both, SECOND, 0)).toMatch(/^[0-9a-f]{8}$/);
    // As release 0.2 compares them.
    const formerly = (stored: string, presented: string) => {
      const [scheme, itsSalt, itsHash] = stored.split('$');
      expect(scheme).toBe('sha256');
      const made = createHash('sha256')
        .update(`${itsSalt ?? ''}$${presented}`)
        .digest();
      return timingSafeEqual(made, Buffer.from(itsHash ?? '', 'base64url'));
    };
    expect(formerly(both, FIRST)).toBe(true);
    expect(formerly(both, SECOND)).toBe(false);
    // A secret that is kept as it is.
    expect(parseSecrets('plain')).toBeUndefined();
    expect(presentedSecret('plain', 'plain', 0)).toBe('');
    expect(presentedSecret('plain', 'other', 0)).toBeUndefined();
    expect(presentedSecret(undefined, '', 0)).toBeUndefined();
  });

  test('two that are added at once are both there', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, index) => add(`${SECOND} ${index}`)));
    const { prisma, keyring } = provider.storage;
    const stored = (await findClient(prisma, keyring, 'web'))?.client_secret ?? '';
    expect(parseSecrets(stored)).toHaveLength(9);
  });

  test('the last use of each is noted, once a minute', async () => {
    const { prisma } = provider.storage;
    await add(SECOND);
    const uses = () => prisma.clientSecretUse.findMany({ where: { clientId: 'web' } });
    await prisma.clientSecretUse.deleteMany();
    expect(await authenticates(SECOND)).toBe(true);
    expect(await authenticates('wrong, and not noted at all')).toBe(false);
    const [use] = await eventually(async () => {
      const found = await uses();
      expect(found).toHaveLength(1);
      return found;
    });
    expect(use).toMatchObject({ secretId: expect.stringMatching(/^[0-9a-f]{8}$/) as string });
    expect(use?.ip).toMatch(/127\.0\.0\.1|::1/);
    for (let turn = 0; turn < 5; turn++) await authenticates(SECOND);
    expect(await uses()).toEqual([use]);
    await remove(SECOND);
    expect(await uses()).toEqual([]);
  });

  test('removed in the middle of a request: it is done whole, and no later one is let in', async () => {
    await add(SECOND);
    const token = await newFamily(provider.issuer, by(FIRST));
    const { grantId } = await provider.storage.prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(token) },
    });
    const grant = await hold(provider.databaseUrl, 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE', [
      grantId,
    ]);
    const refreshing = refreshAt(provider.issuer, token, by(FIRST));
    await queued(grant.holder, 1); // it has authenticated, and is at its commit
    await remove(FIRST); // waits for nobody
    expect((await refreshAt(provider.issuer, token, by(FIRST))).status).toBe(401);
    await grant.release();
    const { status, body } = await refreshing;
    expect(status).toBe(200);
    const next = body.refresh_token ?? '';
    expect((await refreshAt(provider.issuer, next, by(FIRST))).status).toBe(401);
    expect((await refreshAt(provider.issuer, next, by(SECOND))).status).toBe(200);
  });
});

describe('a client that is disabled', () => {
  beforeEach(reset);

  test('is refused with the reason, keeps what it has, and goes on once it is enabled', async () => {
    const token = await newFamily(provider.issuer, by(FIRST));
    const { access_token: access = '', refresh_token: held = '' } = (
      await refreshAt(provider.issuer, token, by(FIRST))
    ).body;
    const introspected = async () =>
      (await post(`${provider.issuer}/introspect`, { token: access }, by(FIRST, 'api'))).body;
    const userinfo = async () => {
      const headers = { authorization: `Bearer ${access}` };
      return (await fetch(`${provider.issuer}/userinfo`, { headers })).status;
    };
    expect(await introspected()).toMatchObject({ active: true });
    expect(await userinfo()).toBe(200);
    expect(await disable('under repair until Monday')).toBe(true);

    const refused = {
      error: 'unauthorized_client',
      error_description: 'the application is disabled: under repair until Monday',
    };
    const answer = await refreshAt(provider.issuer, held, by(FIRST));
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 400, body: refused });
    const { email: username, password } = person;
    const form = { grant_type: 'password', username, password, scope: 'openid' };
    expect((await post(`${provider.issuer}/token`, form, by(FIRST))).body).toEqual(refused);
    expect(await introspected()).toEqual({ active: false });
    expect(await userinfo()).toBe(401);
    const agent = new Agent(provider.issuer);
    const { url } = await authorizationRequest(await discover(provider.issuer));
    const page = await agent.open(url);
    expect(page.away).toBeUndefined();
    expect(page.status).toBe(400);
    expect(page.html.querySelector('h1')?.text).toBe('The application is switched off');
    expect(page.html.querySelector('main')?.text).toContain('under repair until Monday');

    expect(await disable(null)).toBe(true);
    expect((await refreshAt(provider.issuer, held, by(FIRST))).status).toBe(200);
    expect(await introspected()).toMatchObject({ active: true });
    expect((await agent.authorize(url)).searchParams.get('code')).not.toBeNull();
    expect(await setDisabled(provider.storage.prisma, 'nobody', '')).toBe(false);
  });

  test('is inactive at every door with all that it holds, and may give it back', async () => {
    const { issuer, storage } = provider;
    const token = async (form: Record<string, string>) =>
      (await post(`${issuer}/token`, form, by(FIRST))).body.access_token ?? '';
    const itsOwn = await token({ grant_type: 'client_credentials' });
    const held = await newFamily(issuer, by(FIRST));
    const { access_token: access = '', refresh_token: next = '' } = (
      await refreshAt(issuer, held, by(FIRST))
    ).body;
    const asked = async (value: string, hint?: string) =>
      (
        await post(
          `${issuer}/introspect`,
          { token: value, ...(hint === undefined ? {} : { token_type_hint: hint }) },
          by(FIRST, 'api'),
        )
      ).body;
    for (const one of [itsOwn, access]) expect(await asked(one)).toMatchObject({ active: true });
    await disable('');
    try {
      for (const one of [itsOwn, access, next])
        for (const hint of [undefined, 'access_token', 'client_credentials', 'refresh_token'])
          expect(await asked(one, hint)).toEqual({ active: false });
      expect((await post(`${issuer}/revoke`, { token: access }, by(FIRST))).status).toBe(200);
      expect((await post(`${issuer}/revoke`, { token: itsOwn }, by(FIRST))).status).toBe(200);
      const artifacts = { where: { clientId: 'web', model: { in: ['ClientCredentials'] } } };
      expect(await storage.prisma.artifact.count(artifacts)).toBe(0);
    } finally {
      await disable(null);
    }
    expect(await asked(access)).toEqual({ active: false });
    expect((await refreshAt(issuer, next, by(FIRST))).body.error).toBe('invalid_grant');
  });

  test('its devices and its requests to people are not let in meanwhile', async () => {
    const { issuer } = provider;
    const tv = { client_id: 'tv' };
    const started = await post(`${issuer}/device_authorization`, { scope: 'openid' }, tv);
    const { user_code: code, verification_uri_complete: at } = started.body as unknown as Record<
      'user_code' | 'verification_uri_complete',
      string
    >;
    const agent = new Agent(issuer);
    const form = { scope: 'openid', login_hint: person.email };
    const asked = await post(`${issuer}/backchannel_authentication`, form, by(FIRST));
    expect(asked.status).toBe(200);
    const waiting = async () =>
      (await agent.open(`${issuer}/approve`)).html.querySelectorAll('form[action*="/approve/"]')
        .length;
    const page = await agent.open(`${issuer}/approve`);
    await agent.submit(page, person, /\/sign-in/);
    expect(await waiting()).toBe(1);
    for (const id of ['tv', 'web']) await setDisabled(provider.storage.prisma, id, 'on holiday');
    try {
      expect(await waiting()).toBe(0);
      const entered = await agent.open(at);
      const answer = await agent.submit(entered, { user_code: code });
      expect(answer.html.querySelector('h1')?.text).toBe('The application is switched off');
      expect(answer.html.querySelector('main')?.text).toContain('on holiday');
    } finally {
      for (const id of ['tv', 'web']) await setDisabled(provider.storage.prisma, id, null);
    }
    expect(await waiting()).toBe(1);
  });

  test('while a person is at its page: the answer is an error page, too', async () => {
    const agent = new Agent(provider.issuer);
    const { url } = await authorizationRequest(await discover(provider.issuer));
    const page = await agent.open(url);
    await disable('');
    try {
      const answer = await agent.submit(page, person, /\/sign-in/);
      expect(answer.away).toBeUndefined();
      expect(answer.html.querySelector('main')?.text).toContain('the application is disabled');
    } finally {
      await disable(null);
    }
  });
});
