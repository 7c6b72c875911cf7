// How a person signs in: an overview of their factors (changed in passkeys.ts, one-time-codes.ts, recovery.ts), and the
// password. All of it requires a recent sign-in.
import { randomUUID } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { acceptedPassword, changePassword } from '../../accounts/changes.ts';
import { factorsOf, hasSecondFactor } from '../../accounts/factors.ts';
import { listPasskeys } from '../../accounts/passkeys.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { unprocessable } from '../responses.ts';
import type { AccountViews } from '../views/account.ts';
import type { AccountArea } from './account-area.ts';
import { addsPasskeys } from './passkeys.ts';

export function createMethods(area: AccountArea): Router {
  const { config, storage, sessions } = area;
  const { prisma } = storage;
  const router = new Router({ prefix: '/account' });

  router.get(
    '/methods',
    area.show(async (ctx, person) => {
      const { id } = person.account;
      const [factors, passkeys, totp] = await Promise.all([
        factorsOf(prisma, id),
        listPasskeys({ storage }, id),
        prisma.totp.findUnique({ where: { accountId: id } }),
      ]);
      area.page(ctx, person, 'methods', {
        form: randomUUID(), // recovery.ts remembers it
        factors,
        hasSecond: hasSecondFactor(factors),
        passkeys: passkeys.map(({ id: key, name, synced, createdAt, lastUsedAt }) => ({
          ...{ id: key, name, synced, since: area.language(ctx).date(createdAt) },
          used: lastUsedAt ? area.when(ctx, lastUsedAt) : undefined,
        })),
        totpSince: totp?.confirmedAt ? area.language(ctx).date(totp.confirmedAt) : undefined,
        add: await addsPasskeys(area, ctx, person),
      });
    }, true),
  );

  router.get(
    '/methods/password',
    area.show((ctx, person) => {
      passwordPage(ctx, person, {});
    }, true),
  );

  router.post(
    '/methods/password',
    area.take(async (ctx, person, form) => {
      const { account } = person;
      const unit = currentUnit();
      const { origin } = unit;
      let hash: string;
      try {
        hash = await acceptedPassword(storage, account.id, form.text('password'));
      } catch (error) {
        const password = unprocessable(area.renderer, ctx, error);
        passwordPage(ctx, person, { mistakes: { password } });
        return;
      }
      const families = await unit.change(async (database) => {
        const parts = { storage, config, origin };
        const ended = await changePassword(database, parts, account.id, hash);
        await sessions.startAnew(ctx, account, person.amr);
        return ended;
      });
      area.done(ctx, '/methods', 'methods.password-changed', { families });
    }, '/methods/password'),
  );

  return router;

  function passwordPage(
    ctx: Context,
    person: SignedIn,
    data: Pick<AccountViews['password'], 'mistakes'>,
  ): void {
    area.page(ctx, person, 'password', {
      endsFamilies: config.endFamiliesOn.includes('password_changed'),
      ...data,
    });
  }
}
