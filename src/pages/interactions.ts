// The pages of an authorization request: choosing an account, signing in, consent. Each needs the interaction's cookie
// and its forms a token; the answer goes back to the engine.
import Router from '@koa/router';
import type { Context } from 'koa';
import {
  type AuthorizationDetail,
  type Client,
  type InteractionResults,
  type Provider,
  errors,
} from 'oidc-provider';
import { accountInput } from '../accounts/accounts.ts';
import { isSignInOver, signInTime } from '../accounts/changes.ts';
import { withdrawDeletion } from '../accounts/deletion.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../provider/engine.ts';
import type { Account } from '../generated/client.ts';
import { NO_ACCESS } from '../provider/interaction-policy.ts';
import { isStepUp, wantedLevel } from '../provider/assurance.ts';
import { describeRefusal } from '../storage/families/reasons.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { createBrowserSession } from './browser-session.ts';
import { presentClient } from './client-view.ts';
import { type Form, assertFormToken, createFormReader, formToken } from './forms.ts';
import { applyAnswer, presentRequested, requested } from './permissions.ts';
import { type Renderer, preferLanguages } from './render.ts';
import { seeOther } from './responses.ts';
import { presentDetails } from './scopes-view.ts';
import type { SignInContext } from './sign-in/context.ts';
import type { SignIn } from './sign-in/sign-in.ts';

export interface InteractionParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly signIn: SignIn;
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** The state of an interaction in this request: looked up once, since the engine may change meanwhile. */
interface Step {
  readonly provider: Provider;
  readonly interaction: Interaction;
  readonly client: Client;
  /** The person who is signed in. */
  readonly account: Pick<Account, 'email' | 'name' | 'locale'> | undefined;
}

export function createInteractions({
  config,
  storage,
  engine,
  renderer,
  signIn,
}: InteractionParts): Router {
  const sessions = createBrowserSession({ config, storage, engine });
  const { prisma, keyring } = storage;
  const parts = { config, storage };
  const router = new Router({ prefix: '/interaction/:uid' });
  const readForm = createFormReader(config);

  router.get('/', async (ctx) => {
    const step = await current(ctx);
    const { interaction, client, account } = step;
    const { prompt, params } = interaction;
    const language = renderer.language(ctx);
    const shown = presentClient(client, params['redirect_uri']);
    const common = { ...actions(interaction), client: shown };
    const hint = typeof params['login_hint'] === 'string' ? params['login_hint'] : undefined;

    if (prompt.name === 'create' && ctx.query['account'] !== 'other') {
      seeOther(ctx, `${config.basePath}/sign-up?interaction=${interaction.uid}`);
    } else if (prompt.name === 'login' || ctx.query['account'] === 'other' || !account) {
      const again = prompt.name === 'login' && account !== undefined;
      await signIn.page(ctx, await placeOf(ctx, step), {
        email: again ? account.email : hint,
        hint: again ? language.t('sign-in.again') : undefined,
      });
    } else if (prompt.name === 'select_account') {
      renderer.page(ctx, 'select-account', {
        ...common,
        action: `${common.action}/account`,
        account,
        // The request's words are shown as an address, or not at all.
        hint: accountInput.shape.email.safeParse(hint).data,
      });
    } else if (prompt.name === NO_ACCESS) {
      const switchAction = `${common.action}/account`;
      renderer.page(ctx, 'no-access', { ...common, switchAction, account });
    } else {
      renderer.page(ctx, 'consent', {
        ...common,
        action: `${common.action}/consent`,
        switchAction: `${common.action}/account`,
        account,
        permissions: presentRequested(parts, language, await requested(parts, client, params)),
        details: presentDetails(params['authorization_details']),
      });
    }
  });

  signIn.routes(router, readForm, async (ctx) => placeOf(ctx, await current(ctx)));

  router.post('/account', async (ctx) => {
    const step = await submitted(ctx);
    if (step.form.text('account') !== 'current')
      seeOther(ctx, `${actions(step.interaction).action}?account=other`);
    else await finish(ctx, step, { select_account: {} });
  });

  router.post('/consent', async (ctx) => {
    const step = await submitted(ctx);
    const { provider, interaction, client, form } = step;
    const { params, session, result } = interaction;
    // A form that was sent twice writes into the same grant twice.
    const grantId = result?.consent?.grantId ?? interaction.grantId;
    const accountId = session?.accountId;
    if (interaction.prompt.name !== 'consent' || accountId === undefined) {
      throw new errors.SessionNotFound('interaction session not found');
    }
    const { clientId } = client;
    const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId);
    const own = existing?.accountId === accountId && existing.clientId === clientId;
    const grant = own ? existing : new provider.Grant({ accountId, clientId });
    const asked = await requested(parts, client, params);
    const answer = applyAnswer(grant, asked, form, epoch(storage.now()));
    const details = params['authorization_details'];
    if (typeof details === 'string')
      for (const detail of JSON.parse(details) as AuthorizationDetail[]) grant.addRar(detail);
    const unit = currentUnit();
    unit.actsAs({ kind: 'person', id: accountId });
    unit.audit({ type: 'consent', accountId, clientId, detail: { ...answer } });
    await finish(ctx, step, { consent: { grantId: await grant.save() } });
  });

  // Of an account that is to be deleted, by whoever has just signed in.
  router.post('/keep', async (ctx) => {
    const { interaction } = await submitted(ctx);
    const { accountId: id = '', ts = 0 } = interaction.result?.login ?? {};
    const account = await storage.prisma.account.findUnique({ where: { id } });
    if (account?.lockedAt !== null || isSignInOver(ts, account.signedOutAt))
      throw new errors.SessionNotFound('interaction session not found');
    const unit = currentUnit();
    unit.actsAs({ kind: 'person', id });
    const parts = { storage, origin: unit.origin };
    await unit.change((database) => withdrawDeletion(database, parts, id));
    seeOther(ctx, interaction.returnTo);
  });

  router.post('/cancel', async (ctx) => {
    const step = await submitted(ctx);
    const { prompt, session } = step.interaction;
    const accountId = prompt.name === 'consent' ? session?.accountId : undefined;
    if (accountId !== undefined) {
      const unit = currentUnit();
      unit.actsAs({ kind: 'person', id: accountId });
      unit.audit({ type: 'consent.refused', accountId, clientId: step.client.clientId });
    }
    const error = isStepUp(step.interaction.prompt)
      ? {
          error: 'unmet_authentication_requirements',
          error_description: 'the person did not sign in with what was asked for',
        }
      : {
          error: 'access_denied',
          error_description:
            prompt.name === NO_ACCESS
              ? describeRefusal('access_withdrawn')
              : 'the person did not allow it',
        };
    await finish(ctx, step, error, false);
  });

  return router;

  async function current(ctx: Context): Promise<Step> {
    const { provider } = engine;
    const wanted = (ctx['params'] as { uid: string }).uid;
    // Looked up without the cookie: the browser drops an expired cookie, which looks like blocked cookies.
    const { exp = 0 } = (await provider.Interaction.find(wanted)) ?? {};
    if (exp <= epoch(storage.now()))
      throw new errors.SessionNotFound('interaction session not found');
    const interaction = await provider.interactionDetails(ctx.req, ctx.res);
    const { uid, params, session } = interaction;
    preferLanguages(ctx, params['ui_locales'], undefined);
    if (uid !== wanted) {
      throw new errors.SessionNotFound('interaction session and cookie mismatch');
    }
    const account = await accountOf(session?.accountId);
    preferLanguages(ctx, params['ui_locales'], account?.locale);
    const client = await provider.Client.find(text(params['client_id']));
    if (!client) throw new errors.InvalidClient('the application is not registered any more');
    return { provider, interaction, client, account };
  }

  async function placeOf(ctx: Context, step: Step): Promise<SignInContext> {
    const { interaction, client } = step;
    const { prompt, params, uid, session } = interaction;
    const { action, cancel } = actions(interaction);
    const isOther = ctx.query['account'] === 'other';
    const found = isStepUp(prompt) && !isOther ? await sessions.find(ctx) : undefined;
    // If the sign-in has become too old while the other factor was asked for, all factors are asked for.
    const { max_age: maxAge } = params;
    const isLate =
      maxAge !== undefined && (found?.authTime ?? 0) < epoch(storage.now()) - Number(maxAge);
    const person = isLate ? undefined : found;
    return {
      subject: `interaction ${uid}`,
      interaction: uid,
      action,
      cancel,
      other: `${action}?account=other`,
      client: presentClient(client, params['redirect_uri']),
      clientId: client.clientId,
      wanted: wantedLevel(params, client),
      person: person?.account.id === session?.accountId ? person : undefined,
      async finish(answer, { account, amr, authTime = signInTime(account, storage.now()) }) {
        await finish(answer, step, {
          login: { accountId: account.id, amr, ts: authTime },
          ...(prompt.name === 'select_account' ? { select_account: {} } : {}),
          ...(prompt.name === 'create' ? { create: {} } : {}),
        });
        if (account.deleteAt !== null) tellOfDeletion(answer, step, account);
      },
    };
  }

  async function submitted(ctx: Context): Promise<Step & { form: Form }> {
    const form = await readForm(ctx);
    const step = await current(ctx);
    assertFormToken(keyring, `interaction ${step.interaction.uid}`, form);
    return { ...step, form };
  }

  async function finish(
    ctx: Context,
    { provider }: Step,
    result: InteractionResults,
    merge = true,
  ): Promise<void> {
    const returnTo = await provider.interactionResult(ctx.req, ctx.res, result, {
      mergeWithLastSubmission: merge,
    });
    seeOther(ctx, returnTo);
  }

  /** Shown instead of going on at once: the person may have another mind by now. */
  function tellOfDeletion(
    ctx: Context,
    { interaction }: Step,
    { email, deleteAt }: Pick<Account, 'email' | 'deleteAt'>,
  ): void {
    const { action, csrf } = actions(interaction);
    const date = deleteAt ? renderer.language(ctx).date(deleteAt, true) : '';
    ctx.status = 200;
    ctx.remove('Location');
    const next = interaction.returnTo;
    renderer.page(ctx, 'leaving', { email, date, keep: `${action}/keep`, csrf, next });
  }

  function actions({ uid }: Interaction): { action: string; cancel: string; csrf: string } {
    const action = `${config.basePath}/interaction/${uid}`;
    return { action, cancel: `${action}/cancel`, csrf: formToken(keyring, `interaction ${uid}`) };
  }

  async function accountOf(
    id: string | undefined,
  ): Promise<Pick<Account, 'email' | 'name' | 'locale'> | undefined> {
    if (id === undefined) return undefined;
    const select = { email: true, name: true, locale: true };
    return (await prisma.account.findUnique({ where: { id }, select })) ?? undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
