// What relying parties fetch again and again: the discovery document and the keys. They change with the engine only,
// so that each is made once for every engine, and then answered as it is.
import type { Context, Next } from 'koa';
import type { Provider } from 'oidc-provider';
import type { Engine } from './engine.ts';

/** As Node writes it: names and values in turn. */
interface Answer {
  readonly headers: string[];
  readonly body: Buffer;
}

// The others are for pages.
const of = [
  'content-type',
  'cache-control',
  'vary',
  'access-control-allow-origin',
  'x-content-type-options',
  'strict-transport-security',
];

/**
 * Answers before anything else does; what scripts of other origins ask for is left to the engine (CORS), and so is any
 * other spelling of these paths, which it knows as well.
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
    // URLs are made with the protocol that a proxy names.
    const known = answers.get(`${ctx.protocol} ${ctx.path}`);
    if (known) {
      ctx.respond = false; // Koa has nothing to find out about it
      ctx.res.writeHead(200, known.headers).end(known.body);
      return;
    }
    await next();
    // Made by the engine that was asked, and not by one that has taken its place meanwhile.
    if (ctx.status !== 200 || engine.provider !== provider || !isJson(ctx.body)) return;
    const body = Buffer.from(JSON.stringify(ctx.body));
    const all = ctx.response.headers as Record<string, string>;
    const headers = of.flatMap((name) => (all[name] === undefined ? [] : [name, all[name]]));
    headers.push('content-length', String(body.length));
    answers.set(`${ctx.protocol} ${ctx.path}`, { headers, body });
  }
}

function isJson(body: unknown): boolean {
  return (
    typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype
  );
}
