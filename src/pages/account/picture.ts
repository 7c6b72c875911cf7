// A person's picture. It is accepted by its content, not by its name or declared type. Its URL cannot be guessed and
// changes with every picture, so that it may be cached for long and is gone when removed.
import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { currentUnit } from '../../storage/unit-of-work.ts';
import { createFormReader } from '../forms.ts';
import type { AccountArea } from './account-area.ts';

const LARGEST = 512 * 1024; // bytes
const WRAPPING = 4 * 1024; // bytes of a form around its file

export function createPicture(area: AccountArea): Router {
  const { config, storage, sessions } = area;
  const { prisma } = storage;
  const router = new Router();

  router.post(
    '/account/picture',
    area.take(
      async (ctx, { account: { id } }, form) => {
        const content = new Uint8Array((await form.file('picture')?.arrayBuffer()) ?? []);
        if (form.isTooLong || content.length > LARGEST) {
          area.done(ctx, '', 'picture.too-large');
          return;
        }
        const type = pictureType(content);
        if (type === undefined) {
          area.done(ctx, '', 'picture.unknown');
          return;
        }
        const pictureId = randomBytes(16).toString('base64url');
        const unit = currentUnit();
        unit.audit({ type: 'picture.changed', accountId: id });
        await unit.change(async (database) => {
          await database.picture.upsert({
            where: { accountId: id },
            create: { accountId: id, type, content },
            update: { type, content },
          });
          await database.account.update({ where: { id }, data: { pictureId } });
        });
        area.done(ctx, '', 'picture.changed');
      },
      undefined,
      createFormReader(config, LARGEST + WRAPPING),
    ),
  );

  router.post(
    '/account/picture/remove',
    area.take(async (ctx, { account: { id } }) => {
      const unit = currentUnit();
      unit.audit({ type: 'picture.removed', accountId: id });
      await unit.change(async (database) => {
        await database.picture.deleteMany({ where: { accountId: id } });
        await database.account.update({ where: { id }, data: { pictureId: null } });
      });
      area.done(ctx, '', 'picture.removed');
    }),
  );

  router.get('/account/picture', async (ctx) => {
    const person = await sessions.find(ctx);
    if (!person) return;
    const picture = await prisma.picture.findUnique({ where: { accountId: person.account.id } });
    if (picture) serve(ctx, picture, 'private, max-age=300');
  });

  // Applications on other origins show it (OIDC Core §5.1, `picture`).
  router.get('/picture/:id', async (ctx) => {
    const { id } = ctx['params'] as { id: string };
    const found = await prisma.account.findUnique({
      where: { pictureId: id },
      select: { picture: true },
    });
    if (!found?.picture) return;
    ctx.set('Cross-Origin-Resource-Policy', 'cross-origin');
    serve(ctx, found.picture, 'public, max-age=86400');
  });

  return router;
}

function serve(
  ctx: Context,
  { type, content }: { type: string; content: Uint8Array },
  caching: string,
): void {
  ctx.set('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; sandbox");
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set('Cache-Control', caching);
  ctx.type = type;
  ctx.body = Buffer.from(content);
}

/** The media type of a picture, by how its content begins. */
export function pictureType(content: Uint8Array): string | undefined {
  const begin = Buffer.from(content.subarray(0, 12)).toString('latin1');
  if (begin.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (begin.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  return /^RIFF[^]{4}WEBP$/.test(begin) ? 'image/webp' : undefined;
}
