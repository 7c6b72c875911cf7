import { createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { Keyring, SealError, keptSecret } from '../../src/keys/keyring.ts';
import { makeKey } from '../../src/keys/signing-keys.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { createDatabase } from '../support/database.ts';
import { run } from '../support/process.ts';

const ONE = 'one secret that is long enough to be one';
const TWO = 'two secrets are better than a single one';

describe('sealing', () => {
  const keyring = new Keyring([ONE]);

  test('opens what was sealed, in its own place only', () => {
    const sealed = keyring.seal('here', 'text');
    expect(keyring.unseal('here', sealed)).toBe('text');
    expect(() => keyring.unseal('there', sealed)).toThrow(SealError);
    expect(Buffer.from(keyring.seal('here', 'text')).equals(Buffer.from(sealed))).toBe(false);
  });

  test('notices every changed byte, and a cut', () => {
    const sealed = keyring.seal('here', 'text');
    for (let index = 0; index < sealed.length; index++) {
      const altered = new Uint8Array(sealed);
      altered[index] = (altered[index] ?? 0) ^ 1;
      expect(() => keyring.unseal('here', altered)).toThrow(SealError);
    }
    for (let length = 0; length < sealed.length; length++)
      expect(() => keyring.unseal('here', sealed.subarray(0, length))).toThrow(SealError);
  });

  test('every process has a key of its own, and opens what another has sealed', () => {
    const other = new Keyring([ONE]);
    const sealed = other.seal('here', 'text');
    expect(keyring.unseal('here', sealed)).toBe('text');
    const salt = (from: Uint8Array) => Buffer.from(from.subarray(0, 16)).toString('hex');
    expect(salt(sealed)).not.toBe(salt(keyring.seal('here', 'text')));
    expect(salt(sealed)).toBe(salt(other.seal('here', 'another')));
  });

  test('a key is not used for too many texts', () => {
    const often = new Keyring([ONE], 3);
    const sealed = Array.from({ length: 7 }, (_, index) => often.seal('here', `text ${index}`));
    const salts = sealed.map((one) => Buffer.from(one.subarray(0, 16)).toString('hex'));
    expect(salts.map((salt) => salts.indexOf(salt))).toEqual([0, 0, 0, 3, 3, 3, 6]);
    expect(sealed.map((one) => keyring.unseal('here', one))).toEqual(
      sealed.map((_, index) => `text ${index}`),
    );
  });

  test('no two texts have the same IV (NIST SP 800-38D §8)', () => {
    const ivs = Array.from({ length: 1000 }, () => keyring.seal('here', 'text').slice(16, 28));
    expect(new Set(ivs.map((iv) => Buffer.from(iv).toString('hex'))).size).toBe(1000);
  });

  test('what was sealed under a key of its own, as once, still opens, and is sealed anew', () => {
    const sealed = Buffer.from(
      '7ce817fdccd76e222159ff1addf0213a18ec59c5f75bab7793c0bc4e69d52af8',
      'hex',
    );
    expect(keyring.unseal('here', sealed)).toBe('text');
    expect(() => keyring.unseal('there', sealed)).toThrow(SealError);
    expect(() => new Keyring([TWO]).unseal('here', sealed)).toThrow(SealError);
    const anew = keyring.reseal('here', sealed);
    expect(anew && keyring.unseal('here', anew)).toBe('text');
    expect(anew && keyring.reseal('here', anew)).toBeUndefined();
  });

  test('a former secret still opens; without it the error says what to do', () => {
    const sealed = keyring.seal('here', 'text');
    expect(new Keyring([TWO, ONE]).unseal('here', sealed)).toBe('text');
    expect(() => new Keyring([TWO]).unseal('here', sealed)).toThrow('Add the former secret');
  });
});

test('keys for one purpose are not those for another, nor under another secret', () => {
  const keyring = new Keyring([ONE, TWO]);
  const macs = (['refresh', 'lookup', 'form', 'setup', 'cookie', 'dpop', 'seal'] as const).flatMap(
    (purpose) => keyring.macs(purpose, 'text').map((mac) => mac.toString('hex')),
  );
  expect(new Set(macs).size).toBe(14);
});

test('the kept secret is made once, by however many processes, for the owner’s eyes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'symbolon-secret-'));
  const script = `import('./src/keys/keyring.ts').then(({ keptSecret }) => console.log(keptSecret(process.argv[1])))`;
  const results = await Promise.all(
    [1, 2, 3, 4].map(() => run(['-e', script, join(folder, 'data')], {})),
  );
  expect(new Set(results.map(({ stdout }) => stdout)).size).toBe(1);
  const file = join(folder, 'data', 'secret');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'data')).mode & 0o777).toBe(0o700);
  expect(keptSecret(join(folder, 'data'))).toBe(readFileSync(file, 'utf8').trim());
  expect(Buffer.byteLength(keptSecret(join(folder, 'data')))).toBeGreaterThanOrEqual(32);
  rmSync(folder, { recursive: true });
});

test('signing keys are made once, and not readable in the database', async () => {
  const database = await createDatabase();
  const prisma = connect(database.url);
  const keyring = new Keyring([ONE]);
  const sets = await Promise.all([1, 2, 3].map(() => signingKeys(prisma, keyring)));
  expect(new Set(sets.map((set) => JSON.stringify(set))).size).toBe(1);
  const algorithms = sets[0]?.keys.map(({ alg }) => alg);
  expect(algorithms?.slice(0, 4).sort()).toEqual(['ES256', 'EdDSA', 'PS256', 'RS256']);
  expect(algorithms?.slice(4).sort()).toEqual(['ES256', 'EdDSA', 'PS256', 'RS256']);
  for (const key of sets[0]?.keys ?? []) expect(key.kid).toBe(await calculateJwkThumbprint(key));
  const rows = await prisma.$queryRaw<{ text: string; sealed: Uint8Array }[]>`
    SELECT signing_key::text AS text, sealed FROM signing_key`;
  expect(rows).toHaveLength(8);
  for (const { d = '', kid, ...key } of sets[0]?.keys ?? []) {
    for (const { text, sealed } of rows) {
      expect(text).not.toContain(d);
      expect(Buffer.from(sealed).includes(d)).toBe(false);
    }
    const published = createPublicKey({ key: { ...key, d }, format: 'jwk' }).export({
      format: 'jwk',
    });
    expect(published).not.toHaveProperty('d');
    expect(await calculateJwkThumbprint(published)).toBe(kid);
  }
  await prisma.$disconnect();
  await database.drop();
});

// One thumbprint in 64 would.
test('no key’s id starts with a hyphen', async () => {
  const keyring = new Keyring([ONE]);
  const made = Array.from({ length: 500 }, () => makeKey(keyring, 'EdDSA', new Date()));
  for (const { kid } of await Promise.all(made)) expect(kid).not.toMatch(/^-/);
});
