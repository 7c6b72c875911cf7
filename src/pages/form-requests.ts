// Forms that are sent here: by our own pages, never from another site; and by relying parties, to endpoints that take
// the same request by GET.
import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { errors } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { ForeignForm } from './error-page.ts';

const LONGEST = 12_000; // characters of a query that a request line may have

/** Reads a form of one of our own pages. One that another site has sent is refused: a cookie does not say who has. */
export function ownForm({ issuer }: Pick<Config, 'issuer'>): Middleware {
  const { origin } = new URL(issuer);
  const parse = bodyParser({ enableTypes: ['form'], formLimit: '16kb' });
  return (ctx, next) => {
    assertOwn(ctx, origin);
    return parse(ctx, next);
  };
}

/** The fields of a form that was read, as it was sent. */
export function formOf(ctx: Context): URLSearchParams {
  return new URLSearchParams(ctx.request.rawBody);
}

/**
 * The same, of a form with a file (multipart/form-data). What is longer is not read: its fields are none.
 *
 * @param limit characters of the whole form
 */
export function ownUpload({ issuer }: Pick<Config, 'issuer'>, limit: number): Middleware {
  const { origin } = new URL(issuer);
  return async (ctx, next) => {
    assertOwn(ctx, origin);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of ctx.req as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
    }
    const headers = { 'content-type': ctx.get('content-type') };
    const whole = new Response(length > limit ? '' : Buffer.concat(chunks), { headers });
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- warns of bodies without a limit; this has one
    const form = await whole.formData().catch(() => undefined);
    (ctx.request as { body?: unknown }).body = Object.fromEntries(form ?? []);
    ctx.state['isTooLong'] = length > limit;
    await next();
  };
}

function assertOwn(ctx: Context, origin: string): void {
  const isForeign =
    ['cross-site', 'same-site'].includes(ctx.get('sec-fetch-site')) ||
    !['', 'null', origin].includes(ctx.get('origin'));
  if (isForeign) throw new ForeignForm('the form was sent by another site');
}

/**
 * Authorization requests (OIDC Core §3.1.2.1) and requests to sign out (RP-Initiated Logout §2) may come by POST. The
 * browser is sent on with GET: with a form of another site it does not bring our cookies (SameSite=Lax).
 */
export function requestsByForm(base: string): Router {
  const router = new Router();
  const parse = bodyParser({ enableTypes: ['form'], formLimit: '64kb' });
  router.post(['/authorize', '/logout'], parse, (ctx) => {
    const query = new URLSearchParams(ctx.request.rawBody).toString();
    if (query.length > LONGEST) {
      throw new errors.InvalidRequest(
        'the request is too long for a form; it can be pushed instead (RFC 9126)',
      );
    }
    ctx.redirect(`${base}${ctx.path}?${query}`);
    ctx.status = 303;
  });
  return router;
}
