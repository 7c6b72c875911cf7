// /sign-in: signing in for pages of our own. A page asks with `sessions.require(ctx, …)` (browser-session.ts), which
// sends here who is not signed in, not far enough or not lately; from here the person comes back to the page, which
// asks again. So nothing that stands in this URL is believed.
import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { isLevel, suffices } from '../../accounts/factors.ts';
import type { Config } from '../../config/config.ts';
import type { Engine } from '../../provider/engine.ts';
import { type Storage, epoch } from '../../storage/storage.ts';
import { createBrowserSession } from '../browser-session.ts';
import { ownForm } from '../form-requests.ts';
import { type Renderer, preferLanguages } from '../render.ts';
import type { Place, SignIn } from './sign-in.ts';

const COOKIE = 'symbolon_form';

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly signIn: SignIn;
}

export function createOwnSignIn(parts: Parts): Router {
  const { config, storage, renderer, signIn } = parts;
  const sessions = createBrowserSession(parts);
  const issuer = new URL(config.issuer);
  const base = config.basePath;
  const action = `${base}/sign-in`;
  const router = new Router({ prefix: '/sign-in' });

  router.get('/', async (ctx) => {
    const person = await sessions.find(ctx);
    const place = await placeOf(ctx);
    const { level, since } = asked(ctx);
    const isEnough =
      person !== undefined &&
      suffices(person.level, level ?? '1fa') &&
      (since === undefined || person.authTime >= since);
    if (isEnough) {
      ctx.redirect(target(ctx));
      ctx.status = 303;
      return;
    }
    const again =
      person !== undefined && place.person === undefined && ctx.query['other'] === undefined;
    await signIn.page(ctx, place, {
      email: again ? person.account.email : undefined,
      hint: again ? renderer.language(ctx).t('sign-in.again') : undefined,
    });
  });
  signIn.routes(router, ownForm(config), placeOf);
  return router;

  async function placeOf(ctx: Context): Promise<Place> {
    const browser =
      ctx.cookies.get(COOKIE, { signed: false }) ?? randomBytes(16).toString('base64url');
    const options = {
      httpOnly: true,
      sameSite: 'strict',
      secure: ctx.secure,
      signed: false,
    } as const;
    ctx.cookies.set(COOKIE, browser, { ...options, path: action });
    const { level, since } = asked(ctx);
    const found = await sessions.find(ctx);
    preferLanguages(ctx, undefined, found?.account.locale);
    const isLate = since !== undefined && found !== undefined && found.authTime < since;
    const isOther = ctx.query['other'] !== undefined;
    const query = ctx.querystring.replace(/&?with=recovery/, '');
    return {
      subject: `sign-in ${browser}`,
      action,
      query: query === '' ? '' : `?${query}`,
      wanted: level,
      person:
        found && level && !isLate && !isOther && !suffices(found.level, level) ? found : undefined,
      async finish(answer, { account, amr, authTime }) {
        await sessions.start(answer, account, amr, authTime);
        answer.redirect(target(answer));
        answer.status = 303;
      },
    };
  }

  function asked(ctx: Context) {
    const { level, since } = ctx.query;
    return {
      level: isLevel(level) ? level : undefined,
      // Nobody has signed in after now.
      since:
        typeof since === 'string' ? Math.min(Number(since) || 0, epoch(storage.now())) : undefined,
    };
  }

  /** Back to the page that asked: one of ours, whatever the URL says. */
  function target(ctx: Context): string {
    const { to } = ctx.query;
    const url = typeof to === 'string' ? URL.parse(to, issuer.origin) : null;
    const isOurs = url?.origin === issuer.origin && `${url.pathname}/`.startsWith(`${base}/`);
    // With its origin: a path may begin with two slashes, and would be another host's alone.
    return isOurs ? issuer.origin + url.pathname + url.search : `${base}/`;
  }
}
