// What a person is asked during an authorization request: which account, the password, consent. Every page is
// reached with the interaction's cookie and its form token; the answer goes back to the engine.
import Router from '@koa/router';
import type { Context } from 'koa';
import {
  type AuthorizationDetail,
  type InteractionResults,
  type Provider,
  errors,
} from 'oidc-provider';
import { authenticate } from '../accounts/accounts.ts';
import type { Config } from '../config.ts';
import type { Engine } from '../provider/engine.ts';
import type { Account } from '../generated/client.ts';
import { audit } from '../operations/audit.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { type Storage, epoch } from '../storage/unit-of-work.ts';
import { presentClient } from './client-view.ts';
import { ForeignForm } from './error-page.ts';
import { ownForm } from './form-requests.ts';
import { formToken, isFormToken } from './form-token.ts';
import { type Renderer, preferLanguages } from './render.ts';
import {
  consentDurations,
  presentClaims,
  presentDetails,
  presentDurations,
  presentScopes,
  requestedResources,
} from './scopes-view.ts';

export interface InteractionParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly renderer: Renderer;
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

interface Form {
  readonly csrf?: unknown;
  readonly email?: unknown;
  readonly password?: unknown;
  readonly account?: unknown;
  readonly duration?: unknown;
}

export function createInteractions({
  config,
  storage,
  engine,
  renderer,
}: InteractionParts): Router {
  const { prisma, keyring } = storage;
  const router = new Router({ prefix: '/interaction/:uid' });
  const parse = ownForm(config);

  router.get('/', async (ctx) => {
    const interaction = await current(ctx);
    const { prompt, params, session } = interaction;
    const account = await accountOf(session?.accountId);
    const language = renderer.language(ctx);
    const client = presentClient(await engine.provider.Client.find(text(params['client_id'])));
    const common = { ...actions(interaction), client };
    const hint = typeof params['login_hint'] === 'string' ? params['login_hint'] : undefined;

    if (prompt.name === 'login' || ctx.query['account'] === 'other' || !account) {
      const again = prompt.name === 'login' && account !== undefined;
      renderer.page(ctx, 'sign-in', {
        ...common,
        action: `${common.action}/sign-in`,
        email: again ? account.email : hint,
        hint: again ? language.t('sign-in.again') : undefined,
      });
    } else if (prompt.name === 'select_account') {
      renderer.page(ctx, 'select-account', {
        ...common,
        action: `${common.action}/account`,
        account,
        hint,
      });
    } else {
      const scopes = text(params['scope']).split(' ');
      const ttl = refreshPolicy(config).idleTtl(
        (await engine.provider.Client.find(text(params['client_id']))) ?? {},
      );
      renderer.page(ctx, 'consent', {
        ...common,
        action: `${common.action}/consent`,
        switchAction: `${common.action}/account`,
        account,
        scopes: [
          ...presentScopes(language, scopes, config.claims),
          ...presentClaims(language, missing(interaction, 'missingOIDCClaims')),
        ],
        offline: scopes.includes('offline_access')
          ? { until: language.duration(ttl), durations: presentDurations(language) }
          : undefined,
        resources: (await requestedResources(prisma, params)).filter(
          ({ scopes: some }) => some.length > 0,
        ),
        details: presentDetails(params['authorization_details']),
      });
    }
  });

  router.post('/sign-in', parse, async (ctx) => {
    const { interaction, form } = await submitted(ctx);
    const email = text(form.email);
    const account = await authenticate(prisma, email, text(form.password));
    const clientId = text(interaction.params['client_id']);
    if (!account) {
      await audit(prisma, ctx, {
        type: 'sign_in.failed',
        clientId,
        detail: { reason: 'credentials' },
      });
      const client = presentClient(await engine.provider.Client.find(clientId));
      ctx.status = 401;
      const errors = { summary: renderer.language(ctx).t('sign-in.wrong') };
      const { action, ...rest } = actions(interaction);
      renderer.page(ctx, 'sign-in', {
        ...rest,
        action: `${action}/sign-in`,
        client,
        email,
        errors,
      });
      return;
    }
    await audit(prisma, ctx, { type: 'sign_in', accountId: account.id, clientId });
    await finish(ctx, {
      login: { accountId: account.id, amr: ['pwd'], ts: epoch(storage.now()) },
      ...(interaction.prompt.name === 'select_account' ? { select_account: {} } : {}),
    });
  });

  router.post('/account', parse, async (ctx) => {
    const { interaction, form } = await submitted(ctx);
    if (form.account !== 'current') redirect(ctx, `${actions(interaction).action}?account=other`);
    else await finish(ctx, { select_account: {} });
  });

  router.post('/consent', parse, async (ctx) => {
    const { interaction, form } = await submitted(ctx);
    const { params, session, grantId } = interaction;
    const accountId = session?.accountId;
    if (interaction.prompt.name !== 'consent' || accountId === undefined) {
      throw new errors.SessionNotFound('interaction session not found');
    }
    const clientId = text(params['client_id']);
    const existing = grantId === undefined ? undefined : await engine.provider.Grant.find(grantId);
    const own = existing?.accountId === accountId && existing.clientId === clientId;
    const grant = own ? existing : new engine.provider.Grant({ accountId, clientId });
    grant.addOIDCScope(text(params['scope']));
    grant.addOIDCClaims(missing(interaction, 'missingOIDCClaims'));
    for (const { id, scopes } of await requestedResources(prisma, params))
      grant.addResourceScope(id, scopes.map(({ scope }) => scope).join(' '));
    const details = params['authorization_details'];
    if (typeof details === 'string')
      for (const detail of JSON.parse(details) as AuthorizationDetail[]) grant.addRar(detail);
    const until = allowedUntil(form.duration, epoch(storage.now()));
    // Only who was asked for how long has said so.
    const isOffline = text(params['scope']).split(' ').includes('offline_access');
    if (isOffline) Object.assign(grant, { consentExpiresAt: until });
    await audit(prisma, ctx, {
      type: 'consent',
      accountId,
      clientId,
      detail: { scope: text(params['scope']), ...(until === undefined ? {} : { until }) },
    });
    await finish(ctx, { consent: { grantId: await grant.save() } });
  });

  router.post('/cancel', parse, async (ctx) => {
    await submitted(ctx);
    await finish(
      ctx,
      { error: 'access_denied', error_description: 'the person did not allow it' },
      false,
    );
  });

  return router;

  async function current(ctx: Context): Promise<Interaction> {
    const interaction = await engine.provider.interactionDetails(ctx.req, ctx.res);
    if (interaction.uid !== (ctx['params'] as { uid: string }).uid) {
      throw new errors.SessionNotFound('interaction session and cookie mismatch');
    }
    const account = await accountOf(interaction.session?.accountId);
    preferLanguages(ctx, interaction.params['ui_locales'], account?.locale);
    return interaction;
  }

  async function submitted(ctx: Context): Promise<{ interaction: Interaction; form: Form }> {
    const interaction = await current(ctx);
    const form = (ctx.request.body ?? {}) as Form;
    if (!isFormToken(keyring, `interaction ${interaction.uid}`, form.csrf)) {
      throw new ForeignForm('the form token is missing or wrong');
    }
    return { interaction, form };
  }

  async function finish(ctx: Context, result: InteractionResults, merge = true): Promise<void> {
    const returnTo = await engine.provider.interactionResult(ctx.req, ctx.res, result, {
      mergeWithLastSubmission: merge,
    });
    redirect(ctx, returnTo);
  }

  function actions({ uid }: Interaction): { action: string; cancel: string; csrf: string } {
    const action = `${new URL(config.issuer).pathname.replace(/\/$/, '')}/interaction/${uid}`;
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

function redirect(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 303;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

// Only what the page offers; anything else allows without an end, as the page's first choice does.
function allowedUntil(duration: unknown, now: number): number | undefined {
  const chosen = consentDurations.find((seconds) => seconds !== '' && seconds === duration);
  return chosen === undefined ? undefined : now + Number(chosen);
}

function missing(interaction: Interaction, what: 'missingOIDCClaims'): string[] {
  return (interaction.prompt.details[what] as string[] | undefined) ?? [];
}
