// Middleware for every request: a line in the log, and an answer to errors and unknown paths.
import { randomUUID } from 'node:crypto';
import type { Context, Next } from 'koa';
import { errors } from 'oidc-provider';
import type { Log } from './log.ts';
import { type Cause, type Outages, causeOf, requestOutages } from './outages.ts';
import { Refused } from './refused.ts';

/** Shows an error to a person. */
export type ShowError = (
  ctx: Context,
  code: string,
  description: string | undefined,
  error: unknown,
) => void;

/**
 * Middleware that cleans up after a request.
 *
 * @param stopping once it is aborted, answers close their connection (RFC 9110 §7.6.1)
 */
export function endRequests(stopping: AbortSignal | undefined) {
  return async (ctx: Context, next: Next) => {
    const hangUp = () => {
      if (stopping?.aborted === true) ctx.res.shouldKeepAlive = false;
    };
    hangUp(); // some requests are answered at once
    try {
      await next();
    } finally {
      hangUp();
      const { oidc } = ctx as { oidc?: object };
      // Not earlier: Koa still needs the context of an answer that is aborted.
      if (oidc)
        ctx.res.once('finish', () => {
          for (const object of [oidc, ctx]) empty(object);
        });
    }
  };
}

/**
 * The engine defines a getter on the context, `oidc`, and V8 puts getters among its old objects: it would keep all of
 * the request's objects until the next full collection. So its object is emptied.
 */
function empty(object: object): void {
  for (const key of Reflect.ownKeys(object))
    if (key !== 'oidc') Reflect.set(object, key, undefined);
}

// What a proxy may name a request: it goes to the log, the audit and the answer as it is.
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Middleware that comes first: names each request, as the proxy before has, and tells the name in its answer. */
export function nameRequests(ctx: Context, next: Next) {
  const given = ctx.get('x-request-id');
  const id = REQUEST_ID.test(given) ? given : randomUUID();
  ctx.state['requestId'] = id;
  ctx.set('X-Request-Id', id);
  return next();
}

/** Logs each request in one line. */
export function logRequests(log: Log) {
  return async (ctx: Context, next: Next) => {
    const started = process.hrtime.bigint();
    await next();
    const ms = Number(process.hrtime.bigint() - started) / 1e6;
    log.info(
      {
        request: ctx.state['requestId'],
        method: ctx.method,
        path: shownPath(ctx.path),
        status: ctx.status,
        cause: ctx.state['cause'] as string | undefined,
        ms: Math.round(ms * 10) / 10,
      },
      'request',
    );
  };
}

/**
 * Answers errors thrown outside of the engine, such as a lost or failed commit or a page's refusal, and unknown paths:
 * with a page for people, with JSON for programs (RFC 6749 §5.2 for the engine's endpoints, else RFC 9457).
 *
 * @param methodsAt the methods that a path is there for
 */
export function answerErrors(
  log: Log,
  show: ShowError,
  available = requestOutages(log),
  methodsAt: (path: string) => readonly string[] = () => [],
) {
  return async (ctx: Context, next: Next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body == null) {
        answerUnknown(ctx, methodsAt(ctx.path));
      }
    } catch (error) {
      ctx.remove('Location');
      ctx.remove('Set-Cookie');
      ctx.set('Cache-Control', 'no-store');
      if (isRefusal(error)) {
        ctx.status = error.statusCode;
        const { retryAfter } = error as { retryAfter?: number };
        if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
        answer(ctx, error.error, error.error_description, error);
        const {
          cause,
          reason = error.error_detail ??
            (error.cause === undefined ? undefined : causeOf(error.cause).reason),
        } = noteUnavailable(ctx, available, error);
        const level = isSpent(error) ? 'warn' : 'info';
        const request = ctx.state['requestId'] as string;
        log[level]({ request, error: error.error, cause, reason }, 'refused');
      } else {
        ctx.status = statusOf(error);
        const description = error instanceof Refused ? error.message : undefined;
        answer(ctx, ctx.status >= 500 ? 'server_error' : 'invalid_request', description, error);
        if (ctx.status >= 500) failed(log, ctx, error);
      }
    }
    if (ctx.status === 503) ctx.set('Retry-After', '1');
  };

  /** RFC 9110 §9.1, §15.5.6: what is there, but not for this method. */
  function answerUnknown(ctx: Context, methods: readonly string[]): void {
    if (methods.length > 0) ctx.set('Allow', [...methods, 'OPTIONS'].join(', '));
    if (methods.length > 0 && ctx.method === 'OPTIONS') {
      ctx.status = 204;
    } else if (methods.length === 0 || methods.includes(ctx.method)) {
      ctx.remove('Allow');
      ctx.status = 404;
      answer(ctx, 'not_found', `There is nothing at ${ctx.path}.`, undefined);
    } else {
      ctx.status = 405;
      const description = `${ctx.path} takes ${methods.join(', ')}.`;
      answer(ctx, 'method_not_allowed', description, undefined);
    }
  }

  function answer(
    ctx: Context,
    code: string,
    description: string | undefined,
    error: unknown,
  ): void {
    if (ctx.accepts('json', 'html') === 'html') {
      show(ctx, code, description, error);
    } else if (ctx.status === 404 || ctx.status === 405) {
      const title = ctx.status === 404 ? 'Not Found' : 'Method Not Allowed';
      ctx.body = { type: 'about:blank', title, status: ctx.status, detail: description };
      ctx.type = 'application/problem+json';
    } else {
      ctx.body = {
        error: code,
        ...(description === undefined ? {} : { error_description: description }),
      };
    }
  }
}

/** Logs an error that is nobody's refusal. */
export function failed(log: Log, ctx: Context, error: unknown): void {
  log.error(
    {
      request: ctx.state['requestId'],
      method: ctx.method,
      path: shownPath(ctx.path),
      cause: causeOf(error).cause,
      err: error,
    },
    'failed',
  );
}

/** Why a request cannot be answered now: told once for all requests, and noted for this one's own line. */
export function noteUnavailable(
  ctx: Pick<Context, 'state'>,
  available: Outages,
  error: errors.OIDCProviderError,
): Partial<Cause> {
  if (error.statusCode !== 503) return {};
  const found = available.note(error.cause ?? error);
  ctx.state['cause'] = found.cause;
  return found;
}

// A code that was used already: it is in a second pair of hands, or a client makes a mistake that looks like it.
function isSpent(error: object): boolean {
  return (error as { spentGrantId?: string }).spentGrantId !== undefined;
}

function isRefusal(error: unknown): error is errors.OIDCProviderError {
  return error instanceof errors.OIDCProviderError;
}

function statusOf(error: unknown): number {
  const { status, expose, code } = error as { status?: unknown; expose?: unknown; code?: unknown };
  if (typeof code === 'string' && code.startsWith('Z_')) return 400; // a body that cannot be inflated
  return typeof status === 'number' && status >= 400 && status < 500 && expose === true
    ? status
    : 500;
}

// An interaction's id is useless without its cookie, but still does not belong in a log.
function shownPath(path: string): string {
  return path.replace(/\/(interaction|authorize|device)\/[^/]+/, '/$1/…');
}

/** Logs what happens to an answer that is being written, and what no other middleware has caught. */
export function logUncaught(log: Log) {
  return (error: unknown, ctx: Context | undefined): void => {
    const { cause } = causeOf(error);
    if (gone.has(cause ?? '')) return; // nobody reads the answer any more
    log.error({ path: ctx?.path && shownPath(ctx.path), cause, err: error }, 'failed');
  };
}

const gone = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);
