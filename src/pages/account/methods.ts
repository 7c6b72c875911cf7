// How a person signs in: their password. Each change asks for a sign-in of the last minutes.
import Router from '@koa/router';
import type { Context } from 'koa';
import { AccountError } from '../../accounts/accounts.ts';
import { changePassword } from '../../accounts/changes.ts';
import { audit } from '../../operations/audit.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import type { Desk } from './desk.ts';

export function createMethods(desk: Desk): Router {
  const { config, storage, sessions } = desk;
  const { prisma } = storage;
  const router = new Router({ prefix: '/account' });

  router.get(
    '/methods',
    desk.show((ctx, person) => {
      desk.page(ctx, person, 'methods', { hasPassword: person.account.passwordHash !== null });
    }),
  );

  router.get(
    '/password',
    desk.show((ctx, person) => {
      passwordPage(ctx, person, {});
    }, true),
  );

  router.post(
    '/password',
    desk.take(async (ctx, person, { password }) => {
      const { account } = person;
      const { origin } = currentUnit();
      let families: number;
      try {
        const given = typeof password === 'string' ? password : '';
        families = await changePassword({ storage, config, origin }, account.id, given);
      } catch (error) {
        if (!(error instanceof AccountError)) throw error;
        ctx.status = 422;
        const password = desk.language(ctx).t(error.code, error.values);
        passwordPage(ctx, person, { mistakes: { password } });
        return;
      }
      await audit(prisma, ctx, { type: 'password.changed', accountId: account.id });
      await sessions.startAnew(ctx, account, person.amr);
      desk.done(ctx, '/methods', 'methods.password-changed', { families });
    }, '/password'),
  );

  return router;

  function passwordPage(ctx: Context, person: SignedIn, data: object): void {
    desk.page(ctx, person, 'password', {
      endsFamilies: config.endFamiliesOn.includes('password_changed'),
      ...data,
    });
  }
}
