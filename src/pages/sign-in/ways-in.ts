// Other ways to an account than signing in: a forgotten password, signing up. They lead back to the interaction that a
// person came from, if it is still alive and began in this browser.
import type { Context } from 'koa';
import type { Config } from '../../config/config.ts';
import type { Engine } from '../../provider/engine.ts';
import { createCookies } from '../cookies.ts';
import type { WaysInView } from '../views/partials.ts';

export interface WaysBack {
  /** Remembers the interaction that the person comes from. */
  readonly remember: (ctx: Context) => void;
  /** The URL of the interaction to go on with. */
  readonly find: (ctx: Context) => Promise<string | undefined>;
}

/** The links for a sign-in page. @param uid the page's interaction */
export function waysIn({ signUp, basePath: base }: Config, uid?: string): WaysInView {
  const query = uid === undefined ? '' : `?interaction=${uid}`;
  return {
    forgot: `${base}/forgot${query}`,
    ...(signUp === 'open' ? { signUp: `${base}/sign-up${query}` } : {}),
  };
}

export function createWaysBack(
  config: Pick<Config, 'basePath' | 'issuer'>,
  engine: Engine,
): WaysBack {
  const { basePath: base } = config;
  const cookie = createCookies(config).return;
  return {
    remember(ctx) {
      const { interaction } = ctx.query;
      if (typeof interaction === 'string' && /^[\w-]{1,64}$/.test(interaction))
        cookie.set(ctx, interaction);
    },
    async find(ctx) {
      const uid = cookie.get(ctx);
      if (uid === undefined) return undefined;
      cookie.clear(ctx);
      const interaction = await engine.provider.Interaction.find(uid);
      return interaction && `${base}/interaction/${uid}`;
    },
  };
}
