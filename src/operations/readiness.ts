// Whether this process takes requests, for whoever spreads them: a balancer, a container's health check.
import type { Context, Next } from 'koa';

/** @param base the issuer's path: '' or like '/op' */
export const readinessPath = (base: string): string => `${base}/health/ready`;

/**
 * Answers GET of `/health/ready`: 200 while requests are answered; 503 once the process stops, and while the database
 * cannot be reached. A clock that is off is told and no reason to stop: the database's decides.
 *
 * @param base the issuer's path: '' or like '/op'
 * @param ask a question to the database; rejects when there is no answer
 * @param clockOffset seconds by which this process's clock is ahead of the database's; undefined: hardly at all
 */
export function answerReadiness(
  base: string,
  stopping: AbortSignal | undefined,
  ask: () => Promise<unknown>,
  clockOffset: () => number | undefined,
) {
  const path = readinessPath(base);
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== path || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) {
      await next();
      return;
    }
    const status = stopping?.aborted === true ? 'stopping' : await databaseStatus();
    ctx.status = status === 'ready' ? 200 : 503;
    ctx.set('Cache-Control', 'no-store');
    const offset = clockOffset();
    ctx.body = { status, ...(offset !== undefined && { clock_offset: offset }) };
  };

  function databaseStatus(): Promise<string> {
    return ask().then(
      () => 'ready',
      () => 'database unavailable',
    );
  }
}
