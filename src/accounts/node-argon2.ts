// argon2id in PHC string format by Node's own means, where @node-rs/argon2 is not installed. That takes about two and a half
// times as long.
import { type Argon2Algorithm, argon2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

/** OWASP's parameters, which are the library's defaults: KiB of memory, passes, lanes. A test holds the library to them. */
export const PARAMETERS = { m: 19_456, t: 2, p: 1 };

const SALT = 16; // bytes
const HASH = 32;

/** Hashes a password with {@link PARAMETERS} and a new salt. */
export function hashSync(password: string): string {
  const { m, t, p } = PARAMETERS;
  const salt = randomBytes(SALT);
  const hash = derive('argon2id', password, salt, PARAMETERS, HASH);
  return `$argon2id$v=19$m=${m},t=${t},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Compares a password with a hash, by the hash's own parameters. @throws {Error} when it is no hash of argon2 */
export function verifySync(stored: string, password: string): boolean {
  const parts = /^\$(argon2(?:id|i|d))\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(
    stored,
  );
  if (!parts) throw new Error('The stored password is no hash of argon2, version 1.3.');
  const [, algorithm, m, t, p, salt = '', hash = ''] = parts;
  const expected = Buffer.from(hash, 'base64');
  const parameters = { m: Number(m), t: Number(t), p: Number(p) };
  const salted = Buffer.from(salt, 'base64');
  const found = derive(algorithm as Argon2Algorithm, password, salted, parameters, expected.length);
  return timingSafeEqual(found, expected);
}

function derive(
  algorithm: Argon2Algorithm,
  message: string,
  nonce: Buffer,
  { m, t, p }: typeof PARAMETERS,
  tagLength: number,
): Buffer {
  const costs = { memory: m, passes: t, parallelism: p };
  return argon2Sync(algorithm, { message, nonce, tagLength, ...costs });
}

/** Base64 without its padding, as PHC strings have it. */
export function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
