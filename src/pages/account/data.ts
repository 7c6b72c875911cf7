// What is kept about a person: to be taken along, and to be deleted for good. Both ask for a recent sign-in. Keeping the
// account after all does not: whoever wishes to should find it easy, and the person is told.
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError } from '../../accounts/accounts.ts';
import { askForDeletion, withdrawDeletion } from '../../accounts/deletion.ts';
import { asciiAddress } from '../../accounts/email-address.ts';
import { exportPerson } from '../../accounts/export.ts';
import { deleteAtOnce } from '../../accounts/removal.ts';
import { TooManyRequests, createRowLimits } from '../../accounts/row-limits.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { seeOther, unprocessable } from '../responses.ts';
import type { AccountViews } from '../views/account.ts';
import type { AccountArea } from './account-area.ts';

export function createData(area: AccountArea): Router {
  const { config, storage, renderer, base } = area;
  const { deletionDays } = config;
  const limits = createRowLimits(storage);
  const router = new Router({ prefix: '/account/data' });

  router.get(
    '/',
    area.show((ctx, person) => {
      overview(ctx, person, {});
    }, true),
  );

  router.post(
    '/download',
    area.take(async (ctx, { account: { id } }) => {
      const seconds = await limits.take('export', id);
      if (seconds > 0) throw new TooManyRequests(seconds);
      const { prisma, keyring, now } = storage;
      const all = await exportPerson(prisma, keyring, id, now());
      currentUnit().audit({ type: 'account.exported', accountId: id });
      ctx.set('Cache-Control', 'no-store');
      ctx.attachment('account.json');
      ctx.type = 'json';
      ctx.body = JSON.stringify(all, null, 2);
    }, '/data'),
  );

  router.post(
    '/delete',
    area.take(async (ctx, person, form) => {
      if (deletionDays === 'off') {
        ctx.status = 404;
        return;
      }
      const { account } = person;
      const unit = currentUnit();
      const parts = { storage, origin: unit.origin };
      try {
        if (deletionDays > 0) {
          await unit.change((database) =>
            askForDeletion(database, parts, account.id, deletionDays),
          );
          seeOther(ctx, `${base}/data`);
          return;
        }
        if (asciiAddress(form.text('email').trim()) !== asciiAddress(account.email))
          throw new AccountError('email', 'data.wrong-address');
        await unit.change((database) => deleteAtOnce(database, parts, account));
        renderer.page(ctx, 'deleted', {});
      } catch (error) {
        overview(ctx, person, { mistake: unprocessable(renderer, ctx, error) });
      }
    }, '/data'),
  );

  router.post(
    '/keep',
    area.take(async (ctx, { account: { id } }) => {
      const unit = currentUnit();
      await unit.change((database) =>
        withdrawDeletion(database, { storage, origin: unit.origin }, id),
      );
      area.done(ctx, '', 'deletion.kept');
    }),
  );

  return router;

  function overview(
    ctx: Context,
    person: SignedIn,
    data: Pick<AccountViews['data'], 'mistake'>,
  ): void {
    area.page(ctx, person, 'data', {
      days: deletionDays === 'off' ? undefined : deletionDays,
      ...data,
    });
  }
}
