// The composition root: all dependencies, and all middleware in the order in which a request meets it.
import Router from '@koa/router';
import helmet from 'helmet';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import mount from 'koa-mount';
import { hasAccounts } from './accounts/accounts.ts';
import { type Limits, createLimits } from './accounts/limits.ts';
import type { Config } from './config/config.ts';
import { installationSecret } from './keys/installation-secrets.ts';
import {
  type KeySchedule,
  fingerprintKeys,
  loadSigningKeys,
  maintainKeys,
} from './keys/signing-keys.ts';
import { type Mailer, createMailer } from './mail/mailer.ts';
import { bindCookies, cookieKeys } from './operations/bound-cookies.ts';
import {
  answerErrors,
  endRequests,
  logRequests,
  logUncaught,
  nameRequests,
} from './operations/http.ts';
import type { Log } from './operations/log.ts';
import { requestOutages } from './operations/outages.ts';
import { type Health, answerHealth, createHealth, healthPath } from './operations/health.ts';
import { answerReadiness, readinessPath } from './operations/readiness.ts';
import { leaveUnread, refuseAtOnce } from './operations/refused.ts';
import { settleOrigin } from './operations/request-origin.ts';
import { createAccountPages } from './pages/account/account.ts';
import { type BrowserSession, createBrowserSession } from './pages/browser-session.ts';
import { createApprovals } from './pages/approvals.ts';
import { createEnginePages } from './pages/engine-pages.ts';
import { errorPage } from './pages/error-page.ts';
import { honourFormerCookies } from './pages/former-cookies.ts';
import { forwardRequests } from './pages/forwarded-requests.ts';
import { createInteractions } from './pages/interactions.ts';
import { ownContinuePage } from './pages/continue.ts';
import { createCookies } from './pages/cookies.ts';
import { createKnownBrowser } from './pages/sign-in/known-browser.ts';
import { createOwnSignIn } from './pages/sign-in/own-sign-in.ts';
import { createPasswordReset } from './pages/password-reset.ts';
import { createRenderer, pagePolicy } from './pages/render.ts';
import { createSignIn } from './pages/sign-in/sign-in.ts';
import { createSetup } from './pages/setup.ts';
import { createSignUp } from './pages/sign-up.ts';
import { createVerify } from './pages/verify.ts';
import { hasRoute } from './provider/engine-seams/routes.ts';
import { type Engine, createEngine } from './provider/engine.ts';
import { type KeyRotation, createKeyRotation } from './provider/key-rotation.ts';
import { type Outgoing, createOutgoing } from './provider/outgoing.ts';
import { logRefusals } from './provider/refusals.ts';
import { answerPublished } from './provider/published.ts';
import { checkClock, checkDatabase } from './storage/checks.ts';
import { recordKeys } from './storage/audit/keys.ts';
import { answered } from './storage/errors.ts';
import { LONGEST_RESOURCE_TTL } from './storage/resources.ts';
import type { Storage } from './storage/storage.ts';
import { bySystem, originOf } from './storage/origin.ts';
import { runUnit } from './storage/unit-of-work.ts';

export interface AppParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly log: Log;
  /** Once it is aborted, answers close their connection, so that a proxy's next request goes elsewhere. */
  readonly stopping?: AbortSignal;
}

export interface App {
  readonly koa: Koa;
  readonly engine: Engine;
  readonly keyRotation: KeyRotation;
  /** What is sent to relying parties. */
  readonly outgoing: Omit<Outgoing, 'start'> & { start(): { stop(): Promise<void> } };
  readonly mailer: Mailer;
  readonly health: Health;
}

/** Puts the application together; nothing listens yet. */
export async function createApp({ config, storage, log, stopping }: AppParts): Promise<App> {
  const { prisma, keyring } = storage;
  const base = config.basePath;
  const renderer = createRenderer(base, config.theme);

  const available = requestOutages(log);
  const outgoing = createOutgoing({ config, storage, log });
  const { languages } = renderer;
  const mailer = createMailer({ config, storage, log, languages, look: config.theme });
  const pages = createEnginePages(renderer, async (id) => {
    const select = { email: true, name: true, locale: true };
    return (
      (await answered(() => prisma.account.findUnique({ where: { id }, select }))) ?? undefined
    );
  });
  const limits = createLimits(storage);
  const schedule = keySchedule(config);
  const { now } = storage;
  const record = recordKeys({ now: now(), origin: bySystem('keys') });
  await maintainKeys(prisma, keyring, now(), schedule, record);
  const fingerprint = await fingerprintKeys(prisma, now(), schedule);
  const signingKeys = await loadSigningKeys(prisma, keyring, now(), schedule);
  const kept = signingKeys.algorithms.filter((alg) => !config.signingAlgorithms.includes(alg));
  if (kept.length > 0)
    log.warn(
      { algorithms: kept },
      'keys are kept for what registered clients or resources still ask for (SYMBOLON_SIGNING_ALGORITHMS)',
    );
  const knownBrowser = createKnownBrowser(keyring, createCookies(config).browser);
  const engine = createEngine(
    {
      config,
      storage,
      outgoing,
      pages,
      knownBrowser: knownBrowser.any,
      pairwiseSecret: await installationSecret(prisma, keyring, 'pairwise'),
    },
    signingKeys,
    (provider) => {
      logRefusals(log, provider, available);
    },
  );
  const keyRotation = createKeyRotation({ storage, schedule, engine, log, available }, fingerprint);

  const health = createHealth(
    { database: checkDatabase(storage), keys: keyRotation.check, clock: checkClock(storage) },
    stopping,
  );

  const koa = new Koa({ proxy: true });
  koa.keys = cookieKeys(keyring.cookieKeys);
  koa.on('error', logUncaught(log));
  koa.use(nameRequests);
  koa.use(settleOrigin(config));
  koa.use(endRequests(stopping));
  koa.use(leaveUnread);
  koa.use(answerReadiness(base, stopping, () => prisma.$queryRaw`SELECT 1`, storage.clockOffset));
  koa.use(answerHealth(base, health));
  koa.use(logRequests(log));
  koa.use(answerPublished(engine, base));
  koa.use(securityHeaders(config.issuer));
  koa.use(
    answerErrors(
      log,
      (ctx, code, description, error) => {
        errorPage(renderer, ctx, code, description, error);
      },
      available,
      methodsAt,
    ),
  );
  koa.use(refuseAtOnce([`${base}/account/picture`]));
  koa.use(bindCookies(config.issuer));
  koa.use(honourFormerCookies(config));
  koa.use(renderer.assets);
  koa.use(authorizationServerMetadata());
  koa.use(oneUnitOfWork());
  const routers = ownRouters();
  koa.use(exceptForPrograms(base, mount(base || '/', ownPages(routers))));
  koa.use(ownContinuePage(renderer, base));
  koa.use(engine.middleware);
  return {
    ...{ koa, engine, keyRotation, mailer, health },
    outgoing: { ...outgoing, start: () => outgoing.start(() => engine.provider) },
  };

  /** The methods that a path is there for. */
  function methodsAt(path: string): string[] {
    const [get, all] = [
      ['GET', 'HEAD'],
      ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    ];
    if ([...renderer.assetPaths, healthPath(base), readinessPath(base)].includes(path)) return get;
    if (!path.startsWith(base)) return [];
    const below = path.slice(base.length) || '/';
    return all.filter(
      (method) =>
        hasRoute(engine.provider, method, below) ||
        routers.some((router) => router.match(below, method).route),
    );
  }

  function ownPages(routers: readonly Router[]): Koa {
    const app = new Koa();
    for (const router of routers) app.use(router.routes());
    return app;
  }

  function ownRouters(): Router[] {
    const signIn = createSignIn({ config, storage, renderer, limits, knownBrowser });
    const home = new Router();
    home.get('/', async (ctx) => {
      const discovery = `${config.baseUrl}/.well-known/openid-configuration`;
      renderer.page(ctx, 'home', {
        issuer: config.issuer,
        discovery,
        accounts: await hasAccounts(prisma),
      });
    });
    // RFC 8628 §3.3.1: the code of verification_uri_complete is filled in; the person still confirms it.
    home.get('/device', async (ctx, next) => {
      const { user_code: userCode, ...query } = ctx.query;
      ctx.state['userCode'] = userCode;
      ctx.query = query;
      await next();
    });
    home.post('/device', limitUserCodes(limits, createBrowserSession({ config, storage, engine })));
    return [
      forwardRequests(base),
      home,
      createSetup({ config, storage, renderer, limits }),
      createInteractions({ config, storage, engine, renderer, signIn }),
      createOwnSignIn({ config, storage, engine, renderer, signIn }),
      createPasswordReset({ config, storage, engine, renderer, knownBrowser }),
      createSignUp({ config, storage, engine, renderer, limits }),
      createVerify({ config, storage, engine, renderer }),
      createAccountPages({ config, storage, engine, renderer, limits, knownBrowser }),
      ...(config.ciba ? [createApprovals({ config, storage, engine, renderer })] : []),
    ];
  }

  /** Commits a request's writes together, before its response leaves. */
  function oneUnitOfWork() {
    return (ctx: Context, next: Next): Promise<void> =>
      runUnit(storage, originOf(ctx), next, () => ctx.status >= 400);
  }

  /** RFC 8414 §3.1 puts the well-known path before the issuer's path; the engine only serves it after that. */
  function authorizationServerMetadata() {
    const wellKnown = '/.well-known/oauth-authorization-server';
    return (ctx: Context, next: Next) => {
      if (base !== '' && ctx.path.replace(/\/$/, '') === wellKnown + base)
        ctx.url = base + wellKnown;
      return next();
    };
  }
}

/**
 * RFC 8628 §5.1: a user code is short, so anyone who tries many has to wait. Whoever is signed in is counted by the
 * account, and waits for no stranger at the same address.
 */
function limitUserCodes(limits: Limits, sessions: BrowserSession) {
  return async (ctx: Context, next: Next) => {
    const signedIn = (await sessions.find(ctx))?.account.id;
    await limits.judge({ what: 'user_code', from: { ip: ctx.ip, signedIn } }, async () => {
      await next();
      return ctx.state['userCodeUnknown'] === true ? undefined : true;
    });
  };
}

/** The schedule of signing keys. A key that has signed is kept for the longest lifetime of what it signed. */
export function keySchedule({ ttl, keyRotationDays, signingAlgorithms }: Config): KeySchedule {
  const longest = Math.max(ttl.accessToken, ttl.idToken, ttl.session, LONGEST_RESOURCE_TTL);
  return {
    rotateEvery: keyRotationDays * 86_400_000,
    keptFor: longest * 1000,
    algorithms: signingAlgorithms,
  };
}

/** Lets programs' most frequent requests bypass the pages, so that they are not compared with each page's path. */
function exceptForPrograms(base: string, pages: Middleware): Middleware {
  const endpoints = ['/token', '/introspect', '/userinfo', '/revoke', '/par'];
  const paths = new Set(endpoints.map((endpoint) => base + endpoint));
  return (ctx, next) => (paths.has(ctx.path) ? next() : (pages(ctx, next) as Promise<void>));
}

/**
 * Pages run no scripts, except those that allow their own (`allowScripts`). `form-action` is left out: browsers also
 * apply it to the redirect back to the relying party.
 */
function securityHeaders(issuer: string) {
  const set = helmet({
    contentSecurityPolicy: false,
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    // The endpoints serve other origins' scripts too; CORS decides what they may read.
    crossOriginResourcePolicy: false,
    referrerPolicy: { policy: 'no-referrer' },
    ...(issuer.startsWith('https:') ? {} : { strictTransportSecurity: false }),
    xFrameOptions: { action: 'deny' },
  });
  return (ctx: Context, next: Next) => {
    set(ctx.req, ctx.res, () => undefined);
    ctx.res.setHeader('Content-Security-Policy', pagePolicy);
    return next();
  };
}
