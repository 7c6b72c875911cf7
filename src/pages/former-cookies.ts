// Cookies from before their names had a prefix: a person who was signed in then stays signed in. A sub-domain's page can
// set such a name for this host as well, for all hosts of the domain. So a former cookie counts only once the browser has
// shown that it is this host's own: the host deletes its own, asks for the page again, and sees whether it is gone. What
// is still sent then is somebody else's.
import type { Context, Next } from 'koa';
import type { Config } from '../config/config.ts';
import { type FormerCookie, createFormerCookies, giveNow } from './cookies.ts';
import { sameAgain } from './responses.ts';

type Parts = Pick<Config, 'basePath' | 'issuer' | 'ttl'>;
type Values = Readonly<Record<string, string | undefined>>;

/** Middleware, to be removed once nobody can have a session from before. */
export function honourFormerCookies(config: Parts) {
  const { marker, cookies } = createFormerCookies(config);
  const { origin, protocol } = new URL(config.issuer);

  return async (ctx: Context, next: Next): Promise<void> => {
    const isPage = protocol === 'https:' && ctx.accepts('json', 'html') === 'html';
    if (isPage && marker.get(ctx) !== undefined) {
      takeOver(ctx);
    } else if (isPage) {
      const found = cookies.filter(
        ({ former, current }) => former.count(ctx) > 0 && current.count(ctx) === 0,
      );
      if (found.length > 0) {
        askAgain(ctx, found);
        return;
      }
    }
    await next();
  };

  function askAgain(ctx: Context, found: readonly FormerCookie[]): void {
    const values: Record<string, string | undefined> = {};
    for (const { key, former } of found) {
      // Of two with one name, one is somebody else's.
      if (former.count(ctx) === 1) values[key] = former.get(ctx);
      former.clear(ctx);
    }
    marker.set(ctx, encode(values));
    ctx.set('Cache-Control', 'no-store');
    sameAgain(ctx, origin + ctx.originalUrl);
  }

  function takeOver(ctx: Context): void {
    const values = decode(marker.get(ctx));
    for (const { key, former, current } of cookies) {
      const value = values[key];
      if (value !== undefined && former.count(ctx) === 0 && current.count(ctx) === 0)
        giveNow(ctx, current, value);
    }
    // As long as somebody else's is there, it is not asked about again.
    if (cookies.some(({ former }) => former.count(ctx) > 0)) marker.set(ctx, encode({}));
    else marker.clear(ctx);
  }
}

function encode(values: Values): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

function decode(text = ''): Values {
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Values;
}
