// Browsers that an account knows, recognised by a cookie that names nobody (OWASP's device cookie): an account was signed
// in to with them, or its password was chosen there with a link from a mail. Guesses from such a browser are counted by
// themselves, so that nobody else's guesses slow its owner. The cookie holds marks: MACs of the browser and an account.
// So it cannot be made up, nor used for another account; whoever has stolen it has ten guesses (accounts/counters.ts).
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'koa';
import type { Keyring } from '../../keys/keyring.ts';
import type { Cookie } from '../cookies.ts';

const MOST = 8; // accounts of one browser

/**
 * What was done with a browser. A reset shows that its person reads the account's mail, and no second factor: it makes
 * the browser known for passwords, not for codes.
 */
export type Deed = 'sign_in' | 'reset';

export interface KnownBrowser {
  /**
   * @param deeds each of which is enough
   * @returns the key by which this browser's guesses at the account are counted; undefined for an unknown browser, and
   *   for an account that does not exist, which takes as long
   */
  readonly of: (
    ctx: Context,
    accountId: string | undefined,
    deeds?: readonly Deed[],
  ) => string | undefined;
  /** @returns the key of a browser that some account knows; undefined for an unknown one */
  readonly any: (ctx: Context) => string | undefined;
  /** @returns the browser's key */
  readonly remember: (ctx: Context, accountId: string, deed?: Deed) => string;
}

export function createKnownBrowser(keyring: Keyring, cookie: Cookie): KnownBrowser {
  return {
    of(ctx, accountId, deeds = ['sign_in']) {
      const { browser, marks } = read(ctx);
      const wanted = deeds.flatMap((deed) => marksFor(browser, accountId ?? '', deed));
      const known = marks.some((mark) => wanted.some(isSame(mark)));
      return known && accountId !== undefined ? browser : undefined;
    },
    any(ctx) {
      const { browser, marks } = read(ctx);
      return marks.some((mark) => marksOf(browser).some(isSame(mark))) ? browser : undefined;
    },
    remember(ctx, accountId, deed = 'sign_in') {
      const former = read(ctx);
      const browser =
        former.marks.length > 0 ? former.browser : randomBytes(12).toString('base64url');
      const own = marksFor(browser, accountId, deed);
      const replaced = [...own, ...marksFor(browser, accountId, 'reset'), ...marksOf(browser)];
      const others = former.marks.filter((mark) => !replaced.some(isSame(mark)));
      const marks = [marksOf(browser)[0], own[0], ...others].slice(0, MOST + 1);
      cookie.set(ctx, [browser, ...marks.map((mark) => mark.toString('base64url'))].join('.'));
      return browser;
    },
  };

  function read(ctx: Context): { browser: string; marks: Buffer[] } {
    const [browser = '', ...marks] = (cookie.get(ctx) ?? '').split('.');
    return {
      browser,
      marks: marks.slice(0, MOST + 1).map((mark) => Buffer.from(mark, 'base64url')),
    };
  }

  function marksFor(browser: string, accountId: string, deed: Deed): [Buffer, ...Buffer[]] {
    return macs([browser, accountId, ...(deed === 'sign_in' ? [] : [deed])]);
  }

  /** What any account has given a browser: it says nothing of whose. */
  function marksOf(browser: string): [Buffer, ...Buffer[]] {
    return macs([browser]);
  }

  function macs(said: readonly string[]): [Buffer, ...Buffer[]] {
    const all = keyring.macs('browser', JSON.stringify(said));
    return all.map((mac) => mac.subarray(0, 16)) as [Buffer, ...Buffer[]];
  }
}

function isSame(one: Buffer): (other: Buffer) => boolean {
  return (other) => one.length === other.length && timingSafeEqual(one, other);
}
