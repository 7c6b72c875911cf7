// What clients that register themselves, or come as documents, must not get; found by a review.
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { registrantOf } from '../../src/provider/registration.ts';
import { changeRegisteredClient } from '../../src/storage/clients.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { type Json, Party, answerOf, pkce } from '../conformance/party.ts';
import { familyIdOf } from '../support/token-endpoint.ts';

const redirect = 'https://app.example/callback';
const API = 'https://api.example';
const CIBA = 'urn:openid:params:grant-type:ciba';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: {
      SYMBOLON_REGISTRATION: 'open',
      SYMBOLON_ENABLE_CIBA: 'true',
      SYMBOLON_AUTHORIZATION_DETAILS_TYPES: 'payment',
    },
  });
  await provider.storage.prisma.resource.create({ data: { id: API, scopes: { read: '' } } });
});
afterEach(() => vi.useRealTimers());
afterAll(() => provider.close());

const register = async (metadata: unknown, issuer = provider.issuer, token?: string) =>
  answerOf(
    await fetch(`${issuer}/register`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(metadata),
    }),
  );
const manage = async (registration: Json, metadata: Json) =>
  answerOf(
    await fetch(String(registration['registration_client_uri']), {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${String(registration['registration_access_token'])}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(metadata),
    }),
  );

test('a document’s scheme may be in capitals, and its limits hold', () => {
  const rules = registrantOf({ ...provider.config, clientIdMetadataDocuments: true });
  for (const id of ['https://app.example/x', 'HTTPS://app.example/x', 'hTTps://app.example/x']) {
    expect(rules(undefined, { client_id: id })).toBe('alone');
    const greedy = { client_id: id, grant_types: ['client_credentials'] };
    expect(() => rules(undefined, greedy)).toThrow();
    expect(() => rules(undefined, { client_id: id, grant_types: [CIBA] })).toThrow();
  }
  expect(rules(undefined, { client_id: 'notes' })).toBeUndefined();
});

describe('registration', () => {
  test.each([
    { grant_types: 'x' },
    { grant_types: 5 },
    { grant_types: null },
    { redirect_uris: 5 },
    { redirect_uris: [5] },
    { redirect_uris: ['no URI'], subject_type: 'pairwise' },
    { response_types: 'code' },
    { security_profile: 'fapi2', response_types: 'code' },
    { security_profile: 'fapi2', redirect_uris: 5 },
    { security_profile: 5 },
    { jwks: 5 },
    { jwks: { keys: [5] } },
    { default_max_age: 'x' },
    [],
    'x',
    null,
  ])('of %j is refused, and no fault of ours', async (metadata) => {
    const before = await provider.storage.prisma.client.count();
    const { status } = await register(
      metadata !== null && typeof metadata === 'object' && !Array.isArray(metadata)
        ? { redirect_uris: [redirect], token_endpoint_auth_method: 'private_key_jwt', ...metadata }
        : metadata,
    );
    expect(status).toBe(400);
    expect(await provider.storage.prisma.client.count()).toBe(before);
  });

  test('rotation: no looser than the server’s', async () => {
    for (const refresh_token_rotation of ['unless_sender_constrained', 'never'])
      expect((await register({ redirect_uris: [redirect], refresh_token_rotation })).status).toBe(
        400,
      );
  });

  test('what an operator has restricted it to stays, whether the client sends it or not', async () => {
    const { body } = await register({ redirect_uris: [redirect] });
    const id = String(body['client_id']);
    const { prisma } = provider.storage;
    await prisma.$executeRaw`
      UPDATE client SET metadata = metadata || '{"allowed_groups": ["staff"], "minimum_acr": "2fa"}'
      WHERE id = ${id}`;
    const secret = { client_id: id, client_secret: body['client_secret'] };
    const wanted = { ...secret, redirect_uris: [redirect], client_name: 'Notes' };
    const restrictions = { allowed_groups: ['staff'], minimum_acr: '2fa' };
    const first = await manage(body, wanted);
    expect(first.status).toBe(200);
    const kept = async () => (await prisma.client.findUniqueOrThrow({ where: { id } })).metadata;
    expect(await kept()).toMatchObject({ client_name: 'Notes', ...restrictions });
    const as = { ...body, registration_access_token: first.body['registration_access_token'] };
    const second = await manage(as, { ...wanted, ...restrictions, client_name: 'Other' });
    expect(second.status).toBe(200);
    expect(await kept()).toMatchObject({ client_name: 'Other', ...restrictions });
    const again = { ...body, registration_access_token: second.body['registration_access_token'] };
    const other = await manage(again, { ...wanted, allowed_groups: ['guests'] });
    expect(other.status).toBe(400);
  });

  test('what an operator alone may give is not to be had by invitation, nor by a change', async () => {
    const invited = await startProvider({ environment: { SYMBOLON_REGISTRATION: 'token' } });
    let token = '';
    await runUnit(invited.storage, commandLine, async () => {
      const { InitialAccessToken } = invited.engine.provider;
      token = await new InitialAccessToken({ expiresIn: 60 }).save();
    });
    const metadata = { redirect_uris: [redirect] };
    const privileged = [
      { grant_types: ['client_credentials'], response_types: [] },
      { resource_scopes: { [API]: ['read'] } },
      { first_party: true },
      { required_scopes: 'openid email offline_access' },
    ];
    for (const more of privileged)
      expect((await register({ ...metadata, ...more }, invited.issuer, token)).status).toBe(400);
    const { body } = await register(metadata, invited.issuer, token);
    for (const more of privileged) {
      const id = body['client_id'];
      expect((await manage(body, { ...metadata, client_id: id, ...more })).status).toBe(400);
    }
    await invited.close();
  });

  test('CIBA, which writes to people, is not to be had by nobody’s permission, nor by a change', async () => {
    const metadata = { redirect_uris: [redirect] };
    const asking = {
      redirect_uris: [],
      response_types: [],
      grant_types: [CIBA],
      backchannel_token_delivery_mode: 'poll',
    };
    const refused = await register(asking);
    expect({ status: refused.status, error: refused.body['error'] }).toEqual({
      status: 400,
      error: 'invalid_client_metadata',
    });
    expect(refused.body['error_description']).toContain(CIBA);
    const { body } = await register(metadata);
    const change = await manage(body, { ...asking, client_id: body['client_id'] });
    expect(change.body['error_description']).toContain(CIBA);

    const invited = await startProvider({
      environment: { SYMBOLON_REGISTRATION: 'token', SYMBOLON_ENABLE_CIBA: 'true' },
    });
    let token = '';
    await runUnit(invited.storage, commandLine, async () => {
      const { InitialAccessToken } = invited.engine.provider;
      token = await new InitialAccessToken({ expiresIn: 60 }).save();
    });
    const { status } = await register(asking, invited.issuer, token);
    await invited.close();
    expect(status).toBe(201);
  });

  test('a client that was removed while it changed itself stays removed', async () => {
    const { prisma, keyring } = provider.storage;
    const metadata = { client_id: 'gone', redirect_uris: [redirect] };
    await expect(changeRegisteredClient(prisma, keyring, metadata, metadata)).rejects.toMatchObject(
      { error: 'invalid_token' },
    );
    expect(await prisma.client.findUnique({ where: { id: 'gone' } })).toBeNull();
  });
});

describe('authorization details that nobody granted', () => {
  const details = JSON.stringify([{ type: 'payment', amount: '1000' }]);

  test('are not to be had with a code, nor at a refresh', async () => {
    const client = { ...webClient, client_id: 'payer', authorization_details_types: ['payment'] };
    await provider.addClient(client);
    const party = new Party(provider, client);
    const request = { scope: 'openid offline_access read', resource: API };
    const { code } = await party.authorize(request);
    const more = { authorization_details: details, resource: API };
    const refused = await party.exchange(code ?? '', more);
    expect(refused.body['error']).toBe('invalid_authorization_details');
    const tokens = await party.tokens(request);
    const refreshed = await party.token({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
      ...more,
    });
    expect(refreshed.body['error']).toBe('invalid_authorization_details');
    expect(decodeJwt(tokens.access_token)).not.toHaveProperty('authorization_details');
  });

  test('and not by CIBA, whose page does not show them', async () => {
    const client = {
      ...webClient,
      client_id: 'asker',
      grant_types: [CIBA],
      response_types: [],
      redirect_uris: [],
      post_logout_redirect_uris: [],
      backchannel_token_delivery_mode: 'poll',
      authorization_details_types: ['payment'],
    };
    await provider.addClient(client);
    const party = new Party(provider, client);
    const { status, body } = await party.post('/backchannel_authentication', {
      scope: 'openid',
      login_hint: person.email,
      resource: API,
      authorization_details: details,
    });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'invalid_authorization_details',
    });
  });
});

test('CIBA: claims that are asked for are shown', async () => {
  const client = {
    ...webClient,
    client_id: 'curious',
    grant_types: [CIBA],
    response_types: [],
    redirect_uris: [],
    post_logout_redirect_uris: [],
    backchannel_token_delivery_mode: 'poll',
  };
  await provider.addClient(client);
  const started = await new Party(provider, client).post('/backchannel_authentication', {
    scope: 'openid',
    login_hint: person.email,
    claims: JSON.stringify({ userinfo: { email: null, given_name: null } }),
  });
  expect(started.status).toBe(200);
  const agent = new Agent(provider.issuer);
  const page = await agent.open(`${provider.issuer}/approve`);
  const list = await agent.submit(page, { email: person.email, password: person.password });
  expect(list.html.text).toContain('See your e-mail address');
  expect(list.html.text).toContain('given_name');
});

test('a consent without offline access leaves the time that was set for it', async () => {
  const party = new Party(provider, webClient);
  const agent = party.agent;
  const page = await agent.open(party.request({ scope: 'openid offline_access' }));
  const consent = await agent.submit(
    page,
    { email: person.email, password: person.password },
    /sign-in$/,
  );
  await agent.submit(consent, { duration: '86400' }, /consent$/);
  await party.authorize({ scope: 'openid email' });
  const tokens = await party.tokens({ scope: 'openid offline_access', prompt: 'none' });
  const family = await provider.storage.prisma.refreshFamily.findUniqueOrThrow({
    where: { id: familyIdOf(tokens.refresh_token ?? '') },
  });
  expect(family.consentExpiresAt).not.toBeNull();
});

test('refused requests of documents write no client', async () => {
  const documents = await startProvider({
    environment: { SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS: 'true' },
  });
  const before = await documents.storage.prisma.client.count();
  const { code_challenge } = pkce();
  await fetch(
    `${documents.issuer}/authorize?${new URLSearchParams({ client_id: `https://${randomUUID()}.example/x`, response_type: 'code', scope: 'openid', code_challenge }).toString()}`,
  );
  expect(await documents.storage.prisma.client.count()).toBe(before);
  await documents.close();
});
