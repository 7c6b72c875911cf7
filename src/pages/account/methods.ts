// How a person signs in: an overview of their factors (changed in passkeys.ts, one-time-codes.ts, recovery.ts), and the
// password. All of it requires a recent sign-in.
import { randomUUID } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { acceptedPassword, assertAnotherPassword, changePassword } from '../../accounts/changes.ts';
import { FactorError, factorsOf, hasSecondFactor } from '../../accounts/factors.ts';
import { TooManyAttempts } from '../../accounts/limits.ts';
import { listPasskeys } from '../../accounts/passkeys.ts';
import { checkPassword } from '../../accounts/sign-in.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import type { Form } from '../forms.ts';
import { tooMany, unprocessable } from '../responses.ts';
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
      const current = await mistakeInCurrent(ctx, person, form);
      if (current !== undefined) {
        passwordPage(ctx, person, { mistakes: { current } });
        return;
      }
      let hash: string;
      try {
        await assertAnotherPassword(account, form.text('password'));
        hash = await acceptedPassword(storage, config, account.id, form.text('password'));
      } catch (error) {
        const password = unprocessable(area.renderer, ctx, error);
        passwordPage(ctx, person, { mistakes: { password } });
        return;
      }
      const { families } = await unit.change(async (database) => {
        const parts = { storage, config, origin };
        const ended = await changePassword(database, parts, account.id, hash);
        await sessions.startAnew(ctx, account, person.amr);
        return ended;
      });
      area.done(ctx, '/methods', 'methods.password-changed', { families });
    }, '/methods/password'),
  );

  return router;

  /**
   * Checks the present password (ASVS 5, 6.2.3), which is counted like any other try.
   *
   * @returns what is wrong with it; undefined when it is right, or not asked for
   */
  async function mistakeInCurrent(
    ctx: Context,
    person: SignedIn,
    form: Form,
  ): Promise<string | undefined> {
    if (!asksForCurrent(person)) return undefined;
    const { t } = area.language(ctx);
    const { id, email } = person.account;
    const from = { ip: ctx.ip, browser: area.knownBrowser.of(ctx, id) };
    try {
      await checkPassword(area, { email, password: form.text('current'), from });
      return undefined;
    } catch (error) {
      if (error instanceof TooManyAttempts) {
        const { retryAfter: seconds } = error;
        tooMany(ctx, seconds);
        return seconds === undefined ? t('sign-in.closed') : t('sign-in.wait', { seconds });
      }
      if (!(error instanceof FactorError)) throw error;
      ctx.status = 422;
      return t('methods.current-wrong');
    }
  }

  function passwordPage(
    ctx: Context,
    person: SignedIn,
    data: Pick<AccountViews['password'], 'mistakes'>,
  ): void {
    area.page(ctx, person, 'password', {
      endsFamilies: config.endFamiliesOn.includes('password_changed'),
      asksForCurrent: asksForCurrent(person),
      ...data,
    });
  }
}

// Who has signed in with a passkey alone has shown as much as the password would. Who added a passkey to a sign-in by
// password has not: whoever finds a browser that was left open could do that.
function asksForCurrent({ account, amr }: SignedIn): boolean {
  const isByPasskey = !amr.includes('pwd') && (amr.includes('hwk') || amr.includes('swk'));
  return account.passwordHash !== null && !isByPasskey;
}
