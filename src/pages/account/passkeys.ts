// A person's passkeys: added with the browser's own dialog, which needs a script; named and removed without one.
import Router from '@koa/router';
import type { Context } from 'koa';
import { FactorError, factorsOf } from '../../accounts/factors.ts';
import {
  addPasskey,
  registrationOptions,
  removePasskey,
  renamePasskey,
  verifyNewPasskey,
} from '../../accounts/passkeys.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { allowScripts } from '../render.ts';
import type { AccountArea } from './account-area.ts';
import { assertWayIn } from './last-factor.ts';

export function createPasskeys(area: AccountArea): Router {
  const { config, storage } = area;
  const router = new Router({ prefix: '/account/methods/passkeys' });

  router.post(
    '/',
    area.take(async (ctx, person, form) => {
      await area.orSayWhy(ctx, '/methods', async () => {
        const unit = currentUnit();
        const parts = { storage, config, origin: unit.origin };
        const passkey = await verifyNewPasskey(parts, person.account.id, {
          binding: bindingOf(person),
          response: parsed(form.text('passkey')),
          language: area.language(ctx),
          name: form.text('name'),
        });
        await unit.change(async (database) => {
          await addPasskey(database, parts, passkey);
          await area.gain(ctx, person, [passkey.synced ? 'swk' : 'hwk']);
        });
        area.done(ctx, '/methods', 'passkeys.added', { name: passkey.name });
      });
    }, '/methods'),
  );

  router.post(
    '/:id/name',
    area.take(async (ctx, { account }, form) => {
      const { id } = ctx['params'] as { id: string };
      await area.orSayWhy(ctx, '/methods', async () => {
        const isTheirs = await currentUnit().change((database) =>
          renamePasskey(database, account.id, id, form.text('name')),
        );
        if (isTheirs) area.done(ctx, '/methods', 'passkeys.renamed');
        else ctx.status = 404;
      });
    }, '/methods'),
  );

  router.post(
    '/:id/remove',
    area.take(async (ctx, person, form) => {
      const { id } = ctx['params'] as { id: string };
      const accountId = person.account.id;
      const passkey = await storage.prisma.passkey.findFirst({ where: { id, accountId } });
      if (!passkey) {
        ctx.status = 404;
        return;
      }
      const factors = await factorsOf(storage.prisma, accountId);
      if (form.text('sure') !== 'yes' && factors.passkeys === 1 && !factors.totp) {
        area.page(ctx, person, 'last-factor', {
          action: `${area.base}/methods/passkeys/${id}/remove`,
          what: passkey.name,
        });
        return;
      }
      await area.orSayWhy(ctx, '/methods', async () => {
        const unit = currentUnit();
        await unit.change(async (database) => {
          await removePasskey(database, { storage, origin: unit.origin }, accountId, id);
          await assertWayIn(database, accountId);
        });
        area.done(ctx, '/methods', 'passkeys.removed', { name: passkey.name });
      });
    }, '/methods'),
  );

  return router;
}

/** The data of a form that adds passkeys. Allows the page's scripts. */
export async function addsPasskeys(
  { storage, config, renderer }: AccountArea,
  ctx: Context,
  person: SignedIn,
): Promise<{ options: string; scripts: readonly string[] }> {
  const options = await registrationOptions({ storage, config }, person.account, bindingOf(person));
  allowScripts(ctx);
  return { options: JSON.stringify(options), scripts: renderer.passkeyScripts };
}

function bindingOf({ sessionUid }: SignedIn): string {
  return `account ${sessionUid}`;
}

function parsed(response: string): unknown {
  try {
    return JSON.parse(response);
  } catch (cause) {
    throw new FactorError('factor.passkey-refused', { cause });
  }
}
