// Keys that sign at once: what they make is what everybody else verifies.
import { generateKeyPairSync } from 'node:crypto';
import { CompactSign, type JWK, compactVerify, importJWK } from 'jose';
import { ExternalSigningKey } from 'oidc-provider';
import { expect, test } from 'vitest';
import { signingKey } from '../../src/provider/signing.ts';

const pairs = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
};

function made(alg: keyof typeof pairs): { key: JWK; publicKey: JWK } {
  const { privateKey, publicKey } = pairs[alg]();
  const about = { kid: 'k', alg, use: 'sig' };
  return {
    key: { ...(privateKey.export({ format: 'jwk' }) as JWK), ...about },
    publicKey: { ...(publicKey.export({ format: 'jwk' }) as JWK), ...about },
  };
}

const base64url = (data: Uint8Array | string) => Buffer.from(data).toString('base64url');

// One in 128 signatures has an R or S that is shorter than 32 bytes, and half of them one with a zero before it.
test.each(['ES256', 'EdDSA'] as const)('%s: every signature verifies', async (alg) => {
  const { key, publicKey } = made(alg);
  const quick = signingKey(key) as ExternalSigningKey;
  expect(quick).toBeInstanceOf(ExternalSigningKey);
  const verifying = await importJWK(publicKey, alg);
  const lengths = new Set<number>();
  for (let count = 0; count < 1500; count++) {
    const input = `${base64url(JSON.stringify({ alg }))}.${base64url(`message ${count}`)}`;
    const signature = await quick.sign(Buffer.from(input));
    lengths.add(signature.length);
    await compactVerify(`${input}.${base64url(signature)}`, verifying);
  }
  expect([...lengths]).toEqual([64]);
});

test('what it tells of itself is public', () => {
  const { key, publicKey } = made('ES256');
  const quick = signingKey(key) as ExternalSigningKey;
  const { kty, crv, x, y, kid, alg, use } = quick;
  expect({ kty, crv, x, y, kid, alg, use }).toEqual(publicKey);
  expect(JSON.stringify(quick)).not.toContain(key.d);
});

test('RSA is left to the engine', async () => {
  const { key } = made('RS256');
  expect(signingKey(key as never)).toBe(key);
  await new CompactSign(Buffer.from('x')).setProtectedHeader({ alg: 'RS256' }).sign(key);
});
