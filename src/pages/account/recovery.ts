// Recovery codes: made anew together, and shown on the one page that answers it; no other page ever shows them.
import Router from '@koa/router';
import { makeRecoveryCodes } from '../../accounts/recovery-codes.ts';
import type { Desk } from './desk.ts';

export function createRecovery(desk: Desk): Router {
  const { storage } = desk;
  const router = new Router({ prefix: '/account/methods/recovery' });

  router.post(
    '/',
    desk.take(async (ctx, person) => {
      const codes = await makeRecoveryCodes({ storage, source: ctx }, person.account.id);
      desk.page(ctx, person, 'recovery', { codes });
    }, '/methods'),
  );

  return router;
}
