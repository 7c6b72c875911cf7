// Making an account: /sign-up for everybody, /invitation for anyone who was invited. The account exists once the link
// in the mail was opened and confirmed; until then nothing tells whether an address has one. Whoever opens the link in
// another browser than the one that signed up must know the password that was chosen there: else somebody could sign up
// with another person's address, who would confirm an account with a stranger's password.
import { timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import {
  AccountError,
  type NewAccount,
  checkAccount,
  createAccount,
} from '../accounts/accounts.ts';
import { verifyPassword } from '../accounts/hashing.ts';
import type { InvitationData } from '../accounts/invitations.ts';
import { type Limits, TooManyAttempts } from '../accounts/limits.ts';
import {
  type LinkPurpose,
  linkData,
  linkLife,
  lookAtLink,
  spendLink,
  voidInvitations,
} from '../accounts/links.ts';
import { MAIL_LIMIT_DURATION, createMailLimits } from '../accounts/mail-limits.ts';
import type { Config } from '../config/config.ts';
import type { Account, Link } from '../generated/client.ts';
import { sha256 } from '../keys/keyring.ts';
import { askForSignUp } from '../mail/requests.ts';
import type { Engine } from '../provider/engine.ts';
import type { SignUp } from '../storage/mail-templates.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserForm } from './browser-form.ts';
import { createCookies } from './cookies.ts';
import { createFormReader } from './forms.ts';
import { LinkVoid, answerVoidLinks, linkSecret } from './links.ts';
import type { Renderer } from './render.ts';
import { tooMany, unprocessableFields } from './responses.ts';
import { createWaysBack } from './sign-in/ways-in.ts';
import type { Views } from './views/views.ts';

export interface SignUpParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly limits: Limits;
}

type SignUpPurpose = Extract<LinkPurpose, 'invitation' | 'sign_up'>;

export function createSignUp({ config, storage, engine, renderer, limits }: SignUpParts): Router {
  const { prisma, keyring, now } = storage;
  const base = config.basePath;
  const action = `${base}/sign-up`;
  const cookies = createCookies(config);
  const signUpForm = createBrowserForm(config, keyring, '/sign-up');
  const back = createWaysBack(config, engine);
  const mailLimits = createMailLimits(storage);
  const readForm = createFormReader(config);
  const router = new Router();
  router.use(answerVoidLinks(renderer));
  if (config.signUp === 'closed') return router;

  router.get('/invitation', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await open('invitation', token);
    invitationPage(ctx, link, { token, displayName: invitationIn(link).name });
  });

  router.post('/invitation', async (ctx) => {
    const form = await readForm(ctx);
    const [token, name] = [form.text('token'), form.text('name')];
    const link = await open('invitation', token);
    try {
      const input = { email: link.email ?? '', name, password: form.text('password') };
      const account = await make(ctx, await checkAccount(input, config), 'invitation', token);
      await done(ctx, account);
    } catch (error) {
      const errors = unprocessableFields(renderer, ctx, error);
      invitationPage(ctx, link, { token, displayName: name, errors });
    }
  });

  if (config.signUp !== 'open') return router;

  router.get('/sign-up', async (ctx) => {
    back.remember(ctx);
    await signUpPage(ctx, {});
  });

  router.post('/sign-up', async (ctx) => {
    const form = await signUpForm.read(ctx);
    const [email, name] = [form.text('email'), form.text('name')];
    if (!(await mailLimits.from(ctx))) {
      tooMany(ctx, MAIL_LIMIT_DURATION);
      renderer.page(ctx, 'limit', {});
      return;
    }
    let account: NewAccount;
    try {
      // The password is hashed for every address; whether one has an account is looked up when the mail is made.
      account = await checkAccount({ email, name, password: form.text('password') }, config);
    } catch (error) {
      const errors = unprocessableFields(renderer, ctx, error);
      await signUpPage(ctx, { email, displayName: name, errors });
      return;
    }
    const browser = cookies.signUp.ensure(ctx);
    const isSent = await mailLimits.toNewEmail('sign_up', account.email, ctx);
    if (isSent) {
      const { tag: locale } = renderer.language(ctx);
      const { passwordHash } = account;
      const signUp = { name: account.name ?? '', passwordHash, browser: digest(browser) };
      const asked = { email: account.email, locale };
      await currentUnit().change((database) =>
        askForSignUp(database, keyring, asked, signUp, now()),
      );
    }
    const duration = renderer.language(ctx).duration(linkLife.sign_up);
    const isPrinted = config.mail.mode === 'print';
    renderer.page(ctx, 'sign-up-sent', { email: account.email, duration, isSent, isPrinted });
  });

  router.get('/sign-up/confirm', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await open('sign_up', token);
    confirmPage(ctx, link, { token });
  });

  router.post('/sign-up/confirm', async (ctx) => {
    const form = await readForm(ctx);
    const token = form.text('token');
    const link = await open('sign_up', token);
    const { t } = renderer.language(ctx);
    const { name, passwordHash } = wishIn(link);
    try {
      if (!isSameBrowser(ctx, link) && !(await isPassword(ctx, link, form.text('password')))) {
        ctx.status = 422;
        confirmPage(ctx, link, { token, mistake: t('sign-up.confirm-wrong') });
        return;
      }
      const wanted = { email: link.email ?? '', name: name || null, passwordHash };
      const account = await make(ctx, wanted, 'sign_up', token);
      await done(ctx, account);
    } catch (error) {
      if (error instanceof TooManyAttempts) {
        const { retryAfter: seconds } = error;
        tooMany(ctx, seconds);
        const mistake =
          seconds === undefined ? t('sign-up.confirm-closed') : t('sign-in.wait', { seconds });
        confirmPage(ctx, link, { token, mistake });
        return;
      }
      // The address has an account by now: an administrator may have added it.
      if (error instanceof AccountError) throw voidLink('sign_up');
      throw error;
    }
  });

  return router;

  /** Opens a link without spending it. @throws {LinkVoid} */
  async function open(purpose: SignUpPurpose, token: string): Promise<Link> {
    const link = await lookAtLink(prisma, [purpose], token, now());
    if (!link) throw voidLink(purpose);
    return link;
  }

  /** Only an administrator can send another invitation. */
  function voidLink(purpose: SignUpPurpose): LinkVoid {
    return new LinkVoid(purpose === 'sign_up' ? { again: action } : {});
  }

  /** Whether it is the password that was chosen at sign-up. @throws {TooManyAttempts} when it comes too early */
  async function isPassword(ctx: Context, link: Link, password: string): Promise<boolean> {
    const account = Buffer.from(link.id).toString('hex'); // there is no account yet
    const guess = { what: 'password', account, from: { ip: ctx.ip } } as const;
    const { found } = await limits.judge(
      guess,
      async () => (await verifyPassword(wishIn(link).passwordHash, password)) || undefined,
    );
    return found !== undefined;
  }

  /** Makes the account and spends its link. @throws {LinkVoid} when the link was spent meanwhile */
  function make(
    ctx: Context,
    account: NewAccount,
    purpose: SignUpPurpose,
    token: unknown,
  ): Promise<Account> {
    const unit = currentUnit();
    const { tag: locale } = renderer.language(ctx);
    return unit.change(async (database) => {
      const link = await spendLink(database, [purpose], token, now());
      if (!link) throw voidLink(purpose);
      // Whoever has an invitation that the operator has passed on has not shown to read the address's mail.
      const emailVerified = purpose === 'sign_up' || invitationIn(link).isMailed;
      const options = { admin: false, emailVerified, locale };
      const made = await createAccount(database, account, options);
      if (purpose === 'invitation') await voidInvitations(database, link);
      unit.actsAs({ kind: 'person', id: made.id });
      const by = purpose === 'sign_up' ? 'sign-up' : 'invitation';
      unit.audit({ type: 'account.added', accountId: made.id, detail: { by } });
      return made;
    });
  }

  async function done(ctx: Context, { email }: Account): Promise<void> {
    const next = await back.find(ctx);
    renderer.page(ctx, 'sign-up-done', { email, next, account: `${base}/account` });
  }

  async function signUpPage(
    ctx: Context,
    data: Omit<Views['sign-up'], 'action' | 'csrf' | 'signIn'>,
  ): Promise<void> {
    const signIn = await back.here(ctx);
    renderer.page(ctx, 'sign-up', { action, csrf: signUpForm.token(ctx), signIn, ...data });
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

  function wishIn(link: Link): SignUp {
    return linkData(keyring, link) as SignUp;
  }

  function invitationIn(link: Link): InvitationData {
    return (linkData(keyring, link) as InvitationData | undefined) ?? { isMailed: false };
  }

  function isSameBrowser(ctx: Context, link: Link): boolean {
    const given = Buffer.from(digest(cookies.signUp.get(ctx) ?? ''));
    const expected = Buffer.from(wishIn(link).browser);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}

function digest(text: string): string {
  return Buffer.from(sha256(text)).toString('base64url');
}
