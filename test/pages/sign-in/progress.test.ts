// What was verified so far, and is kept in the browser: where and how long it counts, and what it is worth with more.
import type { Context } from 'koa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../../src/accounts/accounts.ts';
import { connect } from '../../../src/database/open.ts';
import type { Account, Prisma, PrismaClient } from '../../../src/generated/client.ts';
import { Keyring } from '../../../src/keys/keyring.ts';
import { createCookies } from '../../../src/pages/cookies.ts';
import { createProgress, raised } from '../../../src/pages/sign-in/progress.ts';
import { type TestDatabase, createDatabase } from '../../support/database.ts';
import { person } from '../../support/provider.ts';

const place = { subject: 'interaction one', action: '/interaction/one' };
const secret = 'a secret for tests that is long enough';
const began = new Date('2026-01-01T12:00:00.000Z');
const after = (milliseconds: number) => new Date(began.getTime() + milliseconds);

let database: TestDatabase;
let prisma: PrismaClient;
let account: Account;
let now: Date;
beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
});
beforeEach(async () => {
  now = began;
  await prisma.account.deleteMany();
  account = await addAccount(prisma, person, { admin: false });
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

const change = async (data: Prisma.AccountUpdateInput) => {
  account = await prisma.account.update({ where: { id: account.id }, data });
};
const progressWith = (...secrets: string[]) => {
  const storage = { prisma, keyring: new Keyring(secrets), now: () => now };
  return createProgress({
    storage,
    cookies: createCookies({ basePath: '', issuer: 'http://localhost' }),
  });
};

/** A browser that sends one cookie, and keeps what it is told to. */
function browser(value?: string) {
  const kept: { value: string | null; options: object }[] = [];
  const cookies = {
    get: () => value,
    set: (_name: string, given: string | null, options: object) =>
      kept.push({ value: given, options }),
  };
  return { ctx: { cookies, secure: true } as unknown as Context, kept };
}

/** The cookie of a password that was right. */
function cookie(authTime?: number, by = progressWith(secret)): string {
  const { ctx, kept } = browser();
  by.keep(ctx, place, { account, amr: ['pwd'], authTime });
  return kept[0]?.value ?? '';
}

const found = (value: string | undefined, at = place) =>
  progressWith(secret).find(browser(value).ctx, at);

describe('the cookie', () => {
  test('brings back what was verified', async () => {
    expect(await found(cookie())).toEqual({ account, amr: ['pwd'], authTime: undefined });
    expect(await found(cookie(1000))).toEqual({ account, amr: ['pwd'], authTime: 1000 });
    expect(await found(undefined)).toBeUndefined();
  });

  test('is for the place alone, for ten minutes, and not for scripts', () => {
    const { ctx, kept } = browser();
    progressWith(secret).keep(ctx, place, { account, amr: ['pwd'] });
    expect(kept).toMatchObject([
      { options: { httpOnly: true, secure: true, sameSite: 'lax', path: place.action } },
    ]);
    expect(kept[0]?.options).toMatchObject({ maxAge: 600_000 });
  });

  test('opens only in the place where it was made', async () => {
    const value = cookie();
    expect(await found(value, { ...place, subject: 'interaction two' })).toBeUndefined();
    expect(await found(value, { ...place, subject: 'sign-in one' })).toBeUndefined();
  });

  test('cannot be made up, nor changed', async () => {
    const value = cookie();
    const plain = JSON.stringify({
      accountId: account.id,
      amr: ['pwd'],
      since: began.getTime() / 1000,
    });
    const others = progressWith('the secret of another installation');
    for (const wrong of [
      '',
      'AAAA',
      value.slice(0, -4),
      `${value}AAAA`,
      plain,
      Buffer.from(plain).toString('base64url'),
      cookie(undefined, others),
    ])
      expect(await found(wrong), wrong).toBeUndefined();
  });

  test('counts for ten minutes, however long the browser keeps it', async () => {
    const value = cookie();
    now = after(599_999);
    expect(await found(value)).toBeDefined();
    now = after(600_000);
    expect(await found(value)).toBeUndefined();
  });

  test('ends with the sign-ins of the account: a sign-out everywhere, a new password', async () => {
    const value = cookie();
    await change({ signedOutAt: after(-1) });
    expect(await found(value)).toBeDefined();
    for (const signedOutAt of [began, after(500), after(60_000)]) {
      await change({ signedOutAt });
      expect(await found(value)).toBeUndefined();
    }
  });

  test('counts again when it is made after that, also in the same second', async () => {
    await change({ signedOutAt: after(500) });
    now = after(501);
    expect(await found(cookie())).toBeDefined();
  });

  test('ends with a lock, and with the account', async () => {
    const value = cookie();
    await change({ lockedAt: after(1) });
    expect(await found(value)).toBeUndefined();
    await prisma.account.delete({ where: { id: account.id } });
    expect(await found(value)).toBeUndefined();
  });

  test('is taken back, where there is one', () => {
    const { ctx, kept } = browser(cookie());
    progressWith(secret).forget(ctx, place);
    expect(kept).toMatchObject([{ value: null, options: { path: place.action } }]);
    const other = browser();
    progressWith(secret).forget(other.ctx, place);
    expect(other.kept).toEqual([]);
  });
});

describe('another factor', () => {
  const before = (amr: string[], authTime?: number) => ({
    account,
    amr,
    authTime,
  });

  test('is added to what was verified before', () => {
    expect(raised(before(['pwd']), ['otp'])).toEqual({
      account,
      amr: ['pwd', 'otp', 'mfa'],
      authTime: undefined,
    });
  });

  test('leaves a sign-in as old as it was', () => {
    expect(raised(before(['pwd'], 1000), ['otp']).authTime).toBe(1000);
    expect(raised(before(['pwd'], 1000), ['hwk']).authTime).toBe(1000);
  });

  test('is a sign-in of its own when it is a passkey whose user was verified', () => {
    expect(raised(before(['pwd'], 1000), ['hwk', 'mfa'])).toEqual({ account, amr: ['hwk', 'mfa'] });
    expect(raised(before(['pwd']), ['hwk', 'mfa']).amr).toEqual(['pwd', 'hwk', 'mfa']);
  });
});
