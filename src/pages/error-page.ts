// Errors as people and programs see them: a page that says what to do, or JSON.
import type { Context } from 'koa';
import { type KoaContextWithOIDC, errors } from 'oidc-provider';
import type { MessageKey } from '../languages.ts';
import { Refused } from '../operations/refused.ts';
import { TooManyRequests } from '../accounts/row-limits.ts';
import { lostInteraction } from '../provider/engine-seams/words.ts';
import { presentClient } from './client-view.ts';
import { DisabledClient, UnstorableText } from '../storage/errors.ts';
import { ForeignForm } from './forms.ts';
import type { Renderer } from './render.ts';

interface Explanation {
  readonly heading: MessageKey;
  readonly message: MessageKey;
  readonly advice: MessageKey;
}

/** The page for an error of the engine or of Symbolon. The status is already set; a person's mistake gets 422. */
export function errorPage(
  renderer: Renderer,
  ctx: Context,
  code: string,
  description: string | undefined,
  error: unknown,
): void {
  const { t } = renderer.language(ctx);
  if (error instanceof UnstorableText) ctx.status = 422;
  // A browser that is not sent to a stranger (provider/strangers.ts).
  const isKept = ctx.state['notSentBack'] === true;
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const { heading, message, advice } = isKept ? explainKept(code) : explain(code, error);
  renderer.page(ctx, 'error', {
    title: t(heading),
    message: t(message, {
      seconds: (error as { retryAfter?: number } | undefined)?.retryAfter ?? 1,
    }),
    advice: t(advice),
    detail: forDevelopers.has(message) ? description : undefined,
    code,
    client: isKept ? presentClient(oidc?.client, oidc?.params?.['redirect_uri']) : undefined,
    reference: ctx.state['requestId'] as string | undefined,
  });
}

// The protocol's description is English, for the developer of the client.
const forDevelopers = new Set<MessageKey>(['error.request', 'error.client', 'error.disabled']);

function explain(code: string, error: unknown): Explanation {
  if (error instanceof errors.SessionNotFound)
    return lostSignIn(error.error_description ?? error.message);
  if (error instanceof TooManyRequests)
    return { heading: 'limit.heading', message: 'error.too-many', advice: 'limit.text' };
  if (error instanceof DisabledClient) {
    return {
      heading: 'error.disabled-heading',
      message: 'error.disabled',
      advice: 'error.disabled-advice',
    };
  }
  if (error instanceof UnstorableText) {
    return {
      heading: 'error.unstorable-heading',
      message: 'error.unstorable',
      advice: 'error.unstorable-advice',
    };
  }
  if (error instanceof ForeignForm) {
    return {
      heading: 'error.foreign-form-heading',
      message: 'error.foreign-form',
      advice: 'error.foreign-form-advice',
    };
  }
  if (error instanceof Refused && (error.status === 413 || error.status === 431)) {
    const isBody = error.status === 413;
    return {
      heading: 'error.too-large-heading',
      message: isBody ? 'error.too-large' : 'error.headers-too-large',
      advice: isBody ? 'error.request-advice' : 'error.headers-too-large-advice',
    };
  }
  switch (code) {
    case 'temporarily_unavailable':
      return {
        heading: 'error.unavailable-heading',
        message: 'error.unavailable',
        advice: 'error.unavailable-advice',
      };
    case 'too_many_attempts':
      return {
        heading: 'error.too-many-heading',
        message: 'error.too-many',
        advice: 'error.too-many-advice',
      };
    case 'server_error':
      return {
        heading: 'error.server-heading',
        message: 'error.server',
        advice: 'error.server-advice',
      };
    case 'not_found':
    case 'method_not_allowed':
      return {
        heading: 'error.not-found-heading',
        message: 'error.not-found',
        advice: 'error.not-found-advice',
      };
    case 'invalid_client':
    case 'invalid_redirect_uri':
      return {
        heading: 'error.client-heading',
        message: 'error.client',
        advice: 'error.client-advice',
      };
    default:
      return {
        heading: 'error.request-heading',
        message: 'error.request',
        advice: 'error.request-advice',
      };
  }
}

function explainKept(code: string): Explanation {
  const advice = 'error.kept-advice';
  return code === 'access_denied' || code === 'unmet_authentication_requirements'
    ? { heading: 'error.left-heading', message: 'error.left', advice }
    : { heading: 'error.request-heading', message: 'error.request', advice };
}

function lostSignIn(reason: string): Explanation {
  if (reason.includes(lostInteraction.noCookie)) {
    return {
      heading: 'error.cookie-heading',
      message: 'error.cookie',
      advice: 'error.cookie-advice',
    };
  }
  const { otherCookie, otherPerson } = lostInteraction;
  if (reason.includes(otherCookie) || reason.includes(otherPerson)) {
    return {
      heading: 'error.overtaken-heading',
      message: 'error.overtaken',
      advice: 'error.overtaken-advice',
    };
  }
  return { heading: 'error.ended-heading', message: 'error.ended', advice: 'error.ended-advice' };
}
