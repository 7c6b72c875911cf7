// Every cookie of our own: its name, its path, which sites' requests bring it, how long it lives. No script reads one,
// and none goes over HTTP where there is TLS. (The engine names its own, in the provider's configuration.)
import { randomBytes } from 'node:crypto';
import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';
import { linkLife } from '../accounts/links.ts';
import type { Config } from '../config/config.ts';

/** Seconds for which a sign-in may wait for its second factor. */
export const FACTOR_LIFE = 600;

export interface Cookie {
  /** @returns undefined also for one that is empty, which is never set */
  readonly get: (ctx: Context) => string | undefined;
  /** @param value of characters that a cookie may have, for example Base64url */
  readonly set: (ctx: Context, value: string) => void;
  /** A random value that stays the browser's: made the first time, and set anew each time. */
  readonly ensure: (ctx: Context) => string;
  readonly clear: (ctx: Context) => void;
}

export type Cookies = ReturnType<typeof createCookies>;

interface Attributes {
  readonly path: string;
  /** `lax`: links of other sites bring it. */
  readonly sameSite: 'strict' | 'lax';
  /** Seconds; not set: as long as the browser runs. */
  readonly maxAge?: number;
  /** Whether another's value counts as none. Not needed where a value that was made up is worth nothing. */
  readonly signed?: boolean;
}

export function createCookies({ basePath }: Pick<Config, 'basePath'>) {
  const everywhere = basePath || '/';
  return {
    /** What the forms of somebody who is not signed in are bound to. @param path the forms', with the issuer's */
    form: (path: string) => cookie('symbolon_form', { path, sameSite: 'strict' }),
    /** What was verified of a sign-in before its second factor, sealed. @param path the sign-in's, with the issuer's */
    factor: (path: string) =>
      cookie('symbolon_factor', { path, sameSite: 'lax', maxAge: FACTOR_LIFE }),
    /** The browser in which somebody signed up; the link that confirms it is opened from a mail. */
    signUp: cookie('symbolon_sign_up', {
      path: `${basePath}/sign-up`,
      sameSite: 'lax',
      maxAge: linkLife.sign_up,
    }),
    /** The interaction to come back to after a password was reset or an account made. */
    return: cookie('symbolon_return', { path: everywhere, sameSite: 'lax' }),
    /** The accounts that the browser has signed in before; 400 days are the longest that browsers keep one. */
    browser: cookie('symbolon_browser', {
      path: everywhere,
      sameSite: 'lax',
      maxAge: 400 * 86_400,
    }),
    /** The message of the next page under /account. */
    flashMessage: cookie('symbolon_notice', {
      path: `${basePath}/account`,
      sameSite: 'strict',
      maxAge: 60,
      signed: true,
    }),
  };
}

/** Sets the engine's session cookie as the engine does, after a sign-in on a page of our own. */
export function setSessionCookie(
  ctx: Context,
  provider: Provider,
  { jti, exp = 0 }: { readonly jti: string; readonly exp?: number },
): void {
  ctx.cookies.set(provider.cookieName('session'), jti, {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: true,
    expires: new Date(exp * 1000),
  });
}

function cookie(name: string, { path, sameSite, maxAge, signed = false }: Attributes): Cookie {
  const get = (ctx: Context) => {
    const value = ctx.cookies.get(name, { signed });
    return value === '' ? undefined : value;
  };
  const send = (ctx: Context, value: string | null) => {
    ctx.cookies.set(name, value, {
      ...{ httpOnly: true, secure: ctx.secure, path, sameSite, signed },
      ...(maxAge === undefined ? {} : { maxAge: maxAge * 1000 }),
    });
  };
  return {
    get,
    set: send,
    ensure(ctx) {
      const value = get(ctx) ?? randomBytes(32).toString('base64url');
      send(ctx, value);
      return value;
    },
    clear(ctx) {
      if (get(ctx) !== undefined) send(ctx, null);
    },
  };
}
