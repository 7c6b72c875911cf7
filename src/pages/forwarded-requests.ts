// Requests that relying parties send by POST to endpoints that take them by GET.
import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import { errors } from 'oidc-provider';
import { seeOther } from './responses.ts';

const LONGEST = 12_000; // characters of a query that a request line may have

/**
 * Authorization requests (OIDC Core §3.1.2.1) and requests to sign out (RP-Initiated Logout §2) may come by POST. The
 * browser is redirected to a GET, since a form of another site does not bring our cookies (SameSite=Lax).
 *
 * @param base the issuer's path: '' or like '/op'
 */
export function forwardRequests(base: string): Router {
  const router = new Router();
  const parse = bodyParser({ enableTypes: ['form'], formLimit: '64kb' });
  router.post(['/authorize', '/logout'], parse, (ctx) => {
    const query = new URLSearchParams(ctx.request.rawBody).toString();
    if (query.length > LONGEST) {
      throw new errors.InvalidRequest(
        'the request is too long for a form; it can be pushed instead (RFC 9126)',
      );
    }
    seeOther(ctx, `${base}${ctx.path}?${query}`);
  });
  return router;
}
