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

const issuer = 'https://id.example';
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
  const { form, factor, ...others } = createCookies({ basePath, issuer });
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
    form: [`__Host-symbolon_form_op_forgot=x; path=/; samesite=strict; ${common}`],
    factor: [
      `__Secure-symbolon_factor=x; path=/op/interaction/1; for 600000; samesite=lax; ${common}`,
    ],
    signUp: [`__Host-symbolon_sign_up=x; path=/; for 86400000; samesite=lax; ${common}`],
    return: [`__Host-symbolon_return=x; path=/; samesite=lax; ${common}`],
    browser: [`__Host-symbolon_browser=x; path=/; for 34560000000; samesite=lax; ${common}`],
    flashMessage: [
      `__Host-symbolon_notice=x; path=/; for 60000; samesite=strict; ${common}`,
      expect.stringMatching(
        /^__Host-symbolon_notice\.sig=[^;]+; path=\/; for 60000; samesite=strict; secure; httponly$/,
      ),
    ],
  });
});

test('without TLS they have no prefix, which browsers would refuse, but the issuer’s path', () => {
  const { form, factor, browser } = createCookies({
    basePath: '/op',
    issuer: 'http://id.example/op',
  });
  const lines = [form('/op/forgot'), factor('/op/interaction/1'), browser].flatMap((cookie) =>
    sent((ctx) => {
      cookie.set(ctx, 'x');
    }),
  );
  expect(lines.map((line) => line.split('; ').slice(0, 2))).toEqual([
    ['symbolon_form=x', 'path=/op/forgot'],
    ['symbolon_factor=x', 'path=/op/interaction/1'],
    ['symbolon_browser=x', 'path=/op'],
  ]);
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
  const { form, flashMessage } = createCookies({ basePath: '', issuer });
  const cookie = form('/forgot');
  expect(cookie.get(request('__Host-symbolon_form_forgot='))).toBeUndefined();
  expect(cookie.get(request('__Host-symbolon_form_forgot=x'))).toBe('x');
  expect(
    flashMessage.get(request('__Host-symbolon_notice=x; __Host-symbolon_notice.sig=x')),
  ).toBeUndefined();
});

test('a value that stays is made once, and is set again', () => {
  const cookie = createCookies({ basePath: '', issuer }).signUp;
  let made = '';
  const lines = sent((ctx) => {
    made = cookie.ensure(ctx);
  });
  expect(made).toMatch(/^[\w-]{43}$/);
  expect(lines[0]).toContain(`__Host-symbolon_sign_up=${made};`);
  const again = request(`__Host-symbolon_sign_up=${made}`);
  expect(cookie.ensure(again)).toBe(made);
  expect(sent(() => undefined, again)[0]).toContain(`__Host-symbolon_sign_up=${made};`);
});
