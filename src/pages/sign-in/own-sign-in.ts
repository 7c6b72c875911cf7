// /sign-in: signing in for pages of our own. A page calls `sessions.require(ctx, …)` (browser-session.ts), which sends
// here anyone who is not signed in, not recently or not at the required level. From here the person comes back to the
// page, which checks again. So nothing in this URL need be trusted.
import Router from '@koa/router';
import type { Context } from 'koa';
import { type Level, isLevel, suffices } from '../../accounts/factors.ts';
import type { Config } from '../../config/config.ts';
import type { Engine } from '../../provider/engine.ts';
import { type Storage, epoch } from '../../storage/storage.ts';
import { createBrowserSession } from '../browser-session.ts';
import { createCookies } from '../cookies.ts';
import { createFormReader } from '../forms.ts';
import { type Renderer, preferLanguages } from '../render.ts';
import { seeOther } from '../responses.ts';
import type { SignInContext } from './context.ts';
import type { SignIn } from './sign-in.ts';

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
  const action = `${config.basePath}/sign-in`;
  const browser = createCookies(config).form(action);
  const router = new Router({ prefix: '/sign-in' });

  router.get('/', async (ctx) => {
    const person = await sessions.find(ctx);
    const context = await contextOf(ctx);
    const { level, since } = demandOf(ctx, storage.now());
    const isEnough =
      person !== undefined &&
      suffices(person.level, level ?? '1fa') &&
      (since === undefined || person.authTime >= since);
    if (isEnough) {
      goBack(ctx, config);
      return;
    }
    const again =
      person !== undefined && context.person === undefined && ctx.query['other'] === undefined;
    await signIn.page(ctx, context, {
      email: again ? person.account.email : undefined,
      hint: again ? renderer.language(ctx).t('sign-in.again') : undefined,
    });
  });
  signIn.routes(router, createFormReader(config), contextOf);
  return router;

  async function contextOf(ctx: Context): Promise<SignInContext> {
    const subject = `sign-in ${browser.ensure(ctx)}`;
    const { level, since } = demandOf(ctx, storage.now());
    const found = await sessions.find(ctx);
    preferLanguages(ctx, undefined, found?.account.locale);
    const isLate = since !== undefined && found !== undefined && found.authTime < since;
    const isOther = ctx.query['other'] !== undefined;
    const query = ctx.querystring.replace(/&?with=recovery/, '');
    return {
      subject,
      action,
      query: query === '' ? '' : `?${query}`,
      wanted: level,
      person:
        found && level && !isLate && !isOther && !suffices(found.level, level) ? found : undefined,
      async finish(answer, { account, amr, authTime }) {
        await sessions.start(answer, account, amr, authTime);
        goBack(answer, config);
      },
    };
  }
}

/** The level that a page requires, and the earliest time of the sign-in, in seconds since the epoch. */
function demandOf(
  ctx: Context,
  now: Date,
): { level: Level | undefined; since: number | undefined } {
  const { level, since } = ctx.query;
  return {
    level: isLevel(level) ? level : undefined,
    // Nobody can have signed in later than now.
    since: typeof since === 'string' ? Math.min(Number(since) || 0, epoch(now)) : undefined,
  };
}

/** Redirects to the page that asked: always one of ours, whatever the URL says. */
function goBack(ctx: Context, { issuer, basePath }: Config): void {
  const { to } = ctx.query;
  const { origin } = new URL(issuer);
  const url = typeof to === 'string' ? URL.parse(to, origin) : null;
  const isOurs = url?.origin === origin && `${url.pathname}/`.startsWith(`${basePath}/`);
  // With the origin: a path that begins with two slashes would lead to another host.
  seeOther(ctx, isOurs ? origin + url.pathname + url.search : `${basePath}/`);
}
