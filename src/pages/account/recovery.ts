// Recovery codes: made together, and shown only on the page that answers the form. A form that is sent twice, as by a
// reload of that page, makes no new codes: those that were written down would be void.
import Router from '@koa/router';
import { makeRecoveryCodes } from '../../accounts/recovery-codes.ts';
import { isFirstUse } from '../../storage/replay.ts';
import { epoch } from '../../storage/storage.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { AccountArea } from './account-area.ts';

const REMEMBERED = 86_400; // seconds

export function createRecovery(area: AccountArea): Router {
  const { storage } = area;
  const router = new Router({ prefix: '/account/methods/recovery' });

  router.post(
    '/',
    area.take(async (ctx, person, form) => {
      const sent = `${person.account.id} ${form.text('form')}`;
      const until = epoch(storage.now()) + REMEMBERED;
      const unit = currentUnit();
      const codes = await unit.change(async (database) => {
        // Remembered in the transaction of the codes: a form that failed may be sent again.
        if (!(await isFirstUse('recovery codes', sent, until, database))) return undefined;
        const parts = { storage, origin: unit.origin };
        return makeRecoveryCodes(database, parts, person.account.id);
      });
      if (codes) area.page(ctx, person, 'recovery', { codes });
      else area.done(ctx, '/methods', 'recovery.made-already');
    }, '/methods'),
  );

  return router;
}
