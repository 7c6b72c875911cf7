// The discovery document and the keys, which relying parties fetch again and again. They only change with the engine,
// so each is made once per engine and then served from memory.
import type { Context, Next } from 'koa';
import type { Provider } from 'oidc-provider';
import type { Engine } from './engine.ts';

/** As Node writes them: names and values in turn. */
interface Answer {
  readonly headers: string[];
  readonly body: Buffer;
}

// The other headers are for pages.
const of = [
  'content-type',
  'cache-control',
  'vary',
  'access-control-allow-origin',
  'x-content-type-options',
  'strict-transport-security',
];

/**
 * Middleware that answers first. Requests of other origins' scripts (CORS) and other spellings of the paths are left to
 * the engine.
 *
 * @param base the issuer's path: '' or like '/op'
 */
export function answerPublished(engine: Engine, base: string) {
  const [openid, oauth] = [
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
  ];
  const published = new Set([base + openid, base + oauth, oauth + base, `${base}/jwks`]);
  const made = new WeakMap<Provider, Map<string, Answer>>();
  return (ctx: Context, next: Next): Promise<void> => {
    const isAsked = ctx.method === 'GET' && published.has(ctx.path) && ctx.get('origin') === '';
    return isAsked ? answer(ctx, next) : next();
  };

  async function answer(ctx: Context, next: Next): Promise<void> {
    const { provider } = engine;
    let answers = made.get(provider);
    if (!answers) made.set(provider, (answers = new Map<string, Answer>()));
    const known = answers.get(ctx.path);
    if (known) {
      ctx.respond = false; // Koa need not write it
      ctx.res.writeHead(200, known.headers).end(known.body);
      return;
    }
    await next();
    // Only an answer of the engine that was asked, not of one that has taken its place meanwhile.
    if (ctx.status !== 200 || engine.provider !== provider || !isJson(ctx.body)) return;
    const body = Buffer.from(JSON.stringify(ctx.body));
    const all = ctx.response.headers as Record<string, string>;
    const headers = of.flatMap((name) => (all[name] === undefined ? [] : [name, all[name]]));
    headers.push('content-length', String(body.length));
    answers.set(ctx.path, { headers, body });
  }
}

function isJson(body: unknown): boolean {
  return (
    typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype
  );
}
