// Signatures of cookies. One that has a path cannot be `__Host-`: another host of the domain could set it, with a value
// that was signed for that host's own browser. So the signature of such a cookie is bound to the browser that it was made
// for, which a cookie tells that nobody else can set.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type Koa from 'koa';
import type { Context, Next } from 'koa';
import { cookieName } from './cookie-names.ts';

const LIFE = 86_400; // seconds: longer than any cookie lives that is bound

interface Browser {
  value: string | undefined;
  /** Whether this request signs for it. */
  isUsed: boolean;
}

const requests = new AsyncLocalStorage<Browser>();

/** Middleware that knows the browser of a request, and remembers it. Without TLS nothing is bound. */
export function bindCookies(issuer: string) {
  const name = cookieName(issuer, 'symbolon_bound', '/');
  if (!issuer.startsWith('https:')) return (_ctx: Context, next: Next): Promise<void> => next();
  return async (ctx: Context, next: Next): Promise<void> => {
    const browser: Browser = { value: ctx.cookies.get(name), isUsed: false };
    await requests.run(browser, next);
    if (!browser.isUsed) return;
    const attributes = { httpOnly: true, sameSite: 'lax', path: '/', signed: false } as const;
    ctx.cookies.set(name, browser.value, { ...attributes, maxAge: LIFE * 1000 });
  };
}

/** The keys of an application's signed cookies. @param secrets the current one first */
export function cookieKeys(secrets: readonly string[]): Exclude<Koa['keys'], string[]> {
  const mac = (secret: string, data: string) =>
    createHmac('sha1', secret).update(data).digest('base64url');
  const index = (data: string, signature: string) => {
    const bound = boundTo(requests.getStore()?.value, data);
    if (bound === undefined) return -1;
    const given = Buffer.from(signature);
    return secrets.findIndex((secret) => {
      const right = Buffer.from(mac(secret, bound));
      return right.length === given.length && timingSafeEqual(right, given);
    });
  };
  return {
    sign(data: string) {
      const browser = requests.getStore();
      if (browser && isBound(data)) {
        browser.value ??= randomBytes(16).toString('base64url');
        browser.isUsed = true;
      }
      return mac(secrets[0] ?? '', boundTo(browser?.value, data) ?? data);
    },
    index,
    verify: (data: string, signature: string) => index(data, signature) >= 0,
  };
}

/** @param data the cookie, as `name=value` */
function isBound(data: string): boolean {
  return data.startsWith('__Secure-');
}

/** What is signed. @returns undefined for a cookie that is bound to another browser, or to none */
function boundTo(browser: string | undefined, data: string): string | undefined {
  if (!isBound(data)) return data;
  return browser === undefined ? undefined : `${browser} ${data}`;
}
