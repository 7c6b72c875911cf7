// A forgotten password: /forgot asks for the address and always answers the same; the link in the mail leads to /reset.
// Without mail it says so.
// Opening the link does not spend it; setting the password does. That signs nobody in: anyone who has a second factor
// is asked for it at the next sign-in. The browser is known to the account from then on.
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError, accountInput, findAccountByEmail } from '../accounts/accounts.ts';
import { acceptedPassword, changePassword } from '../accounts/changes.ts';
import { forgetGuesses } from '../accounts/limits.ts';
import { linkLife, lookAtLink, spendLink } from '../accounts/links.ts';
import { MAIL_LIMIT_DURATION, createMailLimits } from '../accounts/mail-limits.ts';
import type { Config } from '../config/config.ts';
import { askForReset } from '../mail/requests.ts';
import type { Engine } from '../provider/engine.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserForm } from './browser-form.ts';
import { createFormReader } from './forms.ts';
import { LinkVoid, answerVoidLinks, linkSecret } from './links.ts';
import type { Renderer } from './render.ts';
import { tooMany, unprocessable } from './responses.ts';
import type { KnownBrowser } from './sign-in/known-browser.ts';
import { createWaysBack } from './sign-in/ways-in.ts';
import type { Views } from './views/views.ts';

export interface PasswordResetParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly knownBrowser: KnownBrowser;
}

export function createPasswordReset({
  config,
  storage,
  engine,
  renderer,
  knownBrowser,
}: PasswordResetParts): Router {
  const { prisma, keyring, now } = storage;
  const base = config.basePath;
  const { mode } = config.mail;
  const forgot = `${base}/forgot`;
  const forgotForm = createBrowserForm(config, keyring, '/forgot');
  const readForm = createFormReader(config);
  const back = createWaysBack(config, engine);
  const limits = createMailLimits(storage);
  const router = new Router();
  router.use(answerVoidLinks(renderer));

  router.get('/forgot', (ctx) => {
    if (mode !== 'off') back.remember(ctx);
    forgotPage(ctx, {});
  });

  router.post('/forgot', async (ctx) => {
    if (mode === 'off') {
      forgotPage(ctx, {});
      return;
    }
    const typed = (await forgotForm.read(ctx)).text('email');
    const { tag: locale, duration } = renderer.language(ctx);
    const parsed = accountInput.shape.email.safeParse(typed);
    if (!parsed.success) {
      const error = new AccountError('email', 'account.email-invalid');
      forgotPage(ctx, { email: typed, mistake: unprocessable(renderer, ctx, error) });
      return;
    }
    const { data: email } = parsed;
    const account = await findAccountByEmail(prisma, email);
    const known = knownBrowser.of(ctx, account?.id, ['sign_in', 'reset']);
    if (!(await limits.from({ ip: ctx.ip, known }))) {
      tooMany(ctx, MAIL_LIMIT_DURATION);
      renderer.page(ctx, 'limit', {});
      return;
    }
    // The same for every address: what depends on whether it has an account is done when the mail is made.
    const isSent = await limits.toEmail('password_reset', email, known);
    if (isSent)
      await currentUnit().change((database) =>
        askForReset(database, keyring, { email, locale }, now()),
      );
    renderer.page(ctx, 'forgot-sent', {
      ...{ email, isSent, isPrinted: mode === 'print' },
      duration: duration(linkLife.password_reset),
    });
  });

  router.get('/reset', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await lookAtLink(prisma, ['password_reset'], token, now());
    if (!link) throw new LinkVoid({ again: forgot });
    resetPage(ctx, { token, email: link.email ?? '' });
  });

  router.post('/reset', async (ctx) => {
    const form = await readForm(ctx);
    const token = form.text('token');
    const link = await lookAtLink(prisma, ['password_reset'], token, now());
    const { accountId, email } = link ?? {};
    if (!accountId || !email) throw new LinkVoid({ again: forgot });
    const unit = currentUnit();
    const parts = { storage, config, origin: unit.origin };
    try {
      const hash = await acceptedPassword(storage, config, accountId, form.text('password'));
      await unit.change(async (database) => {
        if (!(await spendLink(database, ['password_reset'], token, now())))
          throw new LinkVoid({ again: forgot });
        // Whoever has the link reads the mail of the address: it is verified.
        const where = { id: accountId, email };
        const { count } = await database.account.updateMany({
          where,
          data: { emailVerified: true },
        });
        // The address may have changed meanwhile.
        if (count === 0) throw new LinkVoid({ again: forgot });
        unit.actsAs({ kind: 'person', id: accountId });
        await changePassword(database, parts, accountId, hash, 'reset');
        // The password may be tried here, however many strangers guess at it.
        const browser = knownBrowser.remember(ctx, accountId, 'reset');
        await forgetGuesses(database, keyring, { password: email, browser });
      });
      await limits.forget('password_reset', email);
    } catch (error) {
      resetPage(ctx, { token, email, mistake: unprocessable(renderer, ctx, error) });
      return;
    }
    renderer.page(ctx, 'reset-done', { next: await back.find(ctx), account: `${base}/account` });
  });

  return router;

  function forgotPage(ctx: Context, data: { email?: string; mistake?: string }): void {
    if (mode === 'off') ctx.status = 404; // there is no such way in
    const form = { action: forgot, csrf: forgotForm.token(ctx), isOff: mode === 'off' };
    renderer.page(ctx, 'forgot', { ...form, ...data });
  }

  function resetPage(ctx: Context, data: Omit<Views['reset'], 'action'>): void {
    renderer.page(ctx, 'reset', { action: `${base}/reset`, ...data });
  }
}
