// What a client signs to authenticate names the issuer alone, for five minutes at most (CVE-2025-27370); what it signs
// for a key (DPoP) is remembered for as long as it would be accepted (RFC 9449 §11.1).
import { randomUUID } from 'node:crypto';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestProvider, publicClient, startProvider } from '../support/provider.ts';
import { newFamily, post } from '../support/token-endpoint.ts';

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

let provider: TestProvider;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;

beforeAll(async () => {
  keys = await generateKeyPair('ES256', { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), use: 'sig', alg: 'ES256' }] };
  const keyed = {
    ...{ client_name: 'Keyed', jwks, token_endpoint_auth_method: 'private_key_jwt' },
    ...{ grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
  };
  const app = { ...publicClient, grant_types: [...publicClient.grant_types, 'password'] };
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [
      { ...keyed, client_id: 'keyed' },
      { ...keyed, client_id: 'spring', client_assertion_audience: 'token_endpoint' },
      app,
    ],
  });
});
afterAll(() => provider.close());

async function authenticate(id: string, claims: { aud: string | string[]; exp?: number }) {
  const now = Math.floor(Date.now() / 1000);
  const assertion = await new SignJWT({ exp: now + 60, ...claims, jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(id)
    .setSubject(id)
    .setIssuedAt()
    .sign(keys.privateKey);
  const form = {
    ...{ grant_type: 'client_credentials', client_assertion: assertion },
    client_assertion_type: ASSERTION,
  };
  return (await post(`${provider.issuer}/token`, form, { client_id: id })).status;
}

describe('an assertion', () => {
  test('names the issuer and nothing else', async () => {
    const { issuer } = provider;
    const token = `${issuer}/token`;
    expect(await authenticate('keyed', { aud: issuer })).toBe(200);
    expect(await authenticate('keyed', { aud: [issuer] })).toBe(200);
    for (const aud of [token, [issuer, token], [issuer, 'https://other.example'], [issuer, issuer]])
      expect(await authenticate('keyed', { aud }), String(aud)).toBe(401);
  });

  test('names the token endpoint and nothing else, of a client that is registered so', async () => {
    const { issuer } = provider;
    const token = `${issuer}/token`;
    expect(await authenticate('spring', { aud: token })).toBe(200);
    for (const aud of [issuer, [issuer, token], `${issuer}/par`])
      expect(await authenticate('spring', { aud }), String(aud)).toBe(401);
  });

  test('expires in five minutes at most', async () => {
    const aud = provider.issuer;
    const now = Math.floor(Date.now() / 1000);
    expect(await authenticate('keyed', { aud, exp: now + 290 })).toBe(200);
    for (const later of [400, 3600, 1e9])
      expect(await authenticate('keyed', { aud, exp: now + later }), String(later)).toBe(401);
  });
});

test('a DPoP proof that is dated ahead is remembered until nobody would take it', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const now = Math.floor(Date.now() / 1000);
  const jti = randomUUID();
  const proof = await new SignJWT({
    ...{ htm: 'POST', htu: `${provider.issuer}/token`, jti, iat: now + 250 },
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(publicKey) })
    .sign(privateKey);
  const refresh = (token: string) =>
    fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: { DPoP: proof },
      body: new URLSearchParams({
        ...{ grant_type: 'refresh_token', refresh_token: token, client_id: publicClient.client_id },
      }),
    });
  const token = await newFamily(provider.issuer, { client_id: publicClient.client_id });
  expect((await refresh(token)).status).toBe(200);
  const remembered = await provider.storage.prisma.artifact.findMany({
    where: { model: 'ReplayDetection' },
    orderBy: { expiresAt: 'desc' },
  });
  // It is accepted until 300 s after its date.
  expect(remembered[0]?.expiresAt.getTime()).toBeGreaterThanOrEqual((now + 250 + 300) * 1000);
});
