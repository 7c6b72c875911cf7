// Signing in, once for every place that asks for it: an authorization request (interactions.ts) and pages of our own
// (own-sign-in.ts, which says how a page asks for it). Password, then the second factor when the account has one; or a
// passkey alone. Nobody is signed in before all of it is there: what was verified so far is kept sealed in a cookie,
// which opens only in the place where it was made, for ten minutes.
import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { authenticate, findAccountByEmail } from '../../accounts/accounts.ts';
import {
  FactorError,
  type Level,
  type Method,
  factorsOf,
  missingMethods,
  united,
} from '../../accounts/factors.ts';
import { type Limits, TooManyAttempts } from '../../accounts/limits.ts';
import { authenticationOptions, verifyPasskey } from '../../accounts/passkeys.ts';
import { looksLikeRecoveryCode, useRecoveryCode } from '../../accounts/recovery-codes.ts';
import { verifyTotp } from '../../accounts/totp.ts';
import { signInTime } from '../../accounts/changes.ts';
import type { Config } from '../../config/config.ts';
import type { Account } from '../../generated/client.ts';
import type { AuditEvent } from '../../storage/audit.ts';
import { answered } from '../../storage/errors.ts';
import { type Storage, epoch } from '../../storage/storage.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import type { ClientView } from '../client-view.ts';
import { ForeignForm } from '../error-page.ts';
import { formOf } from '../form-requests.ts';
import { formToken, isFormToken } from '../form-token.ts';
import type { KnownBrowser } from './known-browser.ts';
import { type Renderer, pagePolicy } from '../render.ts';
import { waysIn } from './ways-in.ts';

export interface SignInParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly renderer: Renderer;
  readonly limits: Limits;
  readonly knownBrowser: KnownBrowser;
}

/** Where somebody signs in. */
export interface Place {
  /** What the sign-in belongs to: forms, challenges and what was verified so far are good for nothing else. */
  readonly subject: string;
  /** The path under which {@link SignIn.routes} are, and what belongs behind it. */
  readonly action: string;
  readonly query?: string;
  /** The path that a form posts to for going back. */
  readonly cancel?: string;
  /** Where another account is signed in to. */
  readonly other?: string;
  readonly client?: ClientView | undefined;
  readonly clientId?: string;
  /** The interaction that it belongs to, to which other ways in lead back. */
  readonly interaction?: string;
  /** The level that is asked for. */
  readonly wanted?: Level | undefined;
  /** Who is signed in here, when nothing but another factor is missing. */
  readonly person?: SignedIn | undefined;
  /** Signs the person in, and goes on. */
  readonly finish: (ctx: Context, verified: Verified) => Promise<void>;
}

/** What the page shows besides. */
interface Shown {
  readonly email?: string | undefined;
  readonly hint?: string | undefined;
  readonly errors?: { readonly summary: string } | undefined;
}

export interface SignIn {
  /** The page to start with: whichever factor is missing. */
  readonly page: (ctx: Context, place: Place, shown?: Shown) => Promise<void>;
  /** Adds the routes of a place to a router. @param parse reads a form of our own */
  readonly routes: (
    router: Router,
    parse: Middleware,
    placeOf: (ctx: Context) => Promise<Place>,
  ) => void;
}

/** Who has signed in, and how. */
export interface Verified {
  readonly account: Account;
  readonly amr: string[];
  /** When the sign-in was that has only got another factor now, in seconds; not set: all of it was verified now. */
  readonly authTime?: number | undefined;
}

const COOKIE = 'symbolon_factor';
const PROGRESS_LIFE = 600; // seconds

export function createSignIn(parts: SignInParts): SignIn {
  const { storage, renderer, limits, knownBrowser, config } = parts;
  const { prisma, keyring, now } = storage;
  return { page, routes };

  async function page(ctx: Context, place: Place, shown: Shown = {}): Promise<void> {
    if (place.person) await factorPage(ctx, place, place.person);
    else await passwordPage(ctx, place, shown);
  }

  function routes(
    router: Router,
    parse: Middleware,
    placeOf: (ctx: Context) => Promise<Place>,
  ): void {
    router.post('/sign-in', parse, async (ctx) => {
      const { place, field } = await submitted(ctx);
      const email = field('email');
      const account = await judged(
        () => password(ctx, place, email, field('password')),
        (summary) => passwordPage(ctx, place, { email, errors: { summary } }),
        ctx,
      );
      if (account) await goOn(ctx, place, { account, amr: ['pwd'] });
    });

    router.post('/passkey', parse, async (ctx) => {
      const { place, field } = await submitted(ctx);
      const signIn = await judged(
        () => passkey(place, field('passkey')),
        (summary) => passwordPage(ctx, place, { errors: { summary } }),
        ctx,
      );
      if (signIn) await goOn(ctx, place, signIn);
    });

    // The address of a form that was wrong, opened again.
    router.get(['/sign-in', '/passkey'], async (ctx) => {
      const { action, query = '' } = await placeOf(ctx);
      redirect(ctx, action + query);
    });

    router.get('/factor', async (ctx) => {
      const place = await placeOf(ctx);
      const progress = (await progressOf(ctx, place)) ?? place.person;
      if (progress) await factorPage(ctx, place, progress);
      else redirect(ctx, place.action + (place.query ?? ''));
    });

    router.post('/factor', parse, async (ctx) => {
      const { place, field } = await submitted(ctx);
      const progress = (await progressOf(ctx, place)) ?? place.person;
      if (!progress) {
        redirect(ctx, place.action + (place.query ?? '')); // it took too long, or ended elsewhere
        return;
      }
      const amr = await judged(
        () => secondFactor(ctx, place, progress, field),
        (summary) =>
          factorPage(
            ctx,
            place,
            progress,
            field('passkey') === '' ? { mistake: summary } : { alert: summary },
          ),
        ctx,
      );
      if (amr) await goOn(ctx, place, raised(progress, amr));
    });

    async function submitted(ctx: Context) {
      const place = await placeOf(ctx);
      const form = formOf(ctx);
      if (!isFormToken(keyring, place.subject, form.get('csrf')))
        throw new ForeignForm('the form token is missing or wrong');
      const field = (name: string) => form.get(name) ?? '';
      return { place, field };
    }
  }

  /** The next factor, or, when none is missing, the end. */
  async function goOn(ctx: Context, place: Place, verified: Verified): Promise<void> {
    const { account, amr } = verified;
    const factors = await answered(() => factorsOf(prisma, account.id));
    // A level that the account does not reach is told by whoever wants it; here all that there is was asked for.
    const missing =
      missingMethods(amr, factors, place.wanted) ?? missingMethods(amr, factors) ?? [];
    if (missing.length > 0) {
      keep(ctx, place, verified);
      redirect(ctx, `${place.action}/factor${place.query ?? ''}`);
      return;
    }
    forget(ctx, place);
    tellOfNewBrowser(ctx, account.id);
    knownBrowser.remember(ctx, account.id);
    currentUnit().audit({ type: 'sign_in', ...who(place, account.id), detail: { amr } });
    await place.finish(ctx, verified);
  }

  /** The person learns of a sign-in from a browser that has not signed the account in before. */
  function tellOfNewBrowser(ctx: Context, accountId: string): void {
    if (knownBrowser.of(ctx, accountId) !== undefined) return;
    const unit = currentUnit();
    unit.notice({ kind: 'new_device', accountId, now: now(), origin: unit.origin });
  }

  async function password(ctx: Context, place: Place, email: string, typed: string) {
    const known = await answered(() => findAccountByEmail(prisma, email));
    const browser = known ? knownBrowser.of(ctx, known.id) : undefined;
    const wasRight = await counted(place, known?.id, () =>
      limits.count({ what: 'password', account: email, from: { ip: ctx.ip, browser } }),
    );
    const account = await authenticate(prisma, email, typed);
    if (!account) {
      failed({
        type: 'sign_in.failed',
        ...who(place, known?.id),
        detail: { reason: 'credentials' },
      });
      throw new FactorError('sign-in.wrong');
    }
    await wasRight();
    return account;
  }

  async function passkey(place: Place, response: string, accountId?: string) {
    try {
      return await verifyPasskey(
        { storage, config },
        { binding: place.subject, response: parsed(response), accountId },
      );
    } catch (error) {
      if (error instanceof FactorError) {
        const type = accountId === undefined ? 'sign_in.failed' : 'second_factor.failed';
        const detail = { method: 'passkey', reason: error.code };
        failed({ type, ...who(place, accountId), detail });
      }
      throw error;
    }
  }

  /** @returns what it is worth */
  async function secondFactor(
    ctx: Context,
    place: Place,
    { account, amr }: Verified,
    field: (name: string) => string,
  ): Promise<string[]> {
    const accountId = account.id;
    const methods = await methodsFor(place, { account, amr });
    const code = field('code');
    if (field('passkey') !== '' && methods.includes('passkey'))
      return (await passkey(place, field('passkey'), accountId)).amr;

    const method: Method = looksLikeRecoveryCode(code) ? 'recovery_code' : 'totp';
    const from = { ip: ctx.ip, browser: knownBrowser.of(ctx, accountId) };
    const what = method === 'totp' ? 'code' : 'recovery_code';
    const wasRight = await counted(place, accountId, () =>
      limits.count({ what, account: accountId, from }),
    );
    const isRight =
      methods.includes(method) &&
      (method === 'totp'
        ? await verifyTotp({ storage }, accountId, code)
        : await useRecoveryCode({ storage, origin: currentUnit().origin }, accountId, code));
    if (!isRight) {
      const detail = { method };
      failed({ type: 'second_factor.failed', ...who(place, accountId), detail });
      throw new FactorError(method === 'totp' ? 'factor.code-wrong' : 'factor.recovery-code-wrong');
    }
    await wasRight();
    return ['otp'];
  }

  function failed(event: AuditEvent): void {
    currentUnit().audit(event, { evenIfRefused: true });
  }

  // The first that is refused is written down; the thousand after it tell nothing more.
  async function counted<T>(
    place: Place,
    accountId: string | undefined,
    count: () => Promise<T>,
  ): Promise<T> {
    try {
      return await count();
    } catch (error) {
      if (error instanceof TooManyAttempts && error.isFirst)
        failed({ type: 'sign_in.limited', ...who(place, accountId) });
      throw error;
    }
  }

  /** Does the work; what is wrong with what was sent is told on the page that it came from. */
  async function judged<T>(
    work: () => Promise<T>,
    again: (summary: string) => Promise<void>,
    ctx: Context,
  ): Promise<T | undefined> {
    const { t } = renderer.language(ctx);
    try {
      return await work();
    } catch (error) {
      if (error instanceof TooManyAttempts) {
        ctx.status = 429;
        ctx.set('Retry-After', String(error.retryAfter));
        await again(t('sign-in.wait', { seconds: error.retryAfter }));
      } else if (error instanceof FactorError) {
        ctx.status = 401;
        await again(t(error.code));
      } else throw error;
      return undefined;
    }
  }

  async function passwordPage(ctx: Context, place: Place, shown: Shown): Promise<void> {
    const { subject, action, cancel, client, query = '' } = place;
    const options = await authenticationOptions({ storage, config }, { binding: subject });
    withScripts(ctx);
    renderer.page(ctx, 'sign-in', {
      ...shown,
      action: `${action}/sign-in${query}`,
      csrf: formToken(keyring, subject),
      cancel,
      client,
      waysIn: waysIn(config, place.interaction),
      passkey: { action: `${action}/passkey${query}`, options: JSON.stringify(options) },
      scripts: renderer.passkeyScripts,
    });
  }

  async function factorPage(
    ctx: Context,
    place: Place,
    progress: Verified,
    wrong: { readonly mistake?: string; readonly alert?: string } = {},
  ): Promise<void> {
    const { subject, action, cancel, client, query = '', other, wanted } = place;
    const { account } = progress;
    const common = { csrf: formToken(keyring, subject), cancel, client, account, other };
    const methods = await methodsFor(place, progress);
    if (methods.length === 0) {
      const again = `${action}${query}`;
      renderer.page(ctx, 'factor-needed', { ...common, again, isPasskey: wanted === 'phr' });
      return;
    }
    const options = methods.includes('passkey')
      ? await authenticationOptions(
          { storage, config },
          { binding: subject, accountId: account.id },
        )
      : undefined;
    const isAsked = ctx.query['with'] === 'recovery' && methods.includes('recovery_code');
    const isRecovery = isAsked || methods.every((method) => method === 'recovery_code');
    const withRecovery = `${action}/factor${query === '' ? '?' : `${query}&`}with=recovery`;
    if (options) withScripts(ctx);
    renderer.page(ctx, 'second-factor', {
      ...common,
      // Who mistypes a recovery code is asked for one again.
      action: isAsked ? withRecovery : `${action}/factor${query}`,
      passkey: options && { action: `${action}/factor${query}`, options: JSON.stringify(options) },
      scripts: options ? renderer.passkeyScripts : [],
      code: methods.includes('totp') && !isRecovery,
      recovery: methods.includes('recovery_code') && isRecovery,
      recoveryLink: methods.includes('recovery_code') && !isRecovery ? withRecovery : undefined,
      codeLink: isAsked && methods.includes('totp') ? `${action}/factor${query}` : undefined,
      ...wrong,
    });
  }

  /** With what the person may go on; with nothing when the account does not lead to what is wanted. */
  async function methodsFor(place: Place, { account, amr }: Verified): Promise<readonly Method[]> {
    const factors = await answered(() => factorsOf(prisma, account.id));
    const methods = missingMethods(amr, factors, place.wanted);
    // Who is not signed in yet is asked for all that there is, before being told that it is not enough.
    if (methods === undefined && !place.person) return missingMethods(amr, factors) ?? [];
    return methods ?? [];
  }

  function withScripts(ctx: Context): void {
    ctx.set('Content-Security-Policy', `${pagePolicy}; script-src 'self'`);
  }

  function keep(ctx: Context, place: Place, { account, amr, authTime }: Verified): void {
    const since = signInTime(account, now());
    const sealed = keyring.seal(
      contextOf(place),
      JSON.stringify({ accountId: account.id, amr, authTime, since }),
    );
    ctx.cookies.set(COOKIE, Buffer.from(sealed).toString('base64url'), {
      ...cookieOf(ctx, place),
      maxAge: PROGRESS_LIFE * 1000,
    });
  }

  function forget(ctx: Context, place: Place): void {
    if (ctx.cookies.get(COOKIE, { signed: false }) !== undefined)
      ctx.cookies.set(COOKIE, null, cookieOf(ctx, place));
  }

  async function progressOf(ctx: Context, place: Place): Promise<Verified | undefined> {
    const cookie = ctx.cookies.get(COOKIE, { signed: false });
    if (cookie === undefined) return undefined;
    let kept: { accountId: string; amr: string[]; authTime?: number; since: number };
    try {
      kept = JSON.parse(
        keyring.unseal(contextOf(place), Buffer.from(cookie, 'base64url')),
      ) as typeof kept;
    } catch {
      return undefined; // of another sign-in, or made up
    }
    const { accountId: id, amr, authTime, since } = kept;
    if (since + PROGRESS_LIFE <= epoch(now())) return undefined;
    const account = await answered(() => prisma.account.findUnique({ where: { id } }));
    if (!account || account.lockedAt) return undefined;
    // A new password, or signing out everywhere, ends what was begun before it.
    if (account.signedOutAt && since <= account.signedOutAt.getTime() / 1000) return undefined;
    return { account, amr, authTime };
  }
}

// Somebody's sign-in is as old as its first factor (OIDC Core §2, auth_time): whoever sits at a browser that was left
// open has not signed in anew with the second one. A passkey whose user was verified is a whole sign-in of its own.
function raised({ account, amr, authTime }: Verified, now: string[]): Verified {
  const isWhole = authTime !== undefined && now.includes('mfa');
  return isWhole ? { account, amr: now } : { account, amr: united(amr, now), authTime };
}

function cookieOf(ctx: Context, { action }: Place) {
  return {
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    path: action,
  } as const;
}

function contextOf({ subject }: Place): string {
  return `progress ${subject}`;
}

function who({ clientId }: Place, accountId: string | undefined) {
  return {
    ...(accountId === undefined ? {} : { accountId }),
    ...(clientId === undefined ? {} : { clientId }),
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function redirect(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 303;
}
