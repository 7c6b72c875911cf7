// Which algorithms have keys is a setting. Older libraries cannot read a JWKS with EdDSA keys; what was registered with
// EdDSA before goes on.
import { afterEach, expect, test } from 'vitest';
import { keySchedule } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { maintainKeys } from '../../src/keys/signing-keys.ts';
import { Party, answerOf } from '../conformance/party.ts';
import { run } from '../support/process.ts';
import { type TestProvider, secret, startProvider, webClient } from '../support/provider.ts';

const ALL = 'RS256,ES256,PS256,EdDSA';
const listed = 'id_token_signing_alg_values_supported';

let provider: TestProvider;
let isOpen = false;
afterEach(async () => {
  if (isOpen) await provider.close();
  isOpen = false;
});
const start = async (algorithms?: string) => {
  provider = await startProvider({
    environment: {
      SYMBOLON_REGISTRATION: 'open',
      ...(algorithms === undefined ? {} : { SYMBOLON_SIGNING_ALGORITHMS: algorithms }),
    },
  });
  isOpen = true;
};
const published = async (party = new Party(provider, webClient)) => ({
  types: [...new Set((await party.jwks()).keys.map(({ kty }) => kty))].sort(),
  algorithms: ((await party.discovery())[listed] as string[]).toSorted(),
});
/** The keys as a process with these algorithms leaves them, so many days from now. */
const maintain = async (algorithms: string, days = 0) => {
  const { prisma, keyring } = provider.storage;
  const config = readConfig({ SYMBOLON_SIGNING_ALGORITHMS: algorithms });
  const now = new Date(Date.now() + days * 86_400_000);
  await maintainKeys(prisma, keyring, now, keySchedule(config));
  await provider.keyRotation.look();
};
const keysOf = (alg: string) => provider.storage.prisma.signingKey.count({ where: { alg } });
const register = async (metadata: object) =>
  answerOf(
    await fetch(`${provider.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://app.example/callback'], ...metadata }),
    }),
  );

test('RS256, ES256 and PS256 by default: no key that an older library cannot read', async () => {
  await start();
  expect(await published()).toEqual({
    types: ['EC', 'RSA'],
    algorithms: ['ES256', 'PS256', 'RS256'],
  });
});

test('a client that asks for an algorithm without keys is told which there are', async () => {
  await start();
  for (const member of [
    'id_token_signed_response_alg',
    'userinfo_signed_response_alg',
    'introspection_signed_response_alg',
    'authorization_signed_response_alg',
  ]) {
    const { status, body } = await register({ [member]: 'EdDSA' });
    expect({ status, error: body['error'] }).toEqual({
      status: 400,
      error: 'invalid_client_metadata',
    });
    const told = String(body['error_description']);
    expect(told).toMatch(new RegExp(`^${member} must be `));
    expect(told.match(/'\w+'/g)?.sort()).toEqual(["'ES256'", "'PS256'", "'RS256'"]);
  }
  const environment = { DATABASE_URL: provider.databaseUrl, SYMBOLON_SECRET: secret };
  const refused = await run(
    ['src/cli.ts', 'resource', 'add', 'https://api.example', '--alg', 'EdDSA'],
    environment,
  );
  expect(refused.stderr).toContain('EdDSA has no keys here (SYMBOLON_SIGNING_ALGORITHMS)');
});

test('with EdDSA in the setting, it signs', async () => {
  await start(ALL);
  expect((await published()).types).toEqual(['EC', 'OKP', 'RSA']);
  const { body } = await register({ id_token_signed_response_alg: 'EdDSA' });
  const party = new Party(provider, body as never);
  expect((await party.tokens()).idToken.header.alg).toBe('EdDSA');
});

test('withdrawn, its keys sign no more, stay as long as what they signed may live, and go', async () => {
  await start(ALL);
  expect(await keysOf('EdDSA')).toBe(2);
  await maintain('RS256,ES256,PS256');
  // The next one has signed nothing; the other is published still.
  expect(await keysOf('EdDSA')).toBe(1);
  expect(await published()).toEqual({
    types: ['EC', 'OKP', 'RSA'],
    algorithms: ['ES256', 'PS256', 'RS256'],
  });
  await maintain('RS256,ES256,PS256', 13);
  expect(await keysOf('EdDSA')).toBe(1);
  await maintain('RS256,ES256,PS256', 15);
  expect(await keysOf('EdDSA')).toBe(0);
  expect((await published()).types).toEqual(['EC', 'RSA']);
});

test('wanted again, it gets new keys', async () => {
  await start(ALL);
  await maintain('RS256,ES256,PS256');
  await maintain(ALL);
  expect(await keysOf('EdDSA')).toBe(3);
  expect((await published()).algorithms).toContain('EdDSA');
});

test.each([
  ['a client', 'id_token_signed_response_alg'],
  ['a client', 'userinfo_signed_response_alg'],
  ['a resource', 'alg'],
])('what %s has registered before (%s) goes on, until nobody asks for it', async (what, member) => {
  await start(ALL);
  const { prisma } = provider.storage;
  const client = { ...webClient, client_id: 'old' };
  await provider.addClient(what === 'a client' ? { ...client, [member]: 'EdDSA' } : client);
  const resource = 'https://api.example';
  if (what === 'a resource')
    await prisma.resource.create({ data: { id: resource, scopes: {}, alg: 'EdDSA' } });
  await maintain('RS256,ES256,PS256');
  expect(await keysOf('EdDSA')).toBe(2);
  const party = new Party(provider, client);
  const tokens = await party.tokens(what === 'a resource' ? { resource } : {});
  if (member === 'id_token_signed_response_alg') expect(tokens.idToken.header.alg).toBe('EdDSA');
  await prisma.client.deleteMany({ where: { id: 'old' } });
  await prisma.resource.deleteMany();
  await maintain('RS256,ES256,PS256');
  expect(await keysOf('EdDSA')).toBe(1);
});

test.each(['ES256,PS256', 'RS256,RS512', 'none', ','])('the setting "%s" is refused', (value) => {
  expect(() => readConfig({ SYMBOLON_SIGNING_ALGORITHMS: value })).toThrow(
    /SYMBOLON_SIGNING_ALGORITHMS/,
  );
});
