// The pages that the engine asks for: signing out, device codes, errors.
import type { Client, KoaContextWithOIDC } from 'oidc-provider';
import { deviceInWords } from '../devices.ts';
import type { MessageKey } from '../languages.ts';
import type { EnginePages } from '../provider/configuration.ts';
import { formSecret, userCodeErrors } from '../provider/engine-seams/words.ts';
import { DisabledClient } from '../storage/errors.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { presentClient } from './client-view.ts';
import { errorPage } from './error-page.ts';
import { type Renderer, preferLanguages } from './render.ts';
import { seeOther } from './responses.ts';

export function createEnginePages(renderer: Renderer, accountOf: AccountOf): EnginePages {
  return {
    renderError(ctx, out, error) {
      preferLanguages(ctx, ctx.oidc.params?.['ui_locales'], undefined);
      const { route, session } = ctx.oidc;
      if (route === 'end_session_confirm' && session && session.accountId === undefined) {
        ctx.status = 200; // the form was sent twice: its request is done already
        renderer.page(ctx, 'signed-out', {});
        return;
      }
      errorPage(renderer, ctx, out.error, out.error_description, error);
    },

    async logoutSource(ctx) {
      const account = await person(ctx);
      const { action, xsrf = '' } = form(ctx, 'end_session_confirm');
      renderer.page(ctx, 'sign-out', {
        action,
        xsrf,
        client: presentClient(ctx.oidc.client, ctx.oidc.params?.['post_logout_redirect_uri']),
        account,
      });
    },

    async postLogoutSuccessSource(ctx) {
      await person(ctx);
      renderer.page(ctx, 'signed-out', { client: presentClient(ctx.oidc.client) });
    },

    async userCodeInputSource(ctx, _form, _out, error) {
      await person(ctx);
      if (error instanceof DisabledClient) {
        errorPage(renderer, ctx, error.error, error.error_description, error);
        return;
      }
      if (error?.name === userCodeErrors.aborted) {
        tell(ctx, 'consent.refused');
        renderer.page(ctx, 'device-aborted', {});
        return;
      }
      const { action, xsrf } = form(ctx, 'code_verification');
      if (xsrf === undefined) {
        // A form without the cookie of its page: the page is shown again.
        seeOther(ctx, action);
        return;
      }
      ctx.state['userCodeUnknown'] = error?.name === userCodeErrors.unknown;
      const typed =
        (error as { userCode?: string } | undefined)?.userCode ??
        (ctx.state['userCode'] as string | undefined);
      const wrong = mistake(error);
      renderer.page(ctx, 'device-code', {
        action,
        xsrf,
        userCode: typed,
        error: wrong === undefined ? undefined : renderer.language(ctx).t(wrong),
      });
    },

    async userCodeConfirmSource(ctx, _form, client, deviceInfo, displayCode) {
      await person(ctx);
      const { ip, ua } = (deviceInfo ?? {}) as { ip?: string; ua?: string };
      const { action, xsrf = '' } = form(ctx, 'code_verification');
      renderer.page(ctx, 'device-confirm', {
        action,
        xsrf,
        userCode: displayCode,
        displayCode,
        client: presentClient(client as Client),
        device: { ip, agent: ua && deviceInWords(renderer.language(ctx), ua) },
      });
    },

    async successSource(ctx) {
      await person(ctx);
      tell(ctx, 'device.approved');
      renderer.page(ctx, 'device-done', { client: presentClient(ctx.oidc.client as Client) });
    },
  };

  /** The person who is signed in. Their language is noted, after the request's. */
  async function person(ctx: KoaContextWithOIDC) {
    const { session, params } = ctx.oidc;
    const account =
      session?.accountId === undefined ? undefined : await accountOf(session.accountId);
    preferLanguages(ctx, params?.['ui_locales'], account?.locale);
    return account;
  }
}

export type AccountOf = (
  id: string,
) => Promise<{ name: string | null; email: string; locale: string | null } | undefined>;

function form(
  ctx: KoaContextWithOIDC,
  route: string,
): { action: string; xsrf?: string | undefined } {
  return { action: ctx.oidc.urlFor(route), xsrf: formSecret(ctx.oidc.session) };
}

/** The message for a code that is wrong. */
function mistake(error: Error | undefined): MessageKey | undefined {
  switch (error?.name) {
    case undefined:
      return undefined;
    case userCodeErrors.missing:
      return 'device.code-missing';
    case userCodeErrors.unknown:
      return 'device.code-unknown';
    case userCodeErrors.expired:
      return 'device.code-expired';
    case userCodeErrors.used:
      return 'device.code-used';
    default:
      return 'device.try-again';
  }
}

/** Tells the audit of the person's answer to a device. */
function tell({ oidc }: KoaContextWithOIDC, type: 'device.approved' | 'consent.refused'): void {
  const { session, client, entities } = oidc;
  const clientId = client?.clientId ?? entities.DeviceCode?.clientId;
  const event = { type, accountId: session?.accountId, clientId, detail: { by: 'device' } };
  currentUnit().audit(event, { evenIfRefused: true });
}
