// What went wrong, said so that a person knows what to do.
import { AuthorizationResponseError, ResponseBodyError } from 'openid-client';
import type { ErrorPage } from './pages.ts';

const known = {
  'unknown-sign-in': {
    status: 400,
    title: 'This sign-in is not under way',
    text: 'It was begun in another browser, too long ago, or is finished already. Sign in from here.',
  },
  'signed-out': {
    status: 401,
    title: 'You are signed out',
    text: 'This button needs somebody signed in. The demo forgets everybody when it restarts.',
  },
  'stale-form': {
    status: 403,
    title: 'This page was out of date',
    text: 'The button belonged to an earlier session. Go back to the start and press it again.',
  },
  'not-found': {
    status: 404,
    title: 'There is no such page',
    text: 'This demo has a single page.',
  },
} as const;

export class DemoError extends Error {
  readonly code: keyof typeof known;

  constructor(code: keyof typeof known) {
    super(known[code].title);
    this.name = 'DemoError';
    this.code = code;
  }
}

export function explain(error: unknown, issuer: string): ErrorPage & { status: number } {
  if (error instanceof DemoError) return known[error.code];
  if (error instanceof AuthorizationResponseError) return refusedSignIn(error);
  if (error instanceof ResponseBodyError) {
    return {
      status: 502,
      title: 'The provider refused',
      text: 'It did not accept what this application asked for. Sign in again.',
      detail: JSON.stringify(error.cause, null, 2),
    };
  }
  if (isHttpError(error) && error.status < 500)
    return { ...known['stale-form'], status: error.status };
  if (chain(error).some(isConnection)) {
    return {
      status: 502,
      title: 'The provider cannot be reached',
      text: `Nothing answers at ${issuer}. Start it again, then reload this page.`,
      detail: messages(error),
    };
  }
  return {
    status: 500,
    title: 'Something went wrong',
    text: 'This application did not understand what happened. Begin again at the start.',
    detail: messages(error),
  };
}

function refusedSignIn(error: AuthorizationResponseError): ErrorPage & { status: number } {
  const detail = [error.error, error.error_description].filter(Boolean).join(': ');
  if (error.error === 'access_denied') {
    return {
      status: 403,
      title: 'You were not signed in',
      text: 'At the provider, the answer was no, so this application has learned nothing about you.',
      detail,
    };
  }
  return {
    status: 502,
    title: 'The provider refused to sign you in',
    text: 'It did not accept what this application asked for.',
    detail,
  };
}

function isHttpError(error: unknown): error is Error & { status: number } {
  return error instanceof Error && 'status' in error && typeof error.status === 'number';
}

function chain(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  const inner = error instanceof AggregateError ? (error.errors as unknown[]).flatMap(chain) : [];
  return [error, ...inner, ...chain(error.cause)];
}

function isConnection(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^(?:ECONN|ENOTFOUND|EAI_|EHOST|ETIMEDOUT|UND_ERR_|OAUTH_TIMEOUT)/.test(code);
}

function messages(error: unknown): string {
  const all = chain(error).map(({ message, name }) => message || name);
  return [...new Set(all)].join('\n');
}
