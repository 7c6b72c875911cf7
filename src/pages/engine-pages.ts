// The pages that the engine asks for: signing out, a device's code, errors.
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { EnginePages } from '../provider/provider.ts';
import { presentClient } from './client-view.ts';
import { errorPage } from './error-page.ts';
import type { Renderer } from './render.ts';

export function createEnginePages(renderer: Renderer, accountOf: AccountOf): EnginePages {
  return {
    renderError(ctx, out, error) {
      errorPage(renderer, ctx, out.error, out.error_description, error);
    },

    async logoutSource(ctx) {
      const { session } = ctx.oidc;
      renderer.page(ctx, 'sign-out', {
        ...form(ctx, 'end_session_confirm'),
        client: presentClient(ctx.oidc.client),
        account: session?.accountId === undefined ? undefined : await accountOf(session.accountId),
      });
    },

    postLogoutSuccessSource(ctx) {
      renderer.page(ctx, 'signed-out', { client: presentClient(ctx.oidc.client) });
      return Promise.resolve();
    },

    userCodeInputSource(ctx, _form, out, error) {
      if (error?.name === 'AbortedError') {
        renderer.page(ctx, 'device-aborted', {});
        return Promise.resolve();
      }
      const { action, xsrf } = form(ctx, 'code_verification');
      if (xsrf === undefined) {
        // A form without the cookie of its page: the page is shown anew.
        ctx.redirect(action);
        ctx.status = 303;
        return Promise.resolve();
      }
      const typed =
        (error as { userCode?: string } | undefined)?.userCode ??
        (ctx.state['userCode'] as string | undefined);
      renderer.page(ctx, 'device-code', {
        action,
        xsrf,
        userCode: typed,
        error: mistake(error, out),
      });
      return Promise.resolve();
    },

    userCodeConfirmSource(ctx, _form, client, deviceInfo, displayCode) {
      const { ip, ua } = (deviceInfo ?? {}) as { ip?: string; ua?: string };
      renderer.page(ctx, 'device-confirm', {
        ...form(ctx, 'code_verification'),
        userCode: displayCode,
        displayCode,
        client: presentClient(client as KoaContextWithOIDC['oidc']['client']),
        device: { ip, userAgent: ua },
      });
      return Promise.resolve();
    },

    successSource(ctx) {
      renderer.page(ctx, 'device-done', { client: presentClient(ctx.oidc.client) });
      return Promise.resolve();
    },
  };
}

export type AccountOf = (id: string) => Promise<{ name?: string; email: string } | undefined>;

function form(ctx: KoaContextWithOIDC, route: string): { action: string; xsrf: unknown } {
  const state = ctx.oidc.session?.state as { secret?: string } | undefined;
  return { action: ctx.oidc.urlFor(route), xsrf: state?.secret };
}

function mistake(error: Error | undefined, out: object | undefined): string | undefined {
  switch (error?.name) {
    case undefined:
      return undefined;
    case 'NoCodeError':
      return 'Please enter the code that your device shows.';
    case 'NotFoundError':
      return 'There is no such code. Compare it with the one on your device.';
    case 'ExpiredError':
      return 'This code has expired. Ask your device for a new one.';
    case 'AlreadyUsedError':
      return 'This code was used already. Ask your device for a new one.';
    default:
      return (
        (out as { error_description?: string } | undefined)?.error_description ??
        'Please try again.'
      );
  }
}
