// Whether this process takes requests, for whoever spreads them, starts it anew or looks after it: a balancer, a
// supervisor, a person. What is well is asked anew each time.
import type { Context, Next } from 'koa';
import { causeOf } from './outages.ts';

const PATIENCE = 5_000; // milliseconds in which a check answers

/** Looks whether something is well. @returns what is wrong, in words. It may reject, too. */
export type Check = () => Promise<string | undefined> | string | undefined;

export interface Report {
  /** `starting` and `stopping` are the process's own; `unavailable` means that a check fails. */
  readonly status: 'ready' | 'starting' | 'stopping' | 'unavailable';
  readonly checks?: Readonly<Record<string, Finding>>;
}

interface Finding {
  readonly status: 'ok' | 'failing';
  readonly reason?: string;
}

/** Looks at everything. */
export type Health = () => Promise<Report>;

/**
 * @param checks by name. However many ask at once, each check runs once.
 * @param stopping once it is aborted, the process is not well, whatever the checks say
 */
export function createHealth(
  checks: Readonly<Record<string, Check>>,
  stopping: AbortSignal | undefined,
): Health {
  const shared = Object.entries(checks).map(([name, check]) => [name, share(check)] as const);
  return async () => {
    const found = await Promise.all(
      shared.map(async ([name, check]) => [name, await find(check)] as const),
    );
    const isWell = found.every(([, { status }]) => status === 'ok');
    const status = stopping?.aborted === true ? 'stopping' : isWell ? 'ready' : 'unavailable';
    return { status, checks: Object.fromEntries(found) };
  };
}

function share(check: Check): () => Promise<string | undefined> {
  let asking: Promise<string | undefined> | undefined;
  return () =>
    (asking ??= Promise.resolve()
      .then(check)
      .finally(() => (asking = undefined)));
}

async function find(check: () => Promise<string | undefined>): Promise<Finding> {
  const impatience = Promise.withResolvers<string>();
  const timer = setTimeout(() => {
    impatience.resolve(`no answer within ${PATIENCE / 1000} s`);
  }, PATIENCE);
  const reason = await Promise.race([check(), impatience.promise]).catch((error: unknown) => {
    const { cause, reason } = causeOf(error);
    return cause === undefined ? reason : `${reason} (${cause})`;
  });
  clearTimeout(timer);
  return reason === undefined ? { status: 'ok' } : { status: 'failing', reason };
}

/** @param base the issuer's path: '' or like '/op' */
export const healthPath = (base: string): string => `${base}/readyz`;

/**
 * Answers GET of `/readyz` on the public port: 200 while requests are answered, 503 once the process stops and while
 * something is not well. Strangers are not told what.
 *
 * @param base the issuer's path: '' or like '/op'
 */
export function answerHealth(base: string, health: Health) {
  const path = healthPath(base);
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== path || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) {
      await next();
      return;
    }
    const { status } = await health();
    ctx.status = statusCode(status);
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { status };
  };
}

/** The HTTP status that tells a balancer. */
export const statusCode = (status: Report['status']): 200 | 503 => (status === 'ready' ? 200 : 503);
