// A small relying party that shows what refresh tokens do. It is a demo: its sessions live in memory, and it
// shows and keeps tokens that no real application does.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { type Action, refresh, refreshTwice, replay, replayOlder, userInfo } from './actions.ts';
import { DemoError, explain } from './errors.ts';
import { newFamily } from './family.ts';
import { errorPage, signedOutPage } from './pages.ts';
import { type ProviderClient, createProviderClient } from './provider-client.ts';
import { createSessions, isFormToken, rememberSignIn, takeSignIn } from './sessions.ts';
import { signedInPage } from './signed-in.ts';

export interface RelyingPartyOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** 0 takes any free port. */
  readonly port: number;
}

export interface RelyingParty {
  /** Where it is, with no slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts it on localhost. The provider need not run yet. */
export async function startRelyingParty(options: RelyingPartyOptions): Promise<RelyingParty> {
  const server = createServer();
  server.listen(options.port, 'localhost');
  await once(server, 'listening');
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  const provider = createProviderClient({ ...options, origin: url });
  const app = createApp(provider, options.issuer, url).callback();
  server.on('request', (request, response) => void app(request, response));
  return {
    url,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function createApp(provider: ProviderClient, issuer: string, url: string): Koa {
  const app = new Koa({ keys: [randomBytes(32).toString('base64url')] });
  const sessions = createSessions();
  const router = new Router();
  const style = readFileSync(new URL('style.css', import.meta.url), 'utf8');
  const contextOf = (ctx: Context) => ({ issuer, csrf: sessions.of(ctx).csrf });

  router.get('/style.css', (ctx) => {
    ctx.type = 'css';
    ctx.body = style;
  });

  router.get('/', (ctx) => {
    const { account } = sessions.of(ctx);
    const context = contextOf(ctx);
    ctx.body = account ? signedInPage(context, account, new Date()) : signedOutPage(context);
  });

  router.post('/sign-in', async (ctx) => {
    const { url: authorize, signIn } = await provider.signIn();
    rememberSignIn(sessions.of(ctx), signIn);
    back(ctx, authorize.href);
  });

  router.get('/callback', async (ctx) => {
    const signIn = takeSignIn(sessions.of(ctx), ctx.query['state']);
    if (!signIn) throw new DemoError('unknown-sign-in');
    const tokens = await provider.finishSignIn(new URL(ctx.url, url), signIn);
    const { refreshToken } = tokens;
    const family = refreshToken === undefined ? undefined : newFamily(refreshToken, new Date());
    sessions.renew(ctx).account = { tokens, family };
    back(ctx, '/');
  });

  router.post('/sign-out', async (ctx) => {
    const { account } = sessions.of(ctx);
    sessions.renew(ctx); // here first: whatever the provider does, nobody is signed in here any more
    back(ctx, account ? (await provider.signOut(account.tokens)).href : '/');
  });

  const press = (action: Action): Middleware => {
    return async (ctx) => {
      const { account } = sessions.of(ctx);
      if (!account) throw new DemoError('signed-out');
      account.outcome = await action(provider, account);
      back(ctx, '/#outcome');
    };
  };
  router.post('/refresh', press(refresh));
  router.post('/refresh-twice', press(refreshTwice));
  router.post('/replay', press(replay));
  router.post('/replay-older', press(replayOlder));
  router.post('/userinfo', press(userInfo));

  app.use(secureHeaders(issuer));
  app.use(async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404) throw new DemoError('not-found');
    } catch (error) {
      const { status, ...page } = explain(error, issuer);
      ctx.status = status;
      ctx.body = errorPage(contextOf(ctx), page);
    }
  });
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '4kb' }));
  app.use(async (ctx, next) => {
    if (ctx.method === 'POST' && !isFormToken(sessions.of(ctx), formOf(ctx)['csrf'])) {
      throw new DemoError('stale-form');
    }
    await next();
  });
  app.use(router.routes());
  return app;
}

/** A page is shown by a GET of its own, so that reloading it does nothing again. */
function back(ctx: Context, to: string): void {
  ctx.redirect(to);
  ctx.status = 303;
}

function formOf(ctx: Context): Record<string, unknown> {
  return ((ctx.request as { body?: unknown }).body ?? {}) as Record<string, unknown>;
}

function secureHeaders(issuer: string): Middleware {
  // The issuer is a form's target, too: signing in and out is a form here that redirects to it.
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    'img-src data:',
    `form-action 'self' ${new URL(issuer).origin}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
  return async (ctx, next) => {
    ctx.set('Content-Security-Policy', policy);
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Referrer-Policy', 'same-origin');
    ctx.set('X-Content-Type-Options', 'nosniff');
    await next();
  };
}
