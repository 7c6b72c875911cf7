// How people come to an account by themselves: /sign-up for everybody, /invitation for who was invited. The account
// exists once the link in the mail was opened and confirmed; until then nothing tells whether an address has one.
// Whoever opens the link in another browser than the one that asked must know the password that was chosen there: else
// somebody could sign up with the address of another, who would confirm an account with a stranger's password.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import {
  AccountError,
  type NewAccount,
  checkAccount,
  createAccount,
} from '../accounts/accounts.ts';
import { verifyPassword } from '../accounts/hashing.ts';
import { type Limits, TooManyAttempts } from '../accounts/limits.ts';
import { type Purpose, linkData, linkLife, lookAtLink, spendLink } from '../accounts/links.ts';
import { createMailLimits } from '../accounts/mail-limits.ts';
import type { Config } from '../config/config.ts';
import type { Account, Link } from '../generated/client.ts';
import { sha256 } from '../keys/keyring.ts';
import { askForSignUp } from '../mail/requests.ts';
import type { Engine } from '../provider/engine.ts';
import type { SignUp } from '../storage/mail-templates.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserForm, formFields, linkSecret } from './browser-form.ts';
import { ownForm } from './form-requests.ts';
import type { Renderer } from './render.ts';
import { createWaysBack } from './sign-in/ways-in.ts';
import type { Views } from './views/views.ts';
import type { FormErrors } from './views/ways-in.ts';

export interface SignUpParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly limits: Limits;
}

const COOKIE = 'symbolon_sign_up';

class LinkVoid extends Error {}

export function createSignUp({ config, storage, engine, renderer, limits }: SignUpParts): Router {
  const { prisma, keyring, now } = storage;
  const base = config.basePath;
  const form = createBrowserForm(keyring, `${base}/sign-up`);
  const back = createWaysBack(config, engine);
  const mailLimits = createMailLimits(storage);
  const parse = ownForm(config);
  const router = new Router();
  if (config.signUp === 'closed') return router;

  router.get('/invitation', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await lookAtLink(prisma, ['invitation'], token, now());
    if (!link) linkVoid(ctx);
    else invitationPage(ctx, link, { token, displayName: nameIn(link) });
  });

  router.post('/invitation', parse, async (ctx) => {
    const { token = '', name = '', password = '' } = formFields(ctx);
    const link = await lookAtLink(prisma, ['invitation'], token, now());
    if (!link) {
      linkVoid(ctx);
      return;
    }
    try {
      const input = { email: link.email ?? '', name, password };
      const account = await make(ctx, await checkAccount(input), 'invitation', token);
      await done(ctx, account);
    } catch (error) {
      refuse(ctx, error, (errors) => {
        invitationPage(ctx, link, { token, displayName: name, errors });
      });
    }
  });

  if (config.signUp !== 'open') return router;

  router.get('/sign-up', (ctx) => {
    back.remember(ctx);
    signUpPage(ctx, {});
  });

  router.post('/sign-up', parse, async (ctx) => {
    const { email = '', name = '', password = '' } = form.fields(ctx);
    if (!(await mailLimits.fromIp(ctx.ip))) {
      ctx.status = 429;
      ctx.set('Retry-After', '3600');
      renderer.page(ctx, 'limit', {});
      return;
    }
    let account: NewAccount;
    try {
      // The password is hashed for every address; whether it has an account is looked up when the mail is made.
      account = await checkAccount({ email, name, password });
    } catch (error) {
      refuse(ctx, error, (errors) => {
        signUpPage(ctx, { email, displayName: name, errors });
      });
      return;
    }
    const browser = ctx.cookies.get(COOKIE) ?? randomBytes(32).toString('base64url');
    ctx.cookies.set(COOKIE, browser, {
      path: `${base}/sign-up`,
      sameSite: 'lax', // the link is opened from a mail
      maxAge: linkLife.sign_up * 1000,
    });
    if (await mailLimits.toEmail('sign_up', account.email)) {
      const { tag: locale } = renderer.language(ctx);
      const { passwordHash } = account;
      const signUp = { name: account.name ?? '', passwordHash, browser: digest(browser) };
      const asked = { email: account.email, locale };
      await currentUnit().change((database) =>
        askForSignUp(database, keyring, asked, signUp, now()),
      );
    }
    const duration = renderer.language(ctx).duration(linkLife.sign_up);
    renderer.page(ctx, 'sign-up-sent', { email: account.email, duration });
  });

  router.get('/sign-up/confirm', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await lookAtLink(prisma, ['sign_up'], token, now());
    if (link) confirmPage(ctx, link, { token });
    else linkVoid(ctx, `${base}/sign-up`);
  });

  router.post('/sign-up/confirm', parse, async (ctx) => {
    const { token = '', password = '' } = formFields(ctx);
    const link = await lookAtLink(prisma, ['sign_up'], token, now());
    if (!link) {
      linkVoid(ctx, `${base}/sign-up`);
      return;
    }
    const { t } = renderer.language(ctx);
    const again = (status: number, mistake: string) => {
      ctx.status = status;
      confirmPage(ctx, link, { token, mistake });
    };
    const { name, passwordHash } = wishIn(link);
    try {
      if (!isSameBrowser(ctx, link) && !(await isPassword(ctx, link, password))) {
        again(422, t('sign-up.confirm-wrong'));
        return;
      }
      const wanted = { email: link.email ?? '', name: name || null, passwordHash };
      const account = await make(ctx, wanted, 'sign_up', token);
      await done(ctx, account);
    } catch (error) {
      if (error instanceof TooManyAttempts) {
        const { retryAfter: seconds } = error;
        ctx.set('Retry-After', String(seconds));
        again(429, t('sign-in.wait', { seconds }));
        return;
      }
      // Somebody else has the address by now: an administrator has added the account, for one.
      if (!(error instanceof LinkVoid || error instanceof AccountError)) throw error;
      linkVoid(ctx, `${base}/sign-up`);
    }
  });

  return router;

  /** Whether it is what was chosen in the other browser. @throws {TooManyAttempts} when it comes too early */
  async function isPassword(ctx: Context, link: Link, password: string): Promise<boolean> {
    const account = Buffer.from(link.id).toString('hex'); // there is no account yet
    const wasRight = await limits.count({ what: 'password', account, from: { ip: ctx.ip } });
    if (!(await verifyPassword(wishIn(link).passwordHash, password))) return false;
    await wasRight();
    return true;
  }

  /** Makes the account and spends its link. @throws {LinkVoid} when the link was spent meanwhile */
  function make(
    ctx: Context,
    account: NewAccount,
    purpose: Extract<Purpose, 'invitation' | 'sign_up'>,
    token: unknown,
  ): Promise<Account> {
    const unit = currentUnit();
    const { tag: locale } = renderer.language(ctx);
    return unit.change(async (database) => {
      if (!(await spendLink(database, [purpose], token, now()))) throw new LinkVoid();
      const options = { admin: false, emailVerified: true, locale }; // the link was sent there
      const made = await createAccount(database, account, options);
      const by = purpose === 'sign_up' ? 'sign-up' : 'invitation';
      unit.audit({ type: 'account.added', accountId: made.id, detail: { by } });
      return made;
    });
  }

  async function done(ctx: Context, { email }: Account): Promise<void> {
    const next = await back.find(ctx);
    renderer.page(ctx, 'sign-up-done', { email, next, account: `${base}/account` });
  }

  function refuse(ctx: Context, error: unknown, show: (errors: FormErrors) => void): void {
    if (error instanceof LinkVoid) linkVoid(ctx);
    else if (error instanceof AccountError) {
      const { t } = renderer.language(ctx);
      ctx.status = 422;
      const summary = t('common.check-fields');
      show({ summary, [error.field]: t(error.code, error.values) });
    } else throw error;
  }

  function signUpPage(ctx: Context, data: Omit<Views['sign-up'], 'action' | 'csrf'>): void {
    renderer.page(ctx, 'sign-up', { action: `${base}/sign-up`, csrf: form.token(ctx), ...data });
  }

  function confirmPage(
    ctx: Context,
    link: Link,
    data: Pick<Views['sign-up-confirm'], 'token' | 'mistake'>,
  ): void {
    const action = `${base}/sign-up/confirm`;
    const asks = !isSameBrowser(ctx, link);
    renderer.page(ctx, 'sign-up-confirm', { action, email: link.email ?? '', asks, ...data });
  }

  function invitationPage(
    ctx: Context,
    link: Link,
    data: Omit<Views['invitation'], 'action' | 'email'>,
  ): void {
    const action = `${base}/invitation`;
    renderer.page(ctx, 'invitation', { action, email: link.email ?? '', ...data });
  }

  function linkVoid(ctx: Context, again?: string): void {
    ctx.status = 410;
    renderer.page(ctx, 'link-void', { again });
  }

  function wishIn(link: Link): SignUp {
    return linkData(keyring, link) as SignUp;
  }

  function nameIn(link: Link): string {
    return (linkData(keyring, link) as { name?: string } | undefined)?.name ?? '';
  }

  function isSameBrowser(ctx: Context, link: Link): boolean {
    const given = Buffer.from(digest(ctx.cookies.get(COOKIE) ?? ''));
    const expected = Buffer.from(wishIn(link).browser);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}

function digest(text: string): string {
  return Buffer.from(sha256(text)).toString('base64url');
}
