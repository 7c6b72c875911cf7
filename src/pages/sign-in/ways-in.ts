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
  /** The URL of the interaction to go on with. It is not remembered any longer. */
  readonly find: (ctx: Context) => Promise<string | undefined>;
  /** The URL of the interaction that the link to this page named, to sign in there instead. */
  readonly here: (ctx: Context) => Promise<string | undefined>;
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
      const uid = namedIn(ctx);
      if (uid !== undefined) cookie.set(ctx, uid);
    },
    async here(ctx) {
      const uid = namedIn(ctx) ?? cookie.get(ctx); // a form that was sent names none
      const interaction =
        uid === undefined ? undefined : await engine.provider.Interaction.find(uid);
      return interaction && urlOf(interaction);
    },
    async find(ctx) {
      const uid = cookie.get(ctx);
      if (uid === undefined) return undefined;
      cookie.clear(ctx);
      const interaction = await engine.provider.Interaction.find(uid);
      return interaction && urlOf(interaction);
    },
  };
  // A request with prompt=create leads to signing up, unless the person has come back from there.
  function urlOf({ uid, prompt }: { uid: string; prompt: { name: string } }): string {
    return `${base}/interaction/${uid}${prompt.name === 'create' ? '?account=other' : ''}`;
  }
}

function namedIn({ query: { interaction } }: Context): string | undefined {
  return typeof interaction === 'string' && /^[\w-]{1,64}$/.test(interaction)
    ? interaction
    : undefined;
}
