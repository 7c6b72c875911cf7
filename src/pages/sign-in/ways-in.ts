// The ways to an account besides signing in: a forgotten password, signing up. Whoever takes one out of an interaction
// is brought back to it afterwards, if it still lives and this is the browser that it began in.
import type { Context } from 'koa';
import type { Config } from '../../config/config.ts';
import type { Engine } from '../../provider/engine.ts';
import { createCookies } from '../cookies.ts';
import type { WaysInView } from '../views/partials.ts';

export interface WaysBack {
  /** Remembers the interaction that somebody comes from. */
  readonly remember: (ctx: Context) => void;
  /** Where to go on: the interaction, or undefined. */
  readonly find: (ctx: Context) => Promise<string | undefined>;
}

/** Links for a sign-in page. @param uid the interaction that the page belongs to */
export function waysIn({ mail, signUp, basePath: base }: Config, uid?: string): WaysInView {
  const query = uid === undefined ? '' : `?interaction=${uid}`;
  return {
    ...(mail.mode === 'off' ? {} : { forgot: `${base}/forgot${query}` }),
    ...(signUp === 'open' ? { signUp: `${base}/sign-up${query}` } : {}),
  };
}

export function createWaysBack(config: Pick<Config, 'basePath'>, engine: Engine): WaysBack {
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
