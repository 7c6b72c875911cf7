// What the compiler must refuse: `npm run typecheck` fails where one of these is no mistake any more. Nothing runs here.
import { FactorError } from '../../src/accounts/factors.ts';
import { AccountError } from '../../src/accounts/accounts.ts';
import type { Language, MessageKey } from '../../src/languages.ts';
import type { AccountArea } from '../../src/pages/account/account-area.ts';
import type { SignedIn } from '../../src/pages/browser-session.ts';
import type { PageContext, Renderer } from '../../src/pages/render.ts';
import type { Mail } from '../../src/storage/deliveries.ts';
import type { NoticeKind } from '../../src/storage/mail-templates.ts';
import type { Context } from 'koa';

export function views({ page }: Renderer, ctx: PageContext): void {
  page(ctx, 'verify-done', { email: 'ada@example.com', account: '/account' });
  page(ctx, 'limit', {});
  // @ts-expect-error -- there is no such template
  page(ctx, 'verify-dnoe', { email: 'ada@example.com', account: '/account' });
  // @ts-expect-error -- a key is missing
  page(ctx, 'verify-done', { email: 'ada@example.com' });
  // @ts-expect-error -- a key is another
  page(ctx, 'verify-done', { email: 'ada@example.com', account: '/account', actoin: '/' });
  // @ts-expect-error -- a value is of another type
  page(ctx, 'verify-done', { email: 'ada@example.com', account: undefined });
  // @ts-expect-error -- there is nothing to show
  page(ctx, 'limit', { seconds: 3 });
}

export function account({ page, done }: AccountArea, ctx: Context, person: SignedIn): void {
  page(ctx, person, 'recovery', { codes: [] });
  // @ts-expect-error -- there is no such page
  page(ctx, person, 'recoveries', { codes: [] });
  // @ts-expect-error -- a key is missing
  page(ctx, person, 'recovery', {});
  // @ts-expect-error -- the area adds it
  page(ctx, person, 'recovery', { codes: [], csrf: '' });
  done(ctx, '', 'picture.changed');
  // @ts-expect-error -- there is no such message
  done(ctx, '', 'picture.chagned');
}

export function messages({ t }: Language, kind: NoticeKind): MessageKey {
  t('sign-in.wrong');
  // @ts-expect-error -- there is no such message
  t('sign-in.wrnog');
  // @ts-expect-error -- some of these there are not
  t(`notice.${kind}.texts`);
  // @ts-expect-error -- there is no such message
  new FactorError('factor.wrong');
  // @ts-expect-error -- there is no such message
  new AccountError('email', 'account.wrong');
  return `notice.${kind}.subject`;
}

export const mails: readonly Mail[] = [
  { to: 'ada@example.com', locale: null, template: 'verification', values: { token: 'x' } },
  // @ts-expect-error -- a value is missing
  { to: 'ada@example.com', locale: null, template: 'verification', values: {} },
  // @ts-expect-error -- there is no such template
  { to: 'ada@example.com', locale: null, template: 'verificatoin', values: { token: 'x' } },
];
