// What a leaked database shows: nothing that could be used. A whole sign-in, a refresh, a device and a pushed request
// are run, every secret seen on the way is kept, and then every table is searched for it.
import { expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { secret, startProvider, person, webClient } from '../support/provider.ts';
import {
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
} from '../support/relying-party.ts';
import { post, secretOf } from '../support/token-endpoint.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { sha256 } from '../../src/keys/keyring.ts';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const jwtClient = {
  ...webClient,
  client_id: 'asserting',
  client_secret: 'a secret that is kept sealed as it is',
  token_endpoint_auth_method: 'client_secret_jwt',
};
const tv = {
  client_id: 'tv',
  client_secret: 'the secret of the television',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};

test('a leaked database holds no secret that was ever handed out', async () => {
  const provider = await startProvider({ clients: [webClient, jwtClient, tv] });
  const { prisma, keyring } = provider.storage;
  const secrets = new Set([
    secret,
    person.password,
    webClient.client_secret,
    jwtClient.client_secret,
    tv.client_secret,
  ]);
  const agent = new Agent(provider.issuer);
  const party = await discover(provider.issuer);

  const { url, finish } = await authorizationRequest(party);
  const page = await agent.open(url);
  secrets.add(page.url.pathname.split('/').at(-1) ?? ''); // the interaction
  const callback = await agent.authorize(url);
  secrets.add(callback.searchParams.get('code') ?? '');
  await agent.open((await authorizationRequest(party, { prompt: 'login' })).url); // leaves an interaction with a session in it
  for (const { value } of agent.cookies) secrets.add(value);
  const tokens = await finish(callback);
  const refreshed = await refresh(party, refreshTokenOf(tokens));
  for (const answer of [tokens, refreshed]) {
    secrets.add(answer.access_token);
    secrets.add(secretOf(answer.refresh_token ?? ''));
  }
  const unused = await new Agent(provider.issuer).authorize(
    (await authorizationRequest(party)).url,
  );
  secrets.add(unused.searchParams.get('code') ?? '');
  const device = (await post(`${provider.issuer}/device_authorization`, { scope: 'openid' }, tv))
    .body as unknown as Record<string, string>;
  secrets
    .add(device['device_code'] ?? '')
    .add(device['user_code'] ?? '')
    .add((device['user_code'] ?? '').replace('-', ''));
  const pushed = (await post(`${provider.issuer}/par`, Object.fromEntries(url.searchParams)))
    .body as unknown as Record<string, string>;
  secrets.add(pushed['request_uri']?.split(':').at(-1) ?? '');
  for (const key of (await signingKeys(prisma, keyring)).keys) secrets.add(key.d ?? '');
  secrets.delete('');
  expect(secrets.size).toBeGreaterThan(18);

  const tables = await prisma.$queryRaw<
    { name: string }[]
  >`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`;
  expect(tables.length).toBeGreaterThan(6);
  for (const { name } of tables) {
    const rows = await prisma.$queryRawUnsafe<{ text: string }[]>(
      `SELECT t::text AS text FROM "${name}" t`,
    );
    const bytes = rows.flatMap(({ text }) =>
      [...text.matchAll(/\\\\x([0-9a-f]+)/g)].map(([, hex = '']) =>
        Buffer.from(hex, 'hex').toString('latin1'),
      ),
    );
    const everything = [...rows.map(({ text }) => text), ...bytes].join('\n');
    for (const value of secrets) {
      for (const shape of [
        value,
        Buffer.from(value).toString('hex'),
        Buffer.from(value).toString('base64url'),
      ]) {
        expect(everything.includes(shape), `${name} holds ${value.slice(0, 4)}…`).toBe(false);
      }
    }
    // Short enough to be guessed from a plain hash.
    for (const guessable of [
      device['user_code'] ?? '',
      (device['user_code'] ?? '').replace('-', ''),
      person.password,
      webClient.client_secret,
    ]) {
      expect(everything).not.toContain(Buffer.from(sha256(guessable)).toString('hex'));
      expect(everything).not.toContain(
        Buffer.from(sha256(`DeviceCode:${guessable}`)).toString('hex'),
      );
    }
  }
  const [account] = await prisma.account.findMany();
  expect(account?.passwordHash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  await provider.close();
});
