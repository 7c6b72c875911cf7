// A person's e-mail address: confirmed or changed by a link that is sent there (accounts/addresses.ts). The number of
// mails is limited, so that nobody can flood a stranger's mailbox.
import Router from '@koa/router';
import type { Context } from 'koa';
import { askForEmailChange, askForVerification } from '../../accounts/addresses.ts';
import { writtenAddress } from '../../accounts/email-address.ts';
import { type MailPurpose, createMailLimits } from '../../accounts/mail-limits.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { unprocessable } from '../responses.ts';
import type { AccountViews } from '../views/account.ts';
import type { AccountArea } from './account-area.ts';

export function createEmail(area: AccountArea): Router {
  const { storage } = area;
  const limits = createMailLimits(storage);
  const router = new Router({ prefix: '/account/email' });

  router.get(
    '/',
    area.show((ctx, person) => {
      changePage(ctx, person, {});
    }, true),
  );

  router.post(
    '/',
    area.take(async (ctx, person, form) => {
      const typed = form.text('email');
      try {
        if (await mayAsk(ctx, 'email_change', writtenAddress(typed)))
          await currentUnit().change((database) =>
            askForEmailChange(database, storage, person.account, typed),
          );
      } catch (error) {
        changePage(ctx, person, { typed, mistake: unprocessable(area.renderer, ctx, error) });
        return;
      }
      area.done(ctx, '', 'email.asked', { email: writtenAddress(typed) });
    }, '/email'),
  );

  router.post(
    '/verify',
    area.take(async (ctx, { account }) => {
      if (await mayAsk(ctx, 'verification', account.email))
        await currentUnit().change((database) => askForVerification(database, storage, account));
      area.done(ctx, '', 'email.asked', { email: account.email });
    }),
  );

  return router;

  async function mayAsk(ctx: Context, purpose: MailPurpose, email: string): Promise<boolean> {
    return (await limits.fromIp(ctx.ip)) && (await limits.toEmail(purpose, email));
  }

  function changePage(ctx: Context, person: SignedIn, data: AccountViews['email']): void {
    area.page(ctx, person, 'email', data);
  }
}
