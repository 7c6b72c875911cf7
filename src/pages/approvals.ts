// /approve: shows the requests of applications to a person who was not at their browser (OpenID CIBA), and takes the
// answers. Each form is bound to the person and to its request.
import Router from '@koa/router';
import type { Context } from 'koa';
import { type Client, type Provider, errors } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { Engine } from '../provider/engine.ts';
import { sha256 } from '../keys/keyring.ts';
import { answeredLevel, demandedLevel } from '../provider/assurance.ts';
import { findArtifactsOf } from '../storage/artifacts.ts';
import { isDisabled } from '../storage/clients.ts';
import { answered } from '../storage/errors.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { type Demand, type SignedIn, createBrowserSession } from './browser-session.ts';
import { presentClient } from './client-view.ts';
import { type Form, assertFormToken, createFormReader, formToken } from './forms.ts';
import { applyAnswer, presentRequested, requested } from './permissions.ts';
import { type Renderer, preferLanguages } from './render.ts';
import { seeOther } from './responses.ts';

export interface ApprovalParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
}

type Request = InstanceType<Provider['BackchannelAuthenticationRequest']>;

interface Params {
  readonly client_notification_token?: string;
  readonly binding_message?: string;
}

interface Waiting {
  readonly request: Request;
  readonly client: Client;
}

const MODEL = 'BackchannelAuthenticationRequest';

export function createApprovals({ config, storage, engine, renderer }: ApprovalParts): Router {
  const { prisma, keyring } = storage;
  const parts = { config, storage };
  const sessions = createBrowserSession({ config, storage, engine });
  const base = `${config.basePath}/approve`;
  const router = new Router({ prefix: '/approve' });
  const readForm = createFormReader(config);

  router.get('/', async (ctx) => {
    const person = await signedIn(ctx);
    if (person) await requestsPage(ctx, person);
  });

  router.post('/:id', async (ctx) => {
    const form = await readForm(ctx);
    const person = await signedIn(ctx);
    if (!person) return;
    const { id } = ctx['params'] as { id: string };
    const isAllowed = form.text('answer') === 'allow';
    assertFormToken(keyring, subject(person, id), form);
    const { provider } = engine; // one and the same: the request and the grant are of its classes
    const waits = (await waiting(person, provider)).find(({ request }) => idOf(request.jti) === id);
    if (!waits) {
      seeOther(ctx, base); // answered already, or expired: the page shows what still waits
      return;
    }
    const { client } = waits;
    // The client may require another factor or a recent sign-in before the answer.
    if (isAllowed && !(await sessions.require(ctx, demandOf(waits, person)))) return;
    if (isAllowed) await allow(person, waits, form, provider);
    else await deny(person, waits, provider);
    renderer.page(ctx, 'approved', {
      client: presentClient(client),
      allowed: isAllowed,
      more: base,
    });
  });

  return router;

  async function signedIn(ctx: Context): Promise<SignedIn | undefined> {
    const person = await sessions.require(ctx, { to: '/approve' });
    preferLanguages(ctx, undefined, person?.account.locale);
    return person;
  }

  async function allow(
    { account, authTime, amr }: SignedIn,
    { request, client }: Waiting,
    form: Form,
    provider: Provider,
  ) {
    const { clientId } = client;
    const grant = new provider.Grant({ accountId: account.id, clientId });
    const asked = await requested(parts, client, askedBy(request));
    const answer = applyAnswer(grant, asked, form, epoch(storage.now()));
    await grant.save();
    // The engine issues the request's scope: no more than was allowed.
    request.scope = answer.scope;
    const acr = answeredLevel(paramsOf(request), amr);
    await provider.backchannelResult(request, grant, {
      amr,
      authTime,
      ...(acr === undefined ? {} : { acr }),
    });
    const detail = { ...answer, by: 'ciba' };
    currentUnit().audit({ type: 'consent', accountId: account.id, clientId, detail });
  }

  async function deny(
    { account }: SignedIn,
    { request, client: { clientId } }: Waiting,
    provider: Provider,
  ) {
    await provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
    const detail = { by: 'ciba' };
    currentUnit().audit({ type: 'consent.refused', accountId: account.id, clientId, detail });
  }

  async function requestsPage(ctx: Context, person: SignedIn): Promise<void> {
    const requests = await waiting(person, engine.provider);
    const language = renderer.language(ctx);
    renderer.page(ctx, 'approve', {
      account: person.account,
      requests: await Promise.all(
        requests.map(async ({ request, client }) => ({
          action: `${base}/${idOf(request.jti)}`,
          csrf: formToken(keyring, subject(person, idOf(request.jti))),
          client: presentClient(client),
          message: (request.params as Params | undefined)?.binding_message,
          permissions: presentRequested(
            parts,
            language,
            await requested(parts, client, askedBy(request)),
          ),
        })),
      ),
    });
  }

  /** The requests that wait for this person's answer. */
  async function waiting({ account }: SignedIn, provider: Provider): Promise<Waiting[]> {
    const now = storage.now();
    const found = await answered(() => findArtifactsOf(prisma, keyring, MODEL, account.id, now));
    const requests = await Promise.all(
      found.map(({ jti = '' }) => provider.BackchannelAuthenticationRequest.find(jti)),
    );
    const answerable = await Promise.all(
      requests.map(async (request) => {
        if (!request) return [];
        // A client that has gone, is kept out or has changed how it gets its answers, cannot be answered.
        const client = await provider.Client.find(request.clientId ?? '');
        const { client_notification_token: token } = (request.params ?? {}) as Params;
        const isPing = client?.backchannelTokenDeliveryMode === 'ping';
        const isThere = client && !isDisabled(client) && (!isPing || token !== undefined);
        return isThere ? [{ request, client }] : [];
      }),
    );
    return answerable.flat();
  }
}

function demandOf({ request, client }: Waiting, { authTime }: SignedIn): Demand {
  const level = demandedLevel(paramsOf(request), client);
  const { defaultMaxAge: maxAge } = client as { defaultMaxAge?: number };
  // A sign-in after the request was made counts as recent, even if the client wants a maximum age of 0.
  const isSince = authTime >= request.iat;
  return {
    to: '/approve',
    ...(level === undefined ? {} : { level }),
    ...(maxAge === undefined || isSince ? {} : { maxAge }),
  };
}

function askedBy({ params, scope, claims }: Request): Record<string, unknown> {
  return { ...params, scope, claims };
}

function subject({ account, authTime }: SignedIn, id: string): string {
  return `approve ${account.id} ${authTime} ${id}`;
}

// The auth_req_id is the client's secret; pages show a hash of it.
function idOf(authReqId: string): string {
  return Buffer.from(sha256(`approve ${authReqId}`)).toString('base64url');
}

function paramsOf({ params }: Request): Record<string, unknown> {
  return params ?? {};
}
