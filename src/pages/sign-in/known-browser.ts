// Browsers that have signed in to an account before, recognised by a cookie that names nobody (OWASP's device cookie).
// Guesses from such a browser are counted by themselves, so that nobody else's guesses slow its owner.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'koa';
import type { Keyring } from '../../keys/keyring.ts';
import type { Cookie } from '../cookies.ts';

const MOST = 8; // accounts of one browser

export interface KnownBrowser {
  /** @returns the key by which this browser's guesses at the account are counted; undefined for an unknown browser */
  readonly of: (ctx: Context, accountId: string) => string | undefined;
  readonly remember: (ctx: Context, accountId: string) => void;
}

export function createKnownBrowser(keyring: Keyring, cookie: Cookie): KnownBrowser {
  return {
    of(ctx, accountId) {
      const { browser, marks } = read(ctx);
      const known = marks.some((mark) => marksFor(browser, accountId).some(isSame(mark)));
      return known ? browser : undefined;
    },
    remember(ctx, accountId) {
      const former = read(ctx);
      const browser =
        former.marks.length > 0 ? former.browser : randomBytes(12).toString('base64url');
      const own = marksFor(browser, accountId);
      const others = former.marks.filter((mark) => !own.some(isSame(mark)));
      const marks = [own[0], ...others].slice(0, MOST);
      cookie.set(ctx, [browser, ...marks.map((mark) => mark.toString('base64url'))].join('.'));
    },
  };

  function read(ctx: Context): { browser: string; marks: Buffer[] } {
    const [browser = '', ...marks] = (cookie.get(ctx) ?? '').split('.');
    return { browser, marks: marks.slice(0, MOST).map((mark) => Buffer.from(mark, 'base64url')) };
  }

  function marksFor(browser: string, accountId: string): [Buffer, ...Buffer[]] {
    const text = JSON.stringify([browser, accountId]);
    return keyring.macs('browser', text).map((mac) => mac.subarray(0, 16)) as [Buffer, ...Buffer[]];
  }
}

function isSame(one: Buffer): (other: Buffer) => boolean {
  return (other) => one.length === other.length && timingSafeEqual(one, other);
}
