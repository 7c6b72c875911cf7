// Hashes of passwords that were made elsewhere: what an import takes, and what a hashing thread compares with a password.
// They are kept in the PHC string format, bcrypt's in its own; nothing is hashed like this here, and each is replaced at
// the next sign-in (raiseHash in accounts.ts).
import { createCipheriv, pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto';
import { compareSync } from 'bcryptjs';
import { unpadded } from './node-argon2.ts';

// A hash that costs more would keep a thread for seconds, or the process's memory, with every guess at it.
const MOST_MEMORY = 256 * 1024 * 1024; // bytes
const MOST_ITERATIONS = 10_000_000; // of PBKDF2
const MOST_PASSES = 32; // of argon2
const MOST_BCRYPT = 15; // log2 of its rounds
const SHORTEST = 16; // bytes of a hash

type Compare = (password: string) => boolean;

interface Algorithm {
  readonly form: RegExp;
  /** How to compare a password with such a hash. @returns why it will not do, instead */
  readonly read: (groups: Readonly<Record<string, string>>, stored: string) => Compare | string;
}

const base64 = (name: string) => `(?<${name}>[\\w+/.-]+={0,2})`;

const algorithms: readonly Algorithm[] = [
  {
    form: /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/,
    read: ({ cost }, stored) =>
      Number(cost) > MOST_BCRYPT
        ? `bcrypt with a cost over ${MOST_BCRYPT} takes too long`
        : (password) => compareSync(password, stored),
  },
  {
    form: new RegExp(
      `^\\$scrypt\\$ln=(?<ln>\\d\\d?),r=(?<r>\\d+),p=(?<p>\\d+)\\$${base64('salt')}\\$${base64('hash')}$`,
    ),
    read: ({ ln, r, p, salt, hash }) => {
      const costs = scryptCosts(Number(ln), Number(r), Number(p));
      if (typeof costs === 'string') return costs;
      return (password) =>
        isSame(hash, (length) => scryptSync(password, bytes(salt), length, costs));
    },
  },
  {
    form: new RegExp(
      `^\\$pbkdf2-(?<digest>sha1|sha256|sha512)\\$i=(?<i>\\d+)\\$${base64('salt')}\\$${base64('hash')}$`,
    ),
    read: ({ digest = '', i, salt, hash }) =>
      Number(i) < 1 || Number(i) > MOST_ITERATIONS
        ? `PBKDF2 takes 1 to ${MOST_ITERATIONS} iterations here`
        : (password) =>
            isSame(hash, (length) => pbkdf2Sync(password, bytes(salt), Number(i), length, digest)),
  },
  {
    // Of Firebase Authentication: the project's signer key, encrypted under what scrypt makes of the password.
    form: new RegExp(
      `^\\$firebase-scrypt\\$ln=(?<ln>\\d\\d?),r=(?<r>\\d+)\\$${base64('separator')}\\$${base64('signer')}\\$${base64('salt')}\\$${base64('hash')}$`,
    ),
    read: ({ ln, r, separator, signer, salt, hash }) => {
      const costs = scryptCosts(Number(ln), Number(r), 1);
      if (typeof costs === 'string') return costs;
      return (password) => {
        const key = scryptSync(password, Buffer.concat([bytes(salt), bytes(separator)]), 32, costs);
        const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
        return isSame(hash, () => Buffer.concat([cipher.update(bytes(signer)), cipher.final()]));
      };
    },
  },
];

/**
 * Compares a password with a hash from elsewhere.
 *
 * @returns undefined when the hash is none of those: argon2's are compared by its library
 */
export function compareForeign(stored: string, password: string): boolean | undefined {
  const compare = compareOf(stored);
  return typeof compare === 'function' ? compare(password) : undefined;
}

/**
 * The hash as it is kept.
 *
 * @param text argon2, scrypt or PBKDF2 in PHC string format, bcrypt and PBKDF2 in modular crypt format, or Django's PBKDF2
 * @throws {Error} whose message says what is taken, or what costs too much
 */
export function foreignHash(text: string): string {
  const stored = rewritten(text);
  const argon2 = /^\$argon2(?:id|i|d)\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$[\w+/]+\$[\w+/]+$/.exec(
    stored,
  );
  if (argon2) {
    const [m, t, p] = argon2.slice(1).map(Number) as [number, number, number];
    if (m * 1024 > MOST_MEMORY || t > MOST_PASSES || p > 16 || t < 1 || p < 1 || m < 8 * p)
      throw new Error(
        `argon2 takes at most 256 MiB of memory, ${MOST_PASSES} passes and 16 lanes here`,
      );
    return stored;
  }
  const compare = compareOf(stored);
  if (typeof compare === 'function') return stored;
  throw new Error(
    compare ??
      'the hash has none of the forms that are taken: argon2, scrypt or PBKDF2 ($…$), bcrypt ($2b$…), Django’s pbkdf2_…$, Firebase’s $firebase-scrypt$',
  );
}

function compareOf(stored: string): Compare | string | undefined {
  for (const { form, read } of algorithms) {
    const match = form.exec(stored);
    if (!match) continue;
    const groups = (match.groups ?? {}) as Record<string, string>;
    // An empty one would be every password's.
    if (groups['hash'] !== undefined && bytes(groups['hash']).length < SHORTEST)
      return `a hash has ${SHORTEST} bytes at least`;
    return read(groups, stored);
  }
  return undefined;
}

// Django writes pbkdf2_sha256$iterations$salt$hash, with the salt as text; passlib $pbkdf2-sha256$iterations$salt$hash, with
// a dot for a plus, and $pbkdf2$ for SHA-1.
function rewritten(text: string): string {
  const django = /^pbkdf2_(sha1|sha256)\$(\d+)\$([^$]+)\$([\w+/]+={0,2})$/.exec(text);
  if (django) {
    const [, digest, iterations, salt = '', hash] = django;
    return `$pbkdf2-${digest}$i=${iterations}$${unpadded(Buffer.from(salt))}$${hash}`;
  }
  const passlib = /^\$pbkdf2(-sha1|-sha256|-sha512)?\$(\d+)\$([\w+/.]+)\$([\w+/.]+)$/.exec(text);
  if (passlib) {
    const [, digest = '-sha1', iterations, salt = '', hash = ''] = passlib;
    return `$pbkdf2${digest}$i=${iterations}$${salt.replaceAll('.', '+')}$${hash.replaceAll('.', '+')}`;
  }
  return text.replace(/^(?:argon2|bcrypt)\$/, text.startsWith('argon2') ? '$' : '');
}

function scryptCosts(ln: number, r: number, p: number) {
  const memory = 128 * 2 ** ln * r;
  if (ln < 1 || r < 1 || p < 1 || p > 16 || memory > MOST_MEMORY)
    return 'scrypt takes at most 256 MiB of memory, and 16 times over, here';
  return { N: 2 ** ln, r, p, maxmem: 2 * MOST_MEMORY };
}

function isSame(stored: string | undefined, make: (length: number) => Uint8Array): boolean {
  const expected = bytes(stored);
  const made = make(expected.length);
  return made.length === expected.length && timingSafeEqual(made, expected);
}

/** Base64 of any kind. */
function bytes(text = ''): Buffer {
  return Buffer.from(text, 'base64');
}
