// All cookies of our own: name, path, SameSite, lifetime. They are HttpOnly, and with TLS Secure and this host's alone
// (operations/cookie-names.ts). (The engine's cookies are named in the provider's configuration.)
import { randomBytes } from 'node:crypto';
import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';
import { linkLife } from '../accounts/links.ts';
import type { Config } from '../config/config.ts';
import { cookieName } from '../operations/cookie-names.ts';

/** Seconds for which a sign-in may wait for its second factor. */
export const FACTOR_LIFE = 600;

export interface Cookie {
  /** @returns undefined for an empty cookie too, since none is ever set */
  readonly get: (ctx: Context) => string | undefined;
  /** @param value of characters that a cookie may have, such as base64url */
  readonly set: (ctx: Context, value: string) => void;
  /** A random value that stays with the browser: made the first time, and set again each time. */
  readonly ensure: (ctx: Context) => string;
  readonly clear: (ctx: Context) => void;
  /** How many of its name the browser sends: another host of the domain may have added one. */
  readonly count: (ctx: Context) => number;
}

/** A cookie from before names had a prefix, and the one that takes its place. */
export interface FormerCookie {
  readonly key: 'session' | 'browser';
  readonly former: Cookie;
  readonly current: Cookie;
}

export type Cookies = ReturnType<typeof createCookies>;

interface Attributes {
  readonly path: string;
  /** `lax`: links from other sites bring it. */
  readonly sameSite: 'strict' | 'lax';
  /** Seconds; not set: until the browser is closed. */
  readonly maxAge?: number;
  /** Whether the value must be signed by us. Not needed when a forged value is worth nothing. */
  readonly signed?: boolean;
}

export function createCookies({ basePath, issuer }: Pick<Config, 'basePath' | 'issuer'>) {
  // A cookie that only this host can set has no path.
  const hostOnly = issuer.startsWith('https:');
  const everywhere = hostOnly ? '/' : basePath || '/';
  const cookie = (name: string, { path, ...attributes }: Attributes) =>
    createCookie(cookieName(issuer, name, path), { path, ...attributes });
  return {
    /** Binds the forms of a browser in which nobody is signed in. @param path the forms' path, with the issuer's */
    form: (path: string) =>
      hostOnly
        ? cookie(`symbolon_form${path.replace(/\W+/g, '_')}`, { path: '/', sameSite: 'strict' })
        : cookie('symbolon_form', { path, sameSite: 'strict' }),
    /** The factors verified so far in a sign-in, sealed. @param path the sign-in's path, with the issuer's */
    factor: (path: string) =>
      cookie('symbolon_factor', { path, sameSite: 'lax', maxAge: FACTOR_LIFE }),
    /** The browser that signed up; its link is opened from a mail. */
    signUp: cookie('symbolon_sign_up', {
      path: hostOnly ? '/' : `${basePath}/sign-up`,
      sameSite: 'lax',
      maxAge: linkLife.sign_up,
    }),
    /** The interaction to come back to after resetting a password or signing up. */
    return: cookie('symbolon_return', { path: everywhere, sameSite: 'lax' }),
    /** The accounts that this browser has signed in to; browsers keep a cookie for 400 days at most. */
    browser: cookie('symbolon_browser', {
      path: everywhere,
      sameSite: 'lax',
      maxAge: 400 * 86_400,
    }),
    /** The message on the next page under /account. */
    flashMessage: cookie('symbolon_notice', {
      path: hostOnly ? '/' : `${basePath}/account`,
      sameSite: 'strict',
      maxAge: 60,
      signed: true,
    }),
  };
}

/** The cookies that are honoured under their former names, and the marker of what a browser sent under these. */
export function createFormerCookies(config: Pick<Config, 'basePath' | 'issuer' | 'ttl'>): {
  readonly marker: Cookie;
  readonly cookies: readonly FormerCookie[];
} {
  const { basePath, issuer, ttl } = config;
  const name = (one: string) => cookieName(issuer, one, '/');
  const session = { path: '/', sameSite: 'lax', signed: true } as const;
  return {
    marker: createCookie(name('symbolon_former'), session),
    cookies: [
      {
        key: 'session',
        former: createCookie('symbolon_session', session),
        current: createCookie(name('symbolon_session'), { ...session, maxAge: ttl.session }),
      },
      {
        key: 'browser',
        former: createCookie('symbolon_browser', { path: basePath || '/', sameSite: 'lax' }),
        current: createCookies(config).browser,
      },
    ],
  };
}

/** Sets a cookie, which this request counts as having already. */
export function giveNow(ctx: Context, cookie: Cookie, value: string): void {
  const lines = () => [ctx.response.headers['set-cookie'] ?? []].flat().map(String);
  const before = lines().length;
  cookie.set(ctx, value);
  const pairs = lines()
    .slice(before)
    .map((line) => line.split(';')[0]);
  ctx.req.headers.cookie = [ctx.get('cookie'), ...pairs].join('; ');
}

/** Sets the engine's session cookie, as the engine does, after a sign-in on a page of our own. */
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

function createCookie(
  name: string,
  { path, sameSite, maxAge, signed = false }: Attributes,
): Cookie {
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
    count(ctx) {
      const pairs = ctx.get('cookie').split(';');
      return pairs.filter((pair) => pair.trim().startsWith(`${name}=`)).length;
    },
  };
}
