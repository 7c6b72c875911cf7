// The overview: a person's data, with their name and language, which they change here. Their picture is in picture.ts.
import Router from '@koa/router';
import { AccountError, accountError, accountInput } from '../../accounts/accounts.ts';
import type { Context } from 'koa';
import { whatChanged } from '../../storage/audit/changed.ts';
import { UnstorableText } from '../../storage/errors.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { unprocessable } from '../responses.ts';
import type { AccountViews } from '../views/account.ts';
import type { AccountArea } from './account-area.ts';

export function createProfile(area: AccountArea): Router {
  const { config, renderer, base } = area;
  const router = new Router({ prefix: '/account' });

  router.get(
    '/',
    area.show((ctx, person) => {
      overview(ctx, person, {});
    }),
  );

  router.post(
    '/name',
    area.take(async (ctx, person, form) => {
      const typed = form.text('name');
      const refuse = (error: unknown) => {
        overview(ctx, person, { typed, mistakes: { name: unprocessable(renderer, ctx, error) } });
      };
      const parsed = accountInput.shape.name.safeParse(typed);
      if (!parsed.success) {
        refuse(accountError('name', parsed.error));
        return;
      }
      const { id } = person.account;
      const unit = currentUnit();
      try {
        await unit.change((database) => {
          const data = { name: parsed.data || null };
          const detail = whatChanged(person.account, data, ['name']);
          unit.audit({ type: 'name.changed', accountId: id, detail });
          return database.account.update({ where: { id }, data });
        });
      } catch (error) {
        if (!(error instanceof UnstorableText)) throw error;
        refuse(new AccountError('name', 'error.unstorable'));
        return;
      }
      area.done(ctx, '', 'profile.name-changed');
    }),
  );

  router.post(
    '/language',
    area.take(async (ctx, { account }, form) => {
      // '' means: the browser's language.
      const chosen = renderer.languages.all.find(({ tag }) => tag === form.text('locale'));
      const unit = currentUnit();
      const data = { locale: chosen?.tag ?? null };
      const detail = whatChanged(account, data, ['locale']);
      unit.audit({ type: 'language.changed', accountId: account.id, detail });
      await unit.change((database) => database.account.update({ where: { id: account.id }, data }));
      area.done(ctx, '', 'profile.language-changed');
    }),
  );

  return router;

  function overview(
    ctx: Context,
    person: SignedIn,
    data: Pick<AccountViews['profile'], 'typed' | 'mistakes'>,
  ): void {
    const { account } = person;
    area.page(ctx, person, 'profile', {
      picture: account.pictureId === null ? undefined : `${base}/picture?${account.pictureId}`,
      languages: renderer.languages.all.map(({ tag, name, direction }) => ({
        ...{ tag, name, direction },
        isChosen: tag === account.locale,
      })),
      hasMail: config.mail.mode !== 'off',
      mayLeave: config.deletionDays !== 'off' && account.deleteAt === null,
      since: area.language(ctx).date(account.createdAt),
      ...data,
    });
  }
}
