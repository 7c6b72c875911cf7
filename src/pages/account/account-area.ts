// What all pages under /account share: the sign-in that they require, forms that only their page can send, the
// navigation, a message after a change. A person sees and changes only their own data.
import type { Context, Middleware } from 'koa';
import { FactorError, factorsOf, hasSecondFactor, united } from '../../accounts/factors.ts';
import type { Limits } from '../../accounts/limits.ts';
import type { Config } from '../../config/config.ts';
import type { Language, MessageKey, Values } from '../../languages.ts';
import type { Engine } from '../../provider/engine.ts';
import { answered } from '../../storage/errors.ts';
import type { Telling } from '../../storage/revocation.ts';
import type { Storage } from '../../storage/storage.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import {
  type BrowserSession,
  type Demand,
  type SignedIn,
  createBrowserSession,
} from '../browser-session.ts';
import { createCookies } from '../cookies.ts';
import {
  type Form,
  type ReadForm,
  assertFormToken,
  createFormReader,
  formToken,
} from '../forms.ts';
import { type Renderer, preferLanguages } from '../render.ts';
import { seeOther } from '../responses.ts';
import type { KnownBrowser } from '../sign-in/known-browser.ts';
import type { AccountFrame, AccountViews } from '../views/account.ts';
import type { When } from '../views/partials.ts';
import type { Views } from '../views/views.ts';
import { leaveFlashMessage, takeFlashMessage } from './flash-message.ts';

export interface AccountAreaParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly limits: Limits;
  readonly knownBrowser: KnownBrowser;
}

type Visit = (ctx: Context, person: SignedIn) => Promise<void> | void;
type Change = (ctx: Context, person: SignedIn, form: Form) => Promise<void> | void;

export interface AccountArea extends AccountAreaParts {
  readonly sessions: BrowserSession;
  /** The URL path of the overview. */
  readonly base: string;
  /**
   * A page. Whoever is not signed in has to sign in first.
   *
   * @param isFresh requires a sign-in of the last 15 minutes, with the second factor if the account has one
   */
  readonly show: (visit: Visit, isFresh?: boolean) => Middleware;
  /**
   * The action of a form.
   *
   * @param freshAt set if a fresh sign-in is required: the page to come back to after it
   * @param read reads the form, when it comes with a file
   */
  readonly take: (change: Change, freshAt?: string, read?: ReadForm) => Middleware;
  readonly page: <N extends keyof AccountViews>(
    ctx: Context,
    person: SignedIn,
    page: N,
    data: AccountViews[N],
  ) => void;
  /** Answers a form: redirects to a page, which says what was done. */
  readonly done: (ctx: Context, page: string, key: MessageKey, values?: Values) => void;
  /** Adds a factor that was just set up to the session's, so that it is not asked for at the next change. */
  readonly gain: (ctx: Context, person: SignedIn, amr: string[]) => Promise<void>;
  /** Does a change of factors. If it is refused, the page says why. */
  readonly orSayWhy: (ctx: Context, page: string, change: () => Promise<void>) => Promise<void>;
  readonly language: (ctx: Context) => Language;
  /** A revocation by the person, now and from here. */
  readonly revocation: () => Telling;
  readonly when: (ctx: Context, date: Date) => When;
}

const FRESH = 15 * 60; // seconds

const navigation = [
  { page: '', key: 'profile.profile' },
  { page: '/applications', key: 'profile.applications' },
  { page: '/sessions', key: 'profile.sessions' },
  { page: '/methods', key: 'profile.methods' },
  { page: '/history', key: 'profile.history' },
] as const;

export function createAccountArea(parts: AccountAreaParts): AccountArea {
  const { config, storage, renderer } = parts;
  const { keyring } = storage;
  const base = `${config.basePath}/account`;
  const sessions = createBrowserSession(parts);
  const readForm = createFormReader(config);
  const { flashMessage: flashCookie } = createCookies(config);

  return {
    ...parts,
    sessions,
    base,
    language: renderer.language,
    show: (visit, isFresh) => async (ctx) => {
      const person = await require(ctx, isFresh ? await sure(ctx) : {});
      if (person) await visit(ctx, person);
    },
    take:
      (change, freshAt, read = readForm) =>
      async (ctx) => {
        const form = await read(ctx);
        const demand = freshAt === undefined ? {} : await sure(ctx);
        const person = await require(ctx, { ...demand, to: `/account${freshAt ?? ''}` });
        if (!person) return;
        if (!form.isTooLong) assertFormToken(keyring, subject(person), form);
        await change(ctx, person, form);
      },
    page,
    done(ctx, page, key, values) {
      leaveFlashMessage(ctx, flashCookie, key, values);
      seeOther(ctx, base + page);
    },
    gain: (ctx, person, shown) => sessions.raise(ctx, person, united(person.amr, shown)),
    async orSayWhy(ctx, page, change) {
      try {
        await change();
      } catch (error) {
        if (!(error instanceof FactorError)) throw error;
        leaveFlashMessage(ctx, flashCookie, error.code);
        seeOther(ctx, base + page);
      }
    },
    revocation: () => ({
      keyring: storage.keyring,
      reason: 'revoked_by_user',
      now: storage.now(),
      origin: currentUnit().origin,
    }),
    when(ctx, date) {
      const language = renderer.language(ctx);
      return {
        iso: date.toISOString(),
        relative: language.relative(date, storage.now()),
        absolute: language.date(date, true),
      };
    },
  };

  function page<N extends keyof AccountViews>(
    ctx: Context,
    person: SignedIn,
    name: N,
    data: AccountViews[N],
  ): void {
    const { t } = renderer.language(ctx);
    const here = ctx.path.replace(/^\/account/, '');
    const { deleteAt } = person.account;
    const csrf = formToken(keyring, subject(person));
    const frame: AccountFrame = {
      nav: navigation.map(({ page, key }) => ({
        href: base + page,
        text: t(key),
        isHere: page === '' ? here === '' || here === '/' : here.startsWith(page),
      })),
      signOut: `${config.basePath}/logout`,
      notice: flashMessageOf(ctx),
      leaving:
        deleteAt === null
          ? undefined
          : { date: renderer.language(ctx).date(deleteAt, true), keep: `${base}/data/keep`, csrf },
      csrf,
      account: person.account,
      accountBase: base,
    };
    // A view is the frame and the data by definition, which the compiler does not see for a generic name.
    const view = { ...frame, ...data } as Views[`account-${N}`];
    renderer.page(ctx, `account-${name}`, view);
  }

  function flashMessageOf(ctx: Context): string | undefined {
    const message = takeFlashMessage(ctx, flashCookie);
    return message && renderer.language(ctx).t(message.key, message.values);
  }

  async function require(ctx: Context, demand: Demand): Promise<SignedIn | undefined> {
    const person = await sessions.require(ctx, demand);
    preferLanguages(ctx, undefined, person?.account.locale);
    return person;
  }

  // Another browser may have added the second factor after this one signed in with the password alone.
  async function sure(ctx: Context): Promise<Demand> {
    const id = (await sessions.find(ctx))?.account.id;
    if (id === undefined) return { maxAge: FRESH };
    const factors = await answered(() => factorsOf(storage.prisma, id));
    return { maxAge: FRESH, ...(hasSecondFactor(factors) ? { level: '2fa' } : {}) };
  }
}

// A form belongs to its person, and to the sign-in under which it was shown.
function subject({ account, authTime }: SignedIn): string {
  return `account ${account.id} ${authTime}`;
}
