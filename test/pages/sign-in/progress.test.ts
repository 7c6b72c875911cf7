// What was verified so far, and is kept in the browser: where and how long it counts, and what it is worth with more.
import type { Context } from 'koa';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Account } from '../../../src/generated/client.ts';
import { Keyring } from '../../../src/keys/keyring.ts';
import { createProgress, raised } from '../../../src/pages/sign-in/progress.ts';
import type { Storage } from '../../../src/storage/storage.ts';

const place = { subject: 'interaction one', action: '/interaction/one' };
const secret = 'a secret for tests that is long enough';
const began = new Date('2026-01-01T12:00:00.000Z');
const after = (milliseconds: number) => new Date(began.getTime() + milliseconds);

let account: Account | undefined;
let now: Date;
beforeEach(() => {
  now = began;
  account = { id: 'ada', lockedAt: null, signedOutAt: null } as Account;
});

const prisma = {
  account: {
    findUnique: ({ where }: { where: { id: string } }) =>
      Promise.resolve(account?.id === where.id ? account : null),
  },
} as unknown as Storage['prisma'];
const progressWith = (...secrets: string[]) =>
  createProgress({ prisma, keyring: new Keyring(secrets), now: () => now });
const progress = progressWith(secret);

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
function cookie(authTime?: number, by = progress): string {
  const { ctx, kept } = browser();
  by.keep(ctx, place, { account: account as Account, amr: ['pwd'], authTime });
  return kept[0]?.value ?? '';
}

const found = (value: string | undefined, at = place) => progress.find(browser(value).ctx, at);

describe('the cookie', () => {
  test('brings back what was verified', async () => {
    expect(await found(cookie())).toEqual({ account, amr: ['pwd'], authTime: undefined });
    expect(await found(cookie(1000))).toEqual({ account, amr: ['pwd'], authTime: 1000 });
    expect(await found(undefined)).toBeUndefined();
  });

  test('is for the place alone, for ten minutes, and not for scripts', () => {
    const { ctx, kept } = browser();
    progress.keep(ctx, place, { account: account as Account, amr: ['pwd'] });
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
    const plain = JSON.stringify({ accountId: 'ada', amr: ['pwd'], since: began.getTime() / 1000 });
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
    account = { ...(account as Account), signedOutAt: after(-1) };
    expect(await found(value)).toBeDefined();
    for (const signedOutAt of [began, after(500), after(60_000)]) {
      account = { ...account, signedOutAt };
      expect(await found(value)).toBeUndefined();
    }
  });

  test('counts again when it is made after that, also in the same second', async () => {
    account = { ...(account as Account), signedOutAt: after(500) };
    now = after(501);
    expect(await found(cookie())).toBeDefined();
  });

  test('ends with a lock, and with the account', async () => {
    const value = cookie();
    account = { ...(account as Account), lockedAt: after(1) };
    expect(await found(value)).toBeUndefined();
    account = undefined;
    expect(await found(value)).toBeUndefined();
  });

  test('is taken back, where there is one', () => {
    const { ctx, kept } = browser(cookie());
    progress.forget(ctx, place);
    expect(kept).toMatchObject([{ value: null, options: { path: place.action } }]);
    const other = browser();
    progress.forget(other.ctx, place);
    expect(other.kept).toEqual([]);
  });
});

describe('another factor', () => {
  const before = (amr: string[], authTime?: number) => ({
    account: account as Account,
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
