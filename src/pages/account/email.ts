// A person's e-mail address: confirmed or changed by a link that is sent there (accounts/addresses.ts). The number of
// mails is limited, so that nobody can flood a stranger's mailbox; a person is counted by themselves, not by the address.
import Router from '@koa/router';
import type { Context } from 'koa';
import { askForEmailChange, askForVerification } from '../../accounts/addresses.ts';
import { writtenAddress } from '../../accounts/email-address.ts';
import { type MailPurpose, createMailLimits } from '../../accounts/mail-limits.ts';
import type { Account } from '../../generated/client.ts';
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
        const email = writtenAddress(typed);
        if (!(await mayAsk(person.account, 'email_change', email))) {
          area.done(ctx, '', 'email.limited', { email });
          return;
        }
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
      const { email } = account;
      const isSent = await mayAsk(account, 'verification', email);
      if (isSent)
        await currentUnit().change((database) => askForVerification(database, storage, account));
      area.done(ctx, '', isSent ? 'email.asked' : 'email.limited', { email });
    }),
  );

  return router;

  async function mayAsk(
    { id: known }: Pick<Account, 'id'>,
    purpose: MailPurpose,
    email: string,
  ): Promise<boolean> {
    if (!(await limits.from({ ip: '', known }))) return false;
    // A stranger's mailbox is counted for all who name it, too; one's own for oneself.
    return purpose === 'verification'
      ? limits.toEmail(purpose, email, known)
      : limits.toNewEmail(purpose, email, { ip: '', known });
  }

  function changePage(ctx: Context, person: SignedIn, data: AccountViews['email']): void {
    area.page(ctx, person, 'email', data);
  }
}
