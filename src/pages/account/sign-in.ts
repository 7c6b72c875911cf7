// Signing in where /account is asked for, and confirming it before what is sensitive. Both happen at the page's own
// address with `/sign-in` or `/confirm` behind it, and lead back to it: no address is taken from anybody.
import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { authenticate } from '../../accounts/accounts.ts';
import { audit } from '../../operations/audit.ts';
import type { BrowserSession, SignedIn } from '../browser-session.ts';
import { ForeignForm } from '../error-page.ts';
import { ownForm } from '../form-requests.ts';
import { formToken, isFormToken } from '../form-token.ts';
import type { DeskParts, Fields } from './desk.ts';

export interface SignIn {
  readonly page: (ctx: Context) => void;
  readonly confirmPage: (ctx: Context, person: SignedIn) => void;
  readonly router: Router;
}

const FORM_COOKIE = 'symbolon_form';

export function createSignIn(
  { config, storage, renderer }: DeskParts,
  sessions: BrowserSession,
): SignIn {
  const { prisma, keyring } = storage;
  const issuer = new URL(config.issuer).pathname.replace(/\/$/, '');
  const router = new Router();
  const parse = ownForm(config);

  router.post('/account{/*page}/sign-in', parse, async (ctx) => {
    const { csrf, email, password } = (ctx.request.body ?? {}) as Fields;
    const browser = ctx.cookies.get(FORM_COOKIE);
    if (browser === undefined || !isFormToken(keyring, `sign-in ${browser}`, csrf))
      throw notFromHere();
    const account = await authenticate(prisma, text(email), text(password));
    if (!account) {
      await audit(prisma, ctx, { type: 'sign_in.failed', detail: { reason: 'credentials' } });
      ctx.status = 401;
      page(ctx, {
        email: text(email),
        errors: { summary: renderer.language(ctx).t('sign-in.wrong') },
      });
      return;
    }
    await audit(prisma, ctx, { type: 'sign_in', accountId: account.id });
    await sessions.start(ctx, account, ['pwd']);
    back(ctx);
  });

  router.post('/account{/*page}/confirm', parse, async (ctx) => {
    const person = await sessions.find(ctx);
    if (!person) {
      back(ctx);
      return;
    }
    const { csrf, password } = (ctx.request.body ?? {}) as Fields;
    if (!isFormToken(keyring, subject(person), csrf)) throw notFromHere();
    const account = await authenticate(prisma, person.account.email, text(password));
    if (!account) {
      await audit(prisma, ctx, {
        type: 'sign_in.failed',
        accountId: person.account.id,
        detail: { reason: 'credentials' },
      });
      ctx.status = 401;
      confirmPage(ctx, person, {
        password: renderer.language(ctx).t('profile.wrong-password'),
      });
      return;
    }
    await audit(prisma, ctx, { type: 'sign_in', accountId: account.id });
    await sessions.confirm(ctx, person, ['pwd']);
    back(ctx);
  });

  return { page, confirmPage, router };

  function page(ctx: Context, data: object = {}): void {
    const browser = ctx.cookies.get(FORM_COOKIE) ?? randomBytes(16).toString('base64url');
    ctx.cookies.set(FORM_COOKIE, browser, { sameSite: 'strict', path: `${issuer}/account` });
    const csrf = formToken(keyring, `sign-in ${browser}`);
    renderer.page(ctx, 'sign-in', { action: `${issuer}${pageOf(ctx)}/sign-in`, csrf, ...data });
  }

  function confirmPage(ctx: Context, person: SignedIn, mistakes: object = {}): void {
    renderer.page(ctx, 'account-confirm', {
      action: `${issuer}${pageOf(ctx)}/confirm`,
      csrf: formToken(keyring, subject(person)),
      account: person.account,
      mistakes,
      overview: `${issuer}/account`,
    });
  }

  function back(ctx: Context): void {
    ctx.redirect(issuer + pageOf(ctx));
    ctx.status = 303;
  }
}

// The page that was asked for, whichever of its forms this is.
function pageOf(ctx: Context): string {
  return ctx.path.replace(/\/(sign-in|confirm)?$/, '');
}

function subject({ account, authTime }: SignedIn): string {
  return `confirm ${account.id} ${authTime}`;
}

function notFromHere(): ForeignForm {
  return new ForeignForm('the form token is missing or wrong');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
