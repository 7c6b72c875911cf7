// The engine's session, for pages of our own: who is signed in to the provider in this browser, and signing in
// without a relying party. A sign-in that has ended elsewhere counts as none.
import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';
import type { Config } from '../config.ts';
import type { Engine } from '../provider/engine.ts';
import type { Account } from '../generated/client.ts';
import { answered } from '../storage/errors.ts';
import { type Storage, epoch } from '../storage/unit-of-work.ts';

export interface SignedIn {
  readonly account: Account;
  /** When, in seconds since the epoch. */
  readonly authTime: number;
  readonly amr: string[];
}

export interface BrowserSession {
  readonly find: (ctx: Context) => Promise<SignedIn | undefined>;
  /** Signs a person in; what this browser's session was before is gone. */
  readonly start: (ctx: Context, account: Account, amr: string[]) => Promise<void>;
}

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
}

export function createBrowserSession({ config, storage, engine }: Parts): BrowserSession {
  const { prisma } = storage;
  type Session = Omit<InstanceType<Provider['Session']>, 'exp'> & { exp?: number };
  // A session that was never saved has no expiry yet.
  const sessionOf = (ctx: Context, provider = engine.provider): Promise<Session> =>
    provider.Session.get(ctx);
  return {
    async find(ctx) {
      const { accountId: id, loginTs = 0, amr = [] } = await sessionOf(ctx);
      if (id === undefined) return undefined;
      const account = await answered(() => prisma.account.findUnique({ where: { id } }));
      if (!account || account.lockedAt) return undefined;
      const signedOut = account.signedOutAt ? account.signedOutAt.getTime() / 1000 : 0;
      return loginTs <= signedOut ? undefined : { account, authTime: loginTs, amr };
    },
    async start(ctx, account, amr) {
      const { provider } = engine;
      const former = await sessionOf(ctx, provider);
      if (former.exp !== undefined) await former.destroy();
      const session: Session = new provider.Session();
      session.loginAccount({ accountId: account.id, loginTs: epoch(storage.now()), amr });
      await session.save(config.ttl.session);
      const { cookies } = provider.createContext(ctx.req, ctx.res);
      cookies.secure = ctx.secure;
      cookies.set(provider.cookieName('session'), session.jti, {
        httpOnly: true,
        sameSite: 'lax',
        expires: new Date((session.exp ?? 0) * 1000),
      });
    },
  };
}
