// A forgotten password: /forgot asks for the address and always answers the same, /reset is where the mail's link leads.
// Opening the link spends nothing; setting the password does. It signs nobody in: who has a second factor is asked
// for it at the next sign-in.
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError, accountInput } from '../accounts/accounts.ts';
import { acceptedPassword, changePassword } from '../accounts/changes.ts';
import { linkLife, lookAtLink, spendLink } from '../accounts/links.ts';
import { createMailLimits } from '../accounts/mail-limits.ts';
import type { Config } from '../config/config.ts';
import { askForReset } from '../mail/requests.ts';
import type { Engine } from '../provider/engine.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserForm, formFields, linkSecret } from './browser-form.ts';
import { ownForm } from './form-requests.ts';
import type { Renderer } from './render.ts';
import { createWaysBack } from './sign-in/ways-in.ts';
import type { Views } from './views/views.ts';

export interface PasswordResetParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
}

class LinkVoid extends Error {}

export function createPasswordReset({
  config,
  storage,
  engine,
  renderer,
}: PasswordResetParts): Router {
  const { prisma, keyring, now } = storage;
  const base = config.basePath;
  const form = createBrowserForm(keyring, `${base}/forgot`);
  const back = createWaysBack(config, engine);
  const limits = createMailLimits(storage);
  const router = new Router();

  router.get('/forgot', (ctx) => {
    back.remember(ctx);
    forgotPage(ctx, {});
  });

  router.post('/forgot', ownForm(config), async (ctx) => {
    const { email: typed = '' } = form.fields(ctx);
    const { t, tag: locale } = renderer.language(ctx);
    const parsed = accountInput.shape.email.safeParse(typed);
    if (!parsed.success) {
      ctx.status = 422;
      forgotPage(ctx, { email: typed, mistake: t('account.email-invalid') });
      return;
    }
    if (!(await limits.fromIp(ctx.ip))) {
      tooMany(ctx);
      return;
    }
    // The same is done for every address: whether it has an account is looked up when the mail is made.
    const { data: email } = parsed;
    if (await limits.toEmail('password_reset', email))
      await askForReset(prisma, keyring, { email, locale }, now());
    const duration = renderer.language(ctx).duration(linkLife.password_reset);
    renderer.page(ctx, 'forgot-sent', { email, duration });
  });

  router.get('/reset', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await lookAtLink(prisma, ['password_reset'], token, now());
    if (link) resetPage(ctx, { token, email: link.email ?? '' });
    else linkVoid(ctx);
  });

  router.post('/reset', ownForm(config), async (ctx) => {
    const { token = '', password = '' } = formFields(ctx);
    const link = await lookAtLink(prisma, ['password_reset'], token, now());
    const { accountId, email } = link ?? {};
    if (!accountId || !email) {
      linkVoid(ctx);
      return;
    }
    const unit = currentUnit();
    const parts = { storage, config, origin: unit.origin };
    try {
      const hash = await acceptedPassword(storage, accountId, password);
      await unit.change(async (database) => {
        if (!(await spendLink(database, ['password_reset'], token, now()))) throw new LinkVoid();
        // Whoever has the link reads what is sent to the address.
        const where = { id: accountId, email };
        const { count } = await database.account.updateMany({
          where,
          data: { emailVerified: true },
        });
        if (count === 0) throw new LinkVoid(); // the address is not the account's any more
        await changePassword(database, parts, accountId, hash, 'reset');
      });
    } catch (error) {
      if (error instanceof LinkVoid) linkVoid(ctx);
      else if (error instanceof AccountError) {
        ctx.status = 422;
        const mistake = renderer.language(ctx).t(error.code, error.values);
        resetPage(ctx, { token, email, mistake });
      } else throw error;
      return;
    }
    renderer.page(ctx, 'reset-done', { next: await back.find(ctx), account: `${base}/account` });
  });

  return router;

  function forgotPage(ctx: Context, data: { email?: string; mistake?: string }): void {
    renderer.page(ctx, 'forgot', { action: `${base}/forgot`, csrf: form.token(ctx), ...data });
  }

  function resetPage(ctx: Context, data: Omit<Views['reset'], 'action'>): void {
    renderer.page(ctx, 'reset', { action: `${base}/reset`, ...data });
  }

  function linkVoid(ctx: Context): void {
    ctx.status = 410;
    renderer.page(ctx, 'link-void', { again: `${base}/forgot` });
  }

  function tooMany(ctx: Context): void {
    ctx.status = 429;
    ctx.set('Retry-After', '3600');
    renderer.page(ctx, 'limit', {});
  }
}
