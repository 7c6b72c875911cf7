// Setting up an app for one-time codes: its secret is shown as a QR code and as text, until a first code proves that
// the app has it.
import Router from '@koa/router';
import type { Context } from 'koa';
import { factorsOf } from '../../accounts/factors.ts';
import { beginTotp, confirmTotp, removeTotp } from '../../accounts/totp.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import { unprocessable } from '../responses.ts';
import type { AccountArea } from './account-area.ts';

export function createOneTimeCodes(area: AccountArea): Router {
  const { config, storage } = area;
  const router = new Router({ prefix: '/account/methods/totp' });

  router.get(
    '/',
    area.show((ctx, person) => setup(ctx, person), true),
  );

  router.post(
    '/',
    area.take(async (ctx, person, form) => {
      try {
        const unit = currentUnit();
        await unit.change(async (database) => {
          const parts = { storage, origin: unit.origin };
          await confirmTotp(database, parts, person.account.id, form.text('code'));
          await area.gain(ctx, person, ['otp']);
        });
        area.done(ctx, '/methods', 'totp.added');
      } catch (error) {
        await setup(ctx, person, unprocessable(area.renderer, ctx, error));
      }
    }, '/methods/totp'),
  );

  router.post(
    '/remove',
    area.take(async (ctx, person, form) => {
      const { id } = person.account;
      const factors = await factorsOf(storage.prisma, id);
      if (form.text('sure') !== 'yes' && factors.totp && factors.passkeys === 0) {
        area.page(ctx, person, 'last-factor', {
          action: `${area.base}/methods/totp/remove`,
          what: area.language(ctx).t('totp.heading'),
        });
        return;
      }
      const unit = currentUnit();
      const wasThere = await unit.change((database) =>
        removeTotp(database, { storage, origin: unit.origin }, id),
      );
      if (wasThere) area.done(ctx, '/methods', 'totp.removed');
      else ctx.status = 404;
    }, '/methods'),
  );

  return router;

  async function setup(ctx: Context, person: SignedIn, mistake?: string): Promise<void> {
    await area.orSayWhy(ctx, '/methods', async () => {
      const { secret, uri, qr } = await currentUnit().change((database) =>
        beginTotp(database, { storage, config }, person.account),
      );
      area.page(ctx, person, 'totp', {
        ...{ uri, mistake },
        secret: secret.match(/.{1,4}/g)?.join(' ') ?? secret,
        qr: `data:image/svg+xml;base64,${Buffer.from(qr).toString('base64')}`,
      });
    });
  }
}
