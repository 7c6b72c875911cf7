// Factors: what a sign-in is worth, and that each one-time code, recovery code, challenge and counter is good once.
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Factors,
  acrFor,
  levelOf,
  missingMethods,
  united,
} from '../../src/accounts/factors.ts';
import {
  authenticationOptions,
  registrationOptions,
  verifyNewPasskey,
  verifyPasskey,
} from '../../src/accounts/passkeys.ts';
import { useRecoveryCode } from '../../src/accounts/recovery-codes.ts';
import { verifyTotp } from '../../src/accounts/totp.ts';
import { sealedTables } from '../../src/commands/sealed-tables.ts';
import { connect, connectPrepared } from '../../src/database/open.ts';
import { deviceInWords } from '../../src/devices.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { reseal } from '../../src/keys/reseal.ts';
import { loadLanguages } from '../../src/languages.ts';
import { runUnit } from '../../src/storage/unit-of-work.ts';
import { Authenticator, type Behaviour } from '../support/authenticator.ts';
import { type TestProvider, secret, startProvider } from '../support/provider.ts';
import {
  addPasskey,
  removePasskey,
  makeRecoveryCodes,
  beginTotp,
  confirmTotp,
  removeTotp,
} from '../support/changes.ts';

const none: Factors = { password: true, passkeys: 0, totp: false, recoveryCodes: 0 };

describe('levels', () => {
  test.each([
    [undefined, undefined],
    [[], undefined],
    [['pwd'], '1fa'],
    [['otp'], '1fa'],
    [['hwk'], '1fa'],
    [['pwd', 'otp', 'mfa'], '2fa'],
    [['swk', 'mfa'], 'phr'],
    [['pwd', 'hwk', 'mfa'], 'phr'],
  ])('%j is %s', (amr, level) => {
    expect(levelOf(amr)).toBe(level);
  });

  test.each([
    [['pwd'], ['otp'], ['pwd', 'otp', 'mfa']],
    [['pwd'], ['hwk'], ['pwd', 'hwk', 'mfa']],
    [['pwd'], ['pwd'], ['pwd']],
    [['otp'], ['otp'], ['otp']],
    [['swk', 'mfa'], ['otp'], ['otp', 'swk', 'mfa']],
    [['pwd', 'made up'], [], ['pwd']],
  ])('%j and then %j', (before, now, all) => {
    expect(united(before, now)).toEqual(all);
  });

  test.each([
    [['pwd'], none, undefined, []],
    [['pwd'], none, '2fa', undefined],
    [['pwd'], { ...none, totp: true }, undefined, ['totp']],
    [['pwd'], { ...none, passkeys: 1 }, undefined, ['passkey']],
    [['pwd'], { ...none, totp: true, recoveryCodes: 3 }, '1fa', ['totp', 'recovery_code']],
    [['pwd'], { ...none, recoveryCodes: 3 }, '2fa', undefined],
    [['pwd'], { ...none, totp: true }, 'phr', undefined],
    [['pwd'], { ...none, totp: true, passkeys: 1, recoveryCodes: 1 }, 'phr', ['passkey']],
    [['pwd', 'otp', 'mfa'], { ...none, totp: true }, '2fa', []],
    [['swk', 'mfa'], { ...none, totp: true, passkeys: 1 }, 'phr', []],
  ] as const)('from %j with %j to %s: %j', (amr, factors, wanted, methods) => {
    expect(missingMethods([...amr], factors, wanted)).toEqual(methods);
  });

  test.each([
    [['swk', 'mfa'], [], 'phr'],
    [['swk', 'mfa'], ['2fa'], '2fa'],
    [['swk', 'mfa'], ['gold', '1fa', 'phr'], '1fa'],
    [['pwd'], ['2fa', 'phr'], '1fa'],
    [[], ['1fa'], undefined],
  ])('%j, asked for %j, is told as %s', (amr, asked, acr) => {
    expect(acrFor(amr, asked)).toBe(acr);
  });
});

describe('on a real database', () => {
  let provider: TestProvider;
  let account: { id: string; email: string; name: string | null };
  const parts = (overrides: object = {}) => ({
    storage: { ...provider.storage, ...overrides },
    config: provider.config,
    origin: { ip: '203.0.113.7', userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' },
  });
  /** Another process: its own connections. */
  const elsewhere = () => {
    const pool = connectPrepared(provider.databaseUrl);
    return { pool, prisma: connect(provider.databaseUrl) };
  };
  const later = (seconds: number) => ({ now: () => new Date(Date.now() + seconds * 1000) });
  const inUnit = async <T>(work: () => Promise<T>): Promise<T> => {
    let result: T | undefined;
    await runUnit(provider.storage, { ip: undefined, userAgent: undefined }, async () => {
      result = await work();
    });
    return result as T;
  };
  const events = async () =>
    (await provider.storage.prisma.auditEvent.findMany({ orderBy: { id: 'asc' } })).map(
      ({ type }) => type,
    );

  beforeAll(async () => {
    provider = await startProvider();
    account = await provider.storage.prisma.account.findUniqueOrThrow({
      where: { id: provider.accountId },
    });
  });
  beforeEach(async () => {
    const { prisma } = provider.storage;
    await prisma.passkey.deleteMany();
    await prisma.totp.deleteMany();
    await prisma.recoveryCode.deleteMany();
    await prisma.auditEvent.deleteMany();
  });
  afterAll(() => provider.close());

  describe('one-time codes', () => {
    const appOf = (uri: string) => {
      const url = new URL(uri);
      return (offset = 0) =>
        TOTP.generate({
          secret: Secret.fromBase32(url.searchParams.get('secret') ?? ''),
          timestamp: Date.now() + offset * 30_000,
        });
    };
    const setUp = async () => {
      const { uri, qr, secret: typed } = await beginTotp(parts(), account);
      expect(uri).toContain(`secret=${typed}`);
      expect(qr).toMatch(/^<svg /);
      const code = appOf(uri);
      await confirmTotp(parts(), account.id, code(-1));
      return code;
    };

    test('count for nothing before the first', async () => {
      const { uri } = await beginTotp(parts(), account);
      const code = appOf(uri);
      expect(await verifyTotp(parts(), account.id, code())).toBe(false);
      await expect(confirmTotp(parts(), account.id, '000000')).rejects.toMatchObject({
        code: 'factor.code-wrong',
      });
      expect((await beginTotp(parts(), account)).uri).toBe(uri);
      expect((await beginTotp(parts(later(3700)), account)).uri).not.toBe(uri);
    });

    test('a step on either side is right, two are not, and none twice', async () => {
      const code = await setUp();
      expect(await events()).toEqual(['totp.added']);
      for (const wrong of [code(-1), code(-2), code(3), '12345', 'abcdef', ''])
        expect(await verifyTotp(parts(), account.id, wrong), wrong).toBe(false);
      expect(
        await verifyTotp(parts(), account.id, `${code().slice(0, 3)} ${code().slice(3)}`),
      ).toBe(true);
      expect(await verifyTotp(parts(), account.id, code())).toBe(false);
      expect(await verifyTotp(parts(), account.id, code(1))).toBe(true);
      await expect(beginTotp(parts(), account)).rejects.toMatchObject({
        code: 'factor.totp-exists',
      });
      expect(await removeTotp(parts(), account.id)).toBe(true);
      expect(await verifyTotp(parts(later(60)), account.id, code(2))).toBe(false);
    });

    test('of many uses of one code at once, over two processes, one is let through', async () => {
      const code = await setUp();
      const other = elsewhere();
      for (let round = 0; round < 50; round++) {
        const at = later(60 + round * 30);
        const now = code(2 + round);
        const tries = Array.from({ length: 6 }, (_, index) =>
          verifyTotp(parts(index % 2 ? at : { ...at, prisma: other.prisma }), account.id, now),
        );
        expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
      }
      await other.prisma.$disconnect();
      await other.pool.end();
    });

    test('are sealed anew with the rest', async () => {
      const code = await setUp();
      const keyring = new Keyring(['another secret that is long enough', secret]);
      const counts = await reseal({ ...provider.storage, keyring }, sealedTables);
      expect(counts['one_time_codes']).toBe(1);
      const fresh = parts({ keyring: new Keyring(['another secret that is long enough']) });
      expect(await verifyTotp(fresh, account.id, code())).toBe(true);
      const back = new Keyring([secret, 'another secret that is long enough']);
      await reseal({ ...provider.storage, keyring: back }, sealedTables);
    });
  });

  describe('recovery codes', () => {
    test('are ten, each good once, for one person, and all anew together', async () => {
      const codes = await makeRecoveryCodes(parts(), account.id);
      expect(new Set(codes).size).toBe(10);
      for (const code of codes)
        expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      const [first = '', second = '', third = ''] = codes;
      expect(await useRecoveryCode(parts(), 'somebody else', first)).toBe(false);
      expect(
        await useRecoveryCode(parts(), account.id, first.toLowerCase().replaceAll('-', ' ')),
      ).toBe(true);
      expect(await useRecoveryCode(parts(), account.id, first)).toBe(false);
      expect(
        await useRecoveryCode(
          parts(),
          account.id,
          second.replaceAll('0', 'o').replaceAll('1', 'l'),
        ),
      ).toBe(true);
      const [row] = await provider.storage.prisma.recoveryCode.findMany();
      expect(Buffer.from(row?.id ?? []).toString()).not.toContain(third);
      await makeRecoveryCodes(parts(), account.id);
      expect(await useRecoveryCode(parts(), account.id, third)).toBe(false);
      expect(await events()).toEqual([
        'recovery_codes.made',
        'recovery_codes.used',
        'recovery_codes.used',
        'recovery_codes.made',
      ]);
    });

    test('used many times at once, one is let through', async () => {
      const other = elsewhere();
      for (let round = 0; round < 5; round++)
        for (const code of await makeRecoveryCodes(parts(), account.id)) {
          const tries = Array.from({ length: 4 }, (_, index) =>
            useRecoveryCode(parts(index % 2 ? {} : { prisma: other.prisma }), account.id, code),
          );
          expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
        }
      await other.prisma.$disconnect();
      await other.pool.end();
    });
  });

  describe('passkeys', () => {
    const binding = 'interaction x';
    const add = async (authenticator: Authenticator, behaviour: Behaviour = {}, name?: string) => {
      const options = await registrationOptions(parts(), account, binding);
      const response = authenticator.create(options, behaviour);
      const answer = { binding, response, ...(name === undefined ? {} : { name }) };
      return inUnit(() => addPasskey(parts(), account.id, answer));
    };
    const use = async (
      authenticator: Authenticator,
      behaviour: Behaviour = {},
      {
        accountId,
        at = {},
        from = binding,
      }: { accountId?: string; at?: object; from?: string } = {},
    ) => {
      const options = await authenticationOptions(parts(), { binding, accountId });
      const response = authenticator.get(options, behaviour);
      return inUnit(() => verifyPasskey(parts(at), { binding: from, response, accountId }));
    };
    const refused = { name: 'FactorError' };

    test('are added, named, used and removed', async () => {
      const device = new Authenticator(provider.issuer);
      const key = await add(device);
      expect(key).toMatchObject({
        name: 'Firefox on Linux',
        synced: false,
        transports: ['internal'],
      });
      expect((await registrationOptions(parts(), account, binding)).excludeCredentials).toEqual([
        { id: key.id, transports: ['internal'], type: 'public-key' },
      ]);
      const { account: person, amr } = await use(device);
      expect([person.id, amr]).toEqual([account.id, ['hwk', 'mfa']]);
      const { lastUsedAt } = await provider.storage.prisma.passkey.findUniqueOrThrow({
        where: { id: key.id },
      });
      expect(lastUsedAt).not.toBeNull();
      expect(await removePasskey(parts(), 'somebody else', key.id)).toBe(false);
      expect(await removePasskey(parts(), account.id, key.id)).toBe(true);
      await expect(use(device)).rejects.toMatchObject({ code: 'factor.passkey-unknown' });
      expect(await events()).toEqual(['passkey.added', 'passkey.removed']);
    });

    test('one without a name is called after the device, in the language of whoever adds it', async () => {
      const options = await registrationOptions(parts(), account, binding);
      const response = new Authenticator(provider.issuer).create(options);
      const language = loadLanguages().choose(['de']);
      const answer = { binding, response, language };
      const { name } = await inUnit(() => verifyNewPasskey(parts(), account.id, answer));
      expect(name).toBe(deviceInWords(language, parts().origin.userAgent));
      expect(name).toBe('Firefox auf Linux');
    });

    test('a synchronised one says so', async () => {
      const device = new Authenticator(provider.issuer, { isSynced: true });
      expect(await add(device, {}, ' My phone ')).toMatchObject({ synced: true, name: 'My phone' });
      expect((await use(device)).amr).toEqual(['swk', 'mfa']);
    });

    test('belong to one account', async () => {
      const device = new Authenticator(provider.issuer);
      await add(device);
      await expect(add(device)).rejects.toMatchObject({ code: 'factor.passkey-taken' });
      await expect(use(device, {}, { accountId: 'somebody else' })).rejects.toMatchObject(refused);
      await expect(use(device, { userHandle: 'c29tZWJvZHk' })).rejects.toMatchObject(refused);
      await expect(use(device, { userHandle: null })).rejects.toMatchObject(refused);
      await use(device, { userHandle: null }, { accountId: account.id });
    });

    test('alone they need a verified user, as a second factor not', async () => {
      const device = new Authenticator(provider.issuer);
      await add(device, { verifiesUser: false });
      await expect(use(device, { verifiesUser: false })).rejects.toMatchObject(refused);
      const { amr } = await use(device, { verifiesUser: false }, { accountId: account.id });
      expect(amr).toEqual(['hwk']);
    });

    test('answer for this provider, and nothing else', async () => {
      const device = new Authenticator(provider.issuer);
      await expect(add(device, { origin: 'https://evil.example' })).rejects.toMatchObject(refused);
      await expect(add(device, { rpId: 'evil.example' })).rejects.toMatchObject(refused);
      await add(device);
      await expect(use(device, { origin: 'https://evil.example' })).rejects.toMatchObject(refused);
      await expect(use(device, { rpId: 'evil.example' })).rejects.toMatchObject(refused);
      const stranger = new Authenticator(provider.issuer);
      Object.defineProperty(stranger, 'id', { value: device.id });
      await expect(use(stranger, {}, { accountId: account.id })).rejects.toMatchObject(refused);
    });

    test('a challenge is good where it was made, for five minutes, once', async () => {
      const device = new Authenticator(provider.issuer);
      await add(device);
      await expect(use(device, {}, { from: 'interaction y' })).rejects.toMatchObject(refused);
      await expect(use(device, {}, { at: later(301) })).rejects.toMatchObject({
        code: 'factor.too-late',
      });
      await use(device, {}, { at: later(298) });
      const registration = await registrationOptions(parts(), account, binding);
      await expect(use(device, { challenge: registration.challenge })).rejects.toMatchObject(
        refused,
      );
      await expect(use(device, { challenge: 'AAAA' })).rejects.toMatchObject(refused);
      for (let round = 0; round < 50; round++) {
        const options = await authenticationOptions(parts(), { binding });
        const tries = Array.from({ length: 4 }, () =>
          inUnit(() => verifyPasskey(parts(), { binding, response: device.get(options) })),
        );
        const results = await Promise.allSettled(tries);
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      }
    });

    test('a counter that does not rise refuses, and is written down', async () => {
      const device = new Authenticator(provider.issuer, { counts: true });
      await add(device);
      await use(device, { counter: 5 });
      await use(device, { counter: 6 });
      for (const counter of [6, 5, 0])
        await expect(use(device, { counter })).rejects.toMatchObject(refused);
      expect(await events()).toEqual([
        'passkey.added',
        ...Array.from({ length: 3 }, () => 'second_factor.failed'),
      ]);
      await use(device, { counter: 7 });
    });

    test('twenty are enough, also when two are added at once', async () => {
      for (let index = 0; index < 19; index++) await add(new Authenticator(provider.issuer));
      const results = await Promise.allSettled([
        add(new Authenticator(provider.issuer)),
        add(new Authenticator(provider.issuer)),
      ]);
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    test('what is not an answer is refused', async () => {
      await expect(add(new Authenticator(provider.issuer))).resolves.toBeDefined();
      for (const response of [
        undefined,
        null,
        1,
        'x',
        [],
        {},
        { id: 1 },
        { id: 'x', response: {} },
      ]) {
        await expect(
          inUnit(() => verifyPasskey(parts(), { binding, response })),
        ).rejects.toMatchObject(refused);
        await expect(
          inUnit(() => addPasskey(parts(), account.id, { binding, response })),
        ).rejects.toMatchObject(refused);
      }
    });
  });
});
