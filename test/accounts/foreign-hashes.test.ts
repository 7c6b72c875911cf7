// Hashes that were made elsewhere: vectors of who made them, what is refused, and signing in with one.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { compareForeign, foreignHash } from '../../src/accounts/foreign-hashes.ts';
import { verifyPassword } from '../../src/accounts/hashing.ts';

// Python's standard library is another's work.
const python = (code: string) =>
  execFileSync('python3', ['-c', `import hashlib, base64\n${code}`], { encoding: 'utf8' }).trim();

const vectors: Record<string, readonly [hash: () => string, password: string]> = {
  // Of crypt_blowfish's own tests.
  bcrypt: [() => '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
  'bcrypt of PHP': [() => '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
  // Made by passlib 1.7.
  'PBKDF2 of passlib': [
    () => '$pbkdf2-sha256$6400$ac0555wzhrDWWislBCAE4A$0es0NkNA/QlR9DSMT.D5/cAtF4LyPwD/HoA1LK8S5r8',
    'password',
  ],
  // Of RFC 7914 §12, without the cheapest.
  scrypt: [
    () =>
      `$scrypt$ln=14,r=8,p=1$${Buffer.from('SodiumChloride').toString('base64')}$${Buffer.from('7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887', 'hex').toString('base64')}`,
    'pleaseletmein',
  ],
  // Of Firebase's own description of its scrypt.
  'scrypt of Firebase': [
    () =>
      '$firebase-scrypt$ln=14,r=8$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==',
    'user1password',
  ],
  'PBKDF2 of Django': [
    () =>
      python(
        `h = hashlib.pbkdf2_hmac('sha256', b'correct horse', b'seasalt', 260000)
print('pbkdf2_sha256$260000$seasalt$' + base64.b64encode(h).decode())`,
      ),
    'correct horse',
  ],
  'PBKDF2 of Keycloak, rewritten': [
    () =>
      python(
        `h = hashlib.pbkdf2_hmac('sha512', b'correct horse', b'0123456789abcdef', 210000, 64)
print('$pbkdf2-sha512$i=210000$' + base64.b64encode(b'0123456789abcdef').decode() + '$' + base64.b64encode(h).decode())`,
      ),
    'correct horse',
  ],
  // Of RFC 9106's reference implementation.
  argon2i: [
    () => '$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA',
    'password',
  ],
};

test.each(Object.entries(vectors))('%s', async (_name, [hash, password]) => {
  const stored = foreignHash(hash());
  expect(await verifyPassword(stored, password)).toBe(true);
  expect(await verifyPassword(stored, `${password}.`)).toBe(false);
  expect(await verifyPassword(stored, '')).toBe(false);
});

const refused: Record<string, readonly [hash: string, why: RegExp]> = {
  'a password': ['correct horse battery staple', /none of the forms/],
  nothing: ['', /none of the forms/],
  'MD5 in crypt': ['$1$salt$qJH7.N4xYta3aEG/dfqo/0', /none of the forms/],
  'argon2 without end': ['$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHQ$aGFzaA', /256 MiB/],
  'scrypt without end': [`$scrypt$ln=30,r=8,p=1$c2FsdA$${'A'.repeat(43)}`, /256 MiB/],
  'PBKDF2 without end': [`$pbkdf2-sha256$i=99999999999$c2FsdA$${'A'.repeat(43)}`, /iterations/],
  'PBKDF2 without a round': [`$pbkdf2-sha256$i=0$c2FsdA$${'A'.repeat(43)}`, /iterations/],
  'bcrypt without end': [`$2b$31$${'A'.repeat(53)}`, /too long/],
  // It would be everybody's.
  'an empty hash': ['$pbkdf2-sha256$i=1000$c2FsdA$A', /16 bytes/],
  'a short hash': [`$scrypt$ln=14,r=8,p=1$c2FsdA$${'A'.repeat(8)}`, /16 bytes/],
};

test.each(Object.entries(refused))('%s is refused', (_name, [hash, why]) => {
  expect(() => foreignHash(hash)).toThrow(why);
  expect(() => compareForeign(hash, '') && expect.unreachable()).not.toThrow();
});
