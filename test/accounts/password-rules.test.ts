// What a password may be, and that hashes become stronger without anybody losing a password.
import { hash } from '@node-rs/argon2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount, authenticate, raiseHash } from '../../src/accounts/accounts.ts';
import { isWeaker, verifyPassword } from '../../src/accounts/hashing.ts';
import { passwordProblem } from '../../src/accounts/password-rules.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { type TestProvider, person, startProvider } from '../support/provider.ts';
import { changePassword } from '../support/changes.ts';

const ada = { email: 'ada.lovelace@example.com', name: 'Ada Lovelace' };

const service = { issuer: 'https://id.analytical.example', theme: { name: 'Engine Works' } };

test.each<[string | undefined, ...string[]]>([
  ['account.password-too-short', '1234567', '🔑🔑🔑🔑🔑🔑🔑'],
  ['account.password-too-long', 'x'.repeat(257)],
  // common ones, and with the usual decorations
  ['account.password-common', 'password', 'PassWord1', 'Password1!', 'P@ssw0rd', 'p4$$w0rd!!2026'],
  [
    'account.password-common',
    'Passwort2026!!',
    '!!!password!!!',
    'Summer2026!',
    'Welcome123',
    'drowssap1',
  ],
  ['account.password-common', 'MyPassword123!', 'ILoveYou2026!', 'hunter2hunter2', 'monkey-2026'],
  ['account.password-common', 'contraseña1', 'пароль2026', 'パスワードパスワード', 'كلمةالسر1'],
  // with spaces, signs, and forms of letters that say the same
  [
    'account.password-common',
    'correct horse battery staple',
    'correcthorsebatterystaple',
    'password password',
    'p a s s w o r d',
    'ｐａｓｓｗｏｒｄ',
    'a       b',
  ],
  ['account.password-personal', 'ｓｙｍｂｏｌｏｎ', 'S y m b o l o n', 'sym-bol-on'],
  // repetitions and sequences
  [
    'account.password-common',
    'aaaaaaaa',
    '        ',
    '       !',
    '🔑'.repeat(256),
    'abababab',
    'abcabcabc',
  ],
  [
    'account.password-common',
    'aaaabbbb',
    'abcdefgh',
    '87654321',
    'abcdefgh'.repeat(32),
    '123123123',
    '01011990',
  ],
  // rows of a keyboard
  [
    'account.password-common',
    'qwertyuiop',
    'asdfghjkl1',
    '1qaz2wsx',
    'qwertzui',
    'azertyuiop',
    'йцукенгш',
    'ضصثقفغعه',
  ],
  // the person's own names
  ['account.password-personal', 'adalovelace', 'Ada-Lovelace-1815', 'lovelace1815', 'example-ada'],
  ['account.password-personal', 'ADA.LOVELACE@EXAMPLE.COM', 'LovelaceLovelace1!'],
  ['account.password-common', 'l0v3l4c3', 'ecalevol!'],
  // the product's, the operator's and the issuer's
  [
    'account.password-personal',
    'symbolon',
    'Symbolon1',
    'symbolonsymbolon',
    'Symbolon!2026',
    'engineworks',
    'Engine Works 1',
  ],
  ['account.password-personal', 'analytical', 'id.analytical.example', 'Analytical-1843'],
  ['account.password-common', '5ymb0l0n', 'nolobmys', '4n4lyt1c4l'],
  [
    undefined,
    'Lovelace wrote the first program',
    'correct horse battery',
    'purple elephant',
    'kJ8#mQ2x',
  ],
  [undefined, '🔑🗝️🔒🔓🚪🏠🪟🧱', 'tr0ub4dor&3', 'an engine of three wheels', 'größe über alles'],
])('%s: %j %j %j %j', async (problem, ...passwords) => {
  for (const password of passwords)
    expect(await passwordProblem(password, ada, service), password).toBe(problem);
});

test('a name of two letters is no reason', async () => {
  const owner = { email: 'x@y.zz', name: 'Li Bo' };
  expect(await passwordProblem('libo libo boli', owner, service)).toBeUndefined();
});

describe('wherever a password is set', () => {
  let provider: TestProvider;
  beforeAll(async () => {
    provider = await startProvider();
  });
  afterAll(() => provider.close());

  test('the rules hold', async () => {
    const { prisma } = provider.storage;
    for (const password of ['password', 'grace-hopper']) {
      const input = { email: 'grace@example.com', name: 'Grace Hopper', password };
      await expect(addAccount(prisma, input, { admin: false })).rejects.toMatchObject({
        name: 'AccountError',
        field: 'password',
      });
      const parts = { storage: provider.storage, config: provider.config, origin: commandLine };
      await expect(
        changePassword(parts, provider.accountId, password.replace('grace-hopper', 'lovelace1')),
      ).rejects.toMatchObject({ name: 'AccountError', field: 'password' });
    }
  });

  test('the same password counts however it was composed, and one hashed as it was typed too', async () => {
    const { prisma } = provider.storage;
    const composed = 'Größe über alles';
    await addAccount(
      prisma,
      { email: 'nfc@example.com', password: composed.normalize('NFD') },
      { admin: false },
    );
    expect(await authenticate(prisma, 'nfc@example.com', composed)).toBeDefined();
    expect(await authenticate(prisma, 'nfc@example.com', composed.normalize('NFD'))).toBeDefined();
    await prisma.account.update({
      where: { email: 'nfc@example.com' },
      data: { passwordHash: await hash(composed.normalize('NFD')) },
    });
    expect(await authenticate(prisma, 'nfc@example.com', composed.normalize('NFD'))).toBeDefined();
  });

  test('what follows the 256th character is not ignored', async () => {
    const { prisma } = provider.storage;
    const longest = 'a horse, a battery and a staple '.repeat(8);
    await addAccount(prisma, { email: 'long@example.com', password: longest }, { admin: false });
    expect(await authenticate(prisma, 'long@example.com', longest)).toBeDefined();
    expect(await authenticate(prisma, 'long@example.com', `${longest}x`)).toBeUndefined();
  });

  test('a weaker hash is raised by a sign-in, a stronger one stays', async () => {
    const { prisma } = provider.storage;
    const weak = await hash(person.password, { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    const strong = await hash(person.password, { memoryCost: 32_768, timeCost: 1 });
    expect([weak, strong].map(isWeaker)).toEqual([true, false]);
    const where = { email: person.email };
    const stored = async () => (await prisma.account.findUniqueOrThrow({ where })).passwordHash;

    await prisma.account.update({ where, data: { passwordHash: weak } });
    expect(await authenticate(prisma, person.email, 'wrong password')).toBeUndefined();
    expect(await stored()).toBe(weak);
    expect(await authenticate(prisma, person.email, person.password)).toBeDefined();
    const raised = await stored();
    expect(raised).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await verifyPassword(raised ?? '', person.password)).toBe(true);
    expect(await authenticate(prisma, person.email, person.password)).toBeDefined();
    expect(await stored()).toBe(raised);

    await prisma.account.update({ where, data: { passwordHash: strong } });
    expect(await authenticate(prisma, person.email, person.password)).toBeDefined();
    expect(await stored()).toBe(strong);
  });

  test('a password that is changed while a hash is being raised stays changed', async () => {
    const { prisma } = provider.storage;
    const weak = await hash(person.password, { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    const where = { email: person.email };
    const before = await prisma.account.update({ where, data: { passwordHash: weak } });
    const parts = { storage: provider.storage, config: provider.config, origin: commandLine };
    await changePassword(parts, before.id, 'quite another one');
    await raiseHash(prisma, before, person.password);
    expect(await authenticate(prisma, person.email, person.password)).toBeUndefined();
    expect(await authenticate(prisma, person.email, 'quite another one')).toBeDefined();
  });
});
