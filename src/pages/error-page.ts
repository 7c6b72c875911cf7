// Errors as people and programs see them: a page that says what to do, or JSON. One place for both.
import type { Context } from 'koa';
import { errors } from 'oidc-provider';
import type { Renderer } from './render.ts';

interface Explanation {
  readonly title: string;
  readonly message: string;
  readonly advice?: string;
}

/** Whether whoever asks wants to read a page. */
export function wantsPage(ctx: Context): boolean {
  return ctx.accepts('json', 'html') === 'html';
}

/** The page for an error of the engine or of Symbolon. The status is already set. */
export function errorPage(
  renderer: Renderer,
  ctx: Context,
  code: string,
  description: string | undefined,
  error: unknown,
): void {
  renderer.page(ctx, 'error', {
    ...explain(code, description, error),
    code,
    reference: ctx.state['requestId'] as string | undefined,
  });
}

function explain(code: string, description: string | undefined, error: unknown): Explanation {
  if (error instanceof errors.SessionNotFound)
    return lostSignIn(error.error_description ?? error.message, description);
  switch (code) {
    case 'temporarily_unavailable':
      return {
        title: 'Please try again in a moment',
        message: 'We cannot answer right now. Nothing was changed.',
        advice: 'Reload this page in a moment.',
      };
    case 'server_error':
      return {
        title: 'Something went wrong on our side',
        message: 'This should not have happened, and it is not your fault.',
        advice:
          'Go back to the application and try again. If it happens again, tell the operator the reference below.',
      };
    case 'not_found':
      return {
        title: 'There is nothing here',
        message: 'This address does not lead anywhere.',
        advice: 'Check the address, or go back to the application that you came from.',
      };
    case 'invalid_client':
    case 'invalid_redirect_uri':
      return {
        title: 'This application is not set up correctly',
        message:
          description ?? 'The application sent you here with a request that we cannot accept.',
        advice:
          'Only the people who run the application can mend this. For your safety we do not send you back to it.',
      };
    default:
      return {
        title: 'This request cannot be completed',
        message:
          description ?? 'The application sent you here with a request that we cannot accept.',
        advice: 'Go back to the application and try again.',
      };
  }
}

function lostSignIn(reason: string, description: string | undefined): Explanation {
  if (reason.includes('cookie not found')) {
    return {
      title: 'Your browser did not bring its cookie',
      message:
        'Signing in needs a cookie, and your browser did not send it: cookies are blocked, or this page was opened in another browser.',
      advice: 'Allow cookies for this site, go back to the application, and start again there.',
    };
  }
  if (reason.includes('mismatch') || reason.includes('principal changed')) {
    return {
      title: 'You signed in in another tab meanwhile',
      message: 'This page belongs to a sign-in that another tab or window has overtaken.',
      advice:
        'Close this tab and go on in the other one, or go back to the application and start again.',
    };
  }
  return {
    title: 'This sign-in has ended',
    message:
      'It took too long, or it was completed already and you came back with the back button.',
    advice:
      description === undefined
        ? undefined
        : 'Go back to the application and start again there. If you signed in a moment ago, you may be signed in already.',
  };
}
