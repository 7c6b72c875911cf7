// /verify: the page of links that confirm an e-mail address, the account's own or a new one. Opening a link changes
// nothing; the page's button does, for a new address only where the account's own person is signed in.
import Router from '@koa/router';
import { AccountError } from '../accounts/accounts.ts';
import { confirmAddress } from '../accounts/addresses.ts';
import { lookAtLink } from '../accounts/links.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../provider/engine.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserSession } from './browser-session.ts';
import { createFormReader } from './forms.ts';
import { LinkVoid, answerVoidLinks, linkSecret } from './links.ts';
import type { Renderer } from './render.ts';

export interface VerifyParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
}

export function createVerify(parts: VerifyParts): Router {
  const { config, storage, renderer } = parts;
  const { prisma, now } = storage;
  const sessions = createBrowserSession(parts);
  const base = config.basePath;
  const readForm = createFormReader(config);
  const router = new Router({ prefix: '/verify' });
  router.use(answerVoidLinks(renderer));

  router.get('/', async (ctx) => {
    const token = linkSecret(ctx);
    const link = await lookAtLink(prisma, ['verification', 'email_change'], token, now());
    if (!link) throw new LinkVoid();
    const { email, purpose, accountId } = link;
    const shown = { action: `${base}/verify`, token, email: email ?? '' };
    if (purpose === 'verification') {
      renderer.page(ctx, 'verify', shown);
      return;
    }
    const person = await sessions.require(ctx);
    if (!person) return;
    if (person.account.id !== accountId)
      throw new LinkVoid({ reason: renderer.language(ctx).t('verify.other-account') });
    renderer.page(ctx, 'verify', { ...shown, former: person.account.email });
  });

  router.post('/', async (ctx) => {
    const token = (await readForm(ctx)).text('token');
    try {
      const person = await sessions.find(ctx);
      const unit = currentUnit();
      const account = await unit.change((database) =>
        confirmAddress(database, storage, token, unit.origin, person?.account.id),
      );
      if (!account) throw new LinkVoid();
      renderer.page(ctx, 'verify-done', { email: account.email, account: `${base}/account` });
    } catch (error) {
      if (!(error instanceof AccountError)) throw error;
      throw new LinkVoid({ reason: renderer.language(ctx).t(error.code, error.values) });
    }
  });

  return router;
}
