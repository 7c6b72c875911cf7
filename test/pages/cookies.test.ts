// Cookies of our own: what a browser is told of each, and what counts as having one.
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Koa, { type Context } from 'koa';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Cookie, createCookies } from '../../src/pages/cookies.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 0, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const koa = new Koa({ proxy: true, keys: ['key'] });

/** A request over HTTPS. @param cookie what the browser sends */
function request(cookie = ''): Context {
  const req = new IncomingMessage(new Socket());
  Object.assign(req.headers, { cookie, 'x-forwarded-proto': 'https' });
  return koa.createContext(req, new ServerResponse(req));
}

function sent(act: (ctx: Context) => void, ctx = request()): string[] {
  act(ctx);
  return [ctx.res.getHeader('set-cookie') ?? []].flat().map(String);
}

function all(basePath: string): Record<string, Cookie> {
  const { form, factor, ...others } = createCookies({ basePath });
  return {
    form: form(`${basePath}/forgot`),
    factor: factor(`${basePath}/interaction/1`),
    ...others,
  };
}

function told(basePath: string): Record<string, string[]> {
  const cookies = Object.entries(all(basePath));
  return Object.fromEntries(
    cookies.map(([name, cookie]) => [
      name,
      sent((ctx) => {
        cookie.set(ctx, 'x');
      }).map((line) => line.replace(/expires=([^;]+)/, (_, at: string) => `for ${Date.parse(at)}`)),
    ]),
  );
}

test('each is for its pages, out of reach of scripts and of other sites’ forms, and for TLS', () => {
  const common = 'secure; httponly';
  expect(told('/op')).toEqual({
    form: [`symbolon_form=x; path=/op/forgot; samesite=strict; ${common}`],
    factor: [`symbolon_factor=x; path=/op/interaction/1; for 600000; samesite=lax; ${common}`],
    signUp: [`symbolon_sign_up=x; path=/op/sign-up; for 86400000; samesite=lax; ${common}`],
    return: [`symbolon_return=x; path=/op; samesite=lax; ${common}`],
    browser: [`symbolon_browser=x; path=/op; for 34560000000; samesite=lax; ${common}`],
    flashMessage: [
      `symbolon_notice=x; path=/op/account; for 60000; samesite=strict; ${common}`,
      expect.stringMatching(
        /^symbolon_notice\.sig=[^;]+; path=\/op\/account; for 60000; samesite=strict; secure; httponly$/,
      ),
    ],
  });
  expect(told('')['return']).toEqual([`symbolon_return=x; path=/; samesite=lax; ${common}`]);
});

test('it is cleared where it was set, if the browser has it', () => {
  for (const cookie of Object.values(all('/op'))) {
    const clear = (ctx: Context) => {
      cookie.clear(ctx);
    };
    expect(sent(clear)).toEqual([]);
    const set = sent((ctx) => {
      cookie.set(ctx, 'x');
    });
    const had = set.map((line) => line.split(';')[0]).join('; ');
    const gone = sent(clear, request(had));
    expect(gone).toHaveLength(set.length);
    for (const [index, line] of gone.entries()) {
      const where = (one = '') => /^[^=]+|path=[^;]+/g[Symbol.match](one);
      expect(where(line)).toEqual(where(set[index]));
      expect(line).toContain('expires=Thu, 01 Jan 1970');
    }
  }
});

test('one that is empty is none, and a message that another has signed is none', () => {
  const { form, flashMessage } = createCookies({ basePath: '' });
  const cookie = form('/forgot');
  expect(cookie.get(request('symbolon_form='))).toBeUndefined();
  expect(cookie.get(request('symbolon_form=x'))).toBe('x');
  expect(flashMessage.get(request('symbolon_notice=x; symbolon_notice.sig=x'))).toBeUndefined();
});

test('a value that stays is made once, and is set again', () => {
  const cookie = createCookies({ basePath: '' }).signUp;
  let made = '';
  const lines = sent((ctx) => {
    made = cookie.ensure(ctx);
  });
  expect(made).toMatch(/^[\w-]{43}$/);
  expect(lines[0]).toContain(`symbolon_sign_up=${made};`);
  const again = request(`symbolon_sign_up=${made}`);
  expect(cookie.ensure(again)).toBe(made);
  expect(sent(() => undefined, again)[0]).toContain(`symbolon_sign_up=${made};`);
});
