// Cookies from before their names had a prefix: a person who was signed in then stays signed in. A sub-domain's page can
// set such a name for this host as well, for all hosts of the domain. So a former cookie counts only once the browser has
// shown that it is this host's own: the host deletes its own, asks for the page again, and sees whether it is gone. What
// is still sent then is somebody else's.
import type { Context, Next } from 'koa';
import type { Config } from '../config/config.ts';
import { cookieName } from '../operations/cookie-names.ts';
import { type Cookies, createCookies } from './cookies.ts';

type Parts = Pick<Config, 'basePath' | 'issuer' | 'ttl'>;

/** Middleware, to be removed once nobody can have a session from before. */
export function honourFormerCookies(config: Parts) {
  const cookies = createCookies(config);
  const { origin, protocol } = new URL(config.issuer);
  const former = [
    { name: 'symbolon_session', path: '/', signed: true, life: config.ttl.session },
    { name: 'symbolon_browser', path: config.basePath || '/', signed: false, life: 400 * 86_400 },
  ];
  type Former = (typeof former)[number];
  const present = (ctx: Context, name: string) =>
    ctx
      .get('cookie')
      .split(';')
      .filter((pair) => pair.trim().startsWith(`${name}=`)).length;

  return async (ctx: Context, next: Next): Promise<void> => {
    const isPage = protocol === 'https:' && ctx.accepts('json', 'html') === 'html';
    if (isPage && cookies.former.get(ctx) !== undefined) {
      takeOver(ctx, cookies.former);
    } else if (isPage) {
      const found = former.filter(
        ({ name }) =>
          present(ctx, name) > 0 && present(ctx, cookieName(config.issuer, name, '/')) === 0,
      );
      if (found.length > 0) {
        askAgain(ctx, found);
        return;
      }
    }
    await next();
  };

  function askAgain(ctx: Context, found: readonly Former[]): void {
    // Of two with one name, one is somebody else's.
    const values = found.flatMap(({ name, signed }): [string, string | undefined][] =>
      present(ctx, name) === 1 ? [[name, ctx.cookies.get(name, { signed })]] : [],
    );
    cookies.former.set(ctx, encode(Object.fromEntries(values)));
    for (const { name, path, signed } of found)
      ctx.cookies.set(name, null, { path, signed, httpOnly: true });
    ctx.set('Cache-Control', 'no-store');
    ctx.status = 307; // the same method and body
    ctx.redirect(origin + ctx.originalUrl);
  }

  function takeOver(ctx: Context, marker: Cookies['former']): void {
    const values = decode(marker.get(ctx));
    for (const { name, signed, life } of former) {
      const value = values[name];
      const current = cookieName(config.issuer, name, '/');
      if (value === undefined || present(ctx, name) > 0 || present(ctx, current) > 0) continue;
      const options = { httpOnly: true, sameSite: 'lax', path: '/', signed } as const;
      ctx.cookies.set(current, value, { ...options, maxAge: life * 1000 });
      // For this request: what has just been set.
      const sent = [ctx.response.get('set-cookie') as unknown as string | string[]].flat();
      const pairs = sent.flatMap((line) => (line.startsWith(current) ? [line.split(';')[0]] : []));
      ctx.req.headers.cookie = [ctx.get('cookie'), ...pairs].join('; ');
    }
    // As long as somebody else's is there, it is not asked about again.
    if (former.some(({ name }) => present(ctx, name) > 0)) marker.set(ctx, encode({}));
    else marker.clear(ctx);
  }
}

function encode(values: Readonly<Record<string, string | undefined>>): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

function decode(text = ''): Readonly<Record<string, string | undefined>> {
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, string>;
}
