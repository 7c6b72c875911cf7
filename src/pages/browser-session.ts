// The engine's session, for pages of our own: the person who is signed in to the provider in this browser, and at which
// level; and signing in without a relying party. A sign-in that has ended elsewhere counts as none.
//
// A page begins with `const person = await sessions.require(ctx)` and returns when that is undefined: then the answer
// already leads to the sign-in (own-sign-in.ts) and from there back. A sensitive page asks for more: `require(ctx, {
// maxAge: 300 })` for a sign-in within the last five minutes, `{ level: '2fa' }` for a second factor. A form that is
// posted names the page to come back to: `{ to: '/account' }`.
import type { Context } from 'koa';
import type { Provider } from 'oidc-provider';
import { isSignInOver, signInTime } from '../accounts/changes.ts';
import { type Level, levelOf, suffices } from '../accounts/factors.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../provider/engine.ts';
import { sessionLife } from '../provider/lifetimes.ts';
import type { Account } from '../generated/client.ts';
import { answered } from '../storage/errors.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { setSessionCookie } from './cookies.ts';
import { seeOther } from './responses.ts';

export interface SignedIn {
  readonly account: Account;
  /** The time of the sign-in, in seconds since the epoch. */
  readonly authTime: number;
  /** The verified methods (RFC 8176), and the level that they reach. */
  readonly amr: string[];
  readonly level: Level | undefined;
  /** The uid of this browser's session. */
  readonly sessionUid: string;
}

/** What a page requires of the sign-in. */
export interface Demand {
  readonly level?: Level;
  /** Seconds since the sign-in. */
  readonly maxAge?: number;
  /** The path to come back to, below the issuer's; not set: the requested page. */
  readonly to?: string;
}

export interface BrowserSession {
  readonly find: (ctx: Context) => Promise<SignedIn | undefined>;
  /** The person, if the sign-in meets the demand. @returns undefined when the answer now leads to the sign-in */
  readonly require: (ctx: Context, demand?: Demand) => Promise<SignedIn | undefined>;
  /**
   * Signs a person in. Another person's session in this browser ends.
   *
   * @param authTime seconds since the epoch, if an earlier sign-in goes on with more factors
   */
  readonly start: (
    ctx: Context,
    account: Account,
    amr: string[],
    authTime?: number,
  ) => Promise<void>;
  /** Adds factors to the session of a person who is signed in; it gets another id. */
  readonly raise: (ctx: Context, person: SignedIn, amr: string[]) => Promise<void>;
  /** Signs a person in again after all their sessions have just been ended, this browser's included. */
  readonly startAnew: (ctx: Context, account: Account, amr: string[]) => Promise<void>;
}

type EngineSession = Omit<InstanceType<Provider['Session']>, 'exp'> & { exp?: number };

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
}

export function createBrowserSession({ config, storage, engine }: Parts): BrowserSession {
  const { prisma } = storage;
  const base = config.basePath;
  // A session that was never saved has no expiry yet.
  const sessionOf = (ctx: Context, provider = engine.provider): Promise<EngineSession> =>
    provider.Session.get(ctx);
  return { find, require, start, raise, startAnew };

  async function find(ctx: Context): Promise<SignedIn | undefined> {
    const { accountId: id, loginTs = 0, amr = [], uid } = await sessionOf(ctx);
    if (id === undefined) return undefined;
    const account = await answered(() => prisma.account.findUnique({ where: { id } }));
    if (!account || account.lockedAt) return undefined;
    if (isSignInOver(loginTs, account.signedOutAt)) return undefined;
    if (sessionLife(config, loginTs, storage.now()) <= 0) return undefined;
    currentUnit().actsAs({ kind: 'person', id });
    return { account, authTime: loginTs, amr, level: levelOf(amr), sessionUid: uid };
  }

  async function require(ctx: Context, demand: Demand = {}): Promise<SignedIn | undefined> {
    const person = await find(ctx);
    const { level, maxAge, to } = demand;
    const since = maxAge === undefined ? undefined : epoch(storage.now()) - maxAge;
    const isEnough =
      person !== undefined &&
      (level === undefined || suffices(person.level, level)) &&
      (since === undefined || person.authTime >= since);
    if (isEnough) return person;
    const query = new URLSearchParams({
      to: to === undefined ? ctx.originalUrl : base + to,
      ...(level === undefined ? {} : { level }),
      ...(since === undefined ? {} : { since: String(since) }),
    });
    seeOther(ctx, `${base}/sign-in?${query.toString()}`);
    return undefined;
  }

  async function start(
    ctx: Context,
    account: Account,
    amr: string[],
    authTime = signInTime(account, storage.now()),
  ): Promise<void> {
    const { provider } = engine;
    const former = await sessionOf(ctx, provider);
    const isSame = (await find(ctx))?.account.id === account.id;
    if (!isSame && former.exp !== undefined) await former.destroy();
    // The same person's session stays, with its applications.
    if (isSame) await goOn(ctx, provider, former, account, amr, authTime);
    else await signIn(ctx, provider, new provider.Session(), account, amr, authTime);
  }

  async function raise(
    ctx: Context,
    { account, authTime }: SignedIn,
    amr: string[],
  ): Promise<void> {
    const { provider } = engine;
    await goOn(ctx, provider, await sessionOf(ctx, provider), account, amr, authTime);
  }

  async function goOn(
    ctx: Context,
    provider: Provider,
    session: EngineSession,
    account: Account,
    amr: string[],
    authTime: number,
  ): Promise<void> {
    (session as unknown as { resetIdentifier(): void }).resetIdentifier();
    await signIn(ctx, provider, session, account, amr, authTime);
  }

  async function startAnew(ctx: Context, account: Account, amr: string[]): Promise<void> {
    const { provider } = engine;
    const now = storage.now();
    const authTime = signInTime({ signedOutAt: now }, now);
    await signIn(ctx, provider, new provider.Session(), account, amr, authTime);
  }

  async function signIn(
    ctx: Context,
    provider: Provider,
    session: EngineSession,
    { id: accountId }: Account,
    amr: string[],
    authTime: number,
  ): Promise<void> {
    session.loginAccount({ accountId, loginTs: authTime, amr });
    await session.save(sessionLife(config, authTime, storage.now()));
    setSessionCookie(ctx, provider, session);
  }
}
