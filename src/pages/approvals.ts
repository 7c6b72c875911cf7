// What applications have asked a person who was not at their browser (OpenID CIBA): /approve shows it, and takes the
// answer. Each form is bound to the person and to the request that it answers.
import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import type { Context } from 'koa';
import { type Provider, errors } from 'oidc-provider';
import { authenticate } from '../accounts/accounts.ts';
import type { Config } from '../config.ts';
import type { Engine } from '../provider/engine.ts';
import { sha256 } from '../keys/keyring.ts';
import { audit } from '../operations/audit.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { findArtifactsOf } from '../storage/artifacts.ts';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/unit-of-work.ts';
import { type SignedIn, createBrowserSession } from './browser-session.ts';
import { presentClient } from './client-view.ts';
import { ForeignForm } from './error-page.ts';
import { ownForm } from './form-requests.ts';
import { formToken, isFormToken } from './form-token.ts';
import { type Renderer, preferLanguages } from './render.ts';
import { presentClaims, presentScopes, requestedResources } from './scopes-view.ts';

export interface ApprovalParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
}

type Request = InstanceType<Provider['BackchannelAuthenticationRequest']>;

interface Params {
  readonly client_notification_token?: string;
}

const MODEL = 'BackchannelAuthenticationRequest';
const FORM_COOKIE = 'symbolon_form';

export function createApprovals(parts: ApprovalParts): Router {
  const { config, storage, engine, renderer } = parts;
  const { prisma, keyring } = storage;
  const sessions = createBrowserSession(parts);
  const base = `${new URL(config.issuer).pathname.replace(/\/$/, '')}/approve`;
  const router = new Router({ prefix: '/approve' });
  const parse = ownForm(config);

  router.get('/', async (ctx) => {
    const person = await signedIn(ctx);
    if (!person) {
      signInPage(ctx, {});
      return;
    }
    await requestsPage(ctx, person);
  });

  router.post('/sign-in', parse, async (ctx) => {
    const { csrf, email = '', password = '' } = formOf(ctx);
    const browser = ctx.cookies.get(FORM_COOKIE);
    if (browser === undefined || !isFormToken(keyring, `sign-in ${browser}`, csrf)) {
      throw notFromHere();
    }
    const account = await authenticate(prisma, email, password);
    if (!account) {
      await audit(prisma, ctx, { type: 'sign_in.failed', detail: { reason: 'credentials' } });
      ctx.status = 401;
      const summary = renderer.language(ctx).t('sign-in.wrong');
      signInPage(ctx, { email, errors: { summary } });
      return;
    }
    await audit(prisma, ctx, { type: 'sign_in', accountId: account.id });
    await sessions.start(ctx, account, ['pwd']);
    back(ctx);
  });

  router.post('/:id', parse, async (ctx) => {
    const person = await signedIn(ctx);
    if (!person) {
      back(ctx);
      return;
    }
    const { id } = ctx['params'] as { id: string };
    const { csrf, answer } = formOf(ctx);
    if (!isFormToken(keyring, subject(person, id), csrf)) throw notFromHere();
    const { provider } = engine; // one and the same: the request and the grant are of its classes
    const request = (await waiting(person, provider)).find(({ jti }) => idOf(jti) === id);
    if (!request) {
      back(ctx); // answered already, or too late: the page tells what still waits
      return;
    }
    const client = await provider.Client.find(request.clientId ?? '');
    if (answer === 'allow') await allow(ctx, person, request, provider);
    else
      await engine.provider.backchannelResult(
        request,
        new errors.AccessDenied('the person said no'),
      );
    renderer.page(ctx, 'approved', {
      client: presentClient(client) ?? { name: request.clientId },
      allowed: answer === 'allow',
      more: base,
    });
  });

  return router;

  async function signedIn(ctx: Context): Promise<SignedIn | undefined> {
    const person = await sessions.find(ctx);
    preferLanguages(ctx, undefined, person?.account.locale);
    return person;
  }

  async function allow(
    ctx: Context,
    { account, authTime, amr }: SignedIn,
    request: Request,
    provider: Provider,
  ) {
    const { clientId = '', scope = '' } = request;
    const grant = new provider.Grant({ accountId: account.id, clientId });
    grant.addOIDCScope(scope);
    grant.addOIDCClaims(claimsIn(request.claims));
    const resources = await requestedResources(prisma, asked(request.params, scope));
    for (const { id, scopes } of resources)
      grant.addResourceScope(id, scopes.map((one) => one.scope).join(' '));
    await grant.save();
    await provider.backchannelResult(request, grant, { amr, authTime });
    await audit(prisma, ctx, {
      type: 'consent',
      accountId: account.id,
      clientId,
      detail: { scope, by: 'ciba' },
    });
  }

  async function requestsPage(ctx: Context, person: SignedIn): Promise<void> {
    const requests = await waiting(person, engine.provider);
    const language = renderer.language(ctx);
    renderer.page(ctx, 'approve', {
      account: person.account,
      requests: await Promise.all(
        requests.map(async ({ jti, clientId = '', scope = '', params, claims }) => {
          const client = await engine.provider.Client.find(clientId);
          const scopes = scope.split(' ');
          return {
            action: `${base}/${idOf(jti)}`,
            csrf: formToken(keyring, subject(person, idOf(jti))),
            client: presentClient(client),
            message: (params as { binding_message?: string } | undefined)?.binding_message,
            scopes: [
              ...presentScopes(language, scopes, config.claims),
              ...presentClaims(language, claimsIn(claims)),
            ],
            resources: (await requestedResources(prisma, asked(params, scope))).filter(
              (resource) => resource.scopes.length > 0,
            ),
            offline: scopes.includes('offline_access')
              ? language.duration(refreshPolicy(config).idleTtl(client ?? {}))
              : undefined,
          };
        }),
      ),
    });
  }

  function signInPage(ctx: Context, data: object): void {
    const browser = ctx.cookies.get(FORM_COOKIE) ?? randomBytes(16).toString('base64url');
    ctx.cookies.set(FORM_COOKIE, browser, { sameSite: 'strict', path: base });
    const csrf = formToken(keyring, `sign-in ${browser}`);
    renderer.page(ctx, 'sign-in', { action: `${base}/sign-in`, csrf, ...data });
  }

  /** What waits for this person's answer. */
  async function waiting({ account }: SignedIn, provider: Provider): Promise<Request[]> {
    const now = storage.now();
    const found = await answered(() => findArtifactsOf(prisma, keyring, MODEL, account.id, now));
    const requests = await Promise.all(
      found.map(({ jti = '' }) => provider.BackchannelAuthenticationRequest.find(jti)),
    );
    const answerable = await Promise.all(
      requests.map(async (request) => {
        if (!request) return [];
        // A client that has gone, or learns its answers in another way by now, cannot be told.
        const client = await provider.Client.find(request.clientId ?? '');
        const { client_notification_token: token } = (request.params ?? {}) as Params;
        const isPing = client?.backchannelTokenDeliveryMode === 'ping';
        return client && (!isPing || token !== undefined) ? [request] : [];
      }),
    );
    return answerable.flat();
  }

  function back(ctx: Context): void {
    ctx.redirect(base);
    ctx.status = 303;
  }
}

/** The fields of a form; one that was sent twice counts as not sent. */
function formOf(ctx: Context): Record<string, string | undefined> {
  const fields = Object.entries((ctx.request.body ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    fields.filter((field): field is [string, string] => typeof field[1] === 'string'),
  );
}

/** The claims that a request's `claims` parameter names (OIDC Core §5.5). */
function claimsIn(claims: unknown): string[] {
  return ['userinfo', 'id_token'].flatMap((member) =>
    Object.keys((claims as Record<string, object> | undefined)?.[member] ?? {}),
  );
}

function asked(params: object | undefined, scope: string): Record<string, unknown> {
  return { ...params, scope };
}

function notFromHere(): Error {
  return new ForeignForm('the form token is missing or wrong');
}

function subject({ account, authTime }: SignedIn, id: string): string {
  return `approve ${account.id} ${authTime} ${id}`;
}

// The auth_req_id is the client's; pages show a hash of it.
function idOf(authReqId: string): string {
  return Buffer.from(sha256(`approve ${authReqId}`)).toString('base64url');
}
