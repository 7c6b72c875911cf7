// /verify: where links lead that confirm an address, the account's own or one that is to become it. Opening one changes
// nothing; the page's button does.
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError } from '../accounts/accounts.ts';
import { confirmAddress } from '../accounts/addresses.ts';
import { lookAtLink } from '../accounts/links.ts';
import type { Config } from '../config.ts';
import { audit } from '../operations/audit.ts';
import { type Storage, currentUnit } from '../storage/unit-of-work.ts';
import { formFields } from './browser-form.ts';
import { ownForm } from './form-requests.ts';
import type { Renderer } from './render.ts';
import { basePath } from './ways-in.ts';

export interface VerifyParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly renderer: Renderer;
}

export function createVerify({ config, storage, renderer }: VerifyParts): Router {
  const { prisma, now } = storage;
  const base = basePath(config.issuer);
  const router = new Router({ prefix: '/verify' });

  router.get('/', async (ctx) => {
    const { token } = ctx.query;
    const link = await lookAtLink(prisma, ['verification', 'email_change'], token, now());
    if (!link) {
      linkVoid(ctx);
      return;
    }
    const { email, purpose } = link;
    const isChange = purpose === 'email_change';
    renderer.page(ctx, 'verify', { action: `${base}/verify`, token, email, isChange });
  });

  router.post('/', ownForm(config), async (ctx) => {
    const { token } = formFields(ctx);
    try {
      const account = await confirmAddress(storage, token, currentUnit().origin);
      if (!account) {
        linkVoid(ctx);
        return;
      }
      const detail = { by: 'link', email_verified: true };
      await audit(prisma, ctx, { type: 'account.changed', accountId: account.id, detail });
      renderer.page(ctx, 'verify-done', { email: account.email, account: `${base}/account` });
    } catch (error) {
      if (!(error instanceof AccountError)) throw error;
      linkVoid(ctx, renderer.language(ctx).t(error.code, error.values));
    }
  });

  return router;

  function linkVoid(ctx: Context, reason?: string): void {
    ctx.status = 410;
    renderer.page(ctx, 'link-void', { reason });
  }
}
