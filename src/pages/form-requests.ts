import type { Context, Middleware } from 'koa';
import type { Config } from '../config/config.ts';
import { createFormReader } from './forms.ts';

export function ownForm(config: Pick<Config, 'issuer'>): Middleware {
  const read = createFormReader(config);
  return async (ctx, next) => {
    await read(ctx);
    await next();
  };
}

export function formOf(ctx: Context): URLSearchParams {
  return new URLSearchParams(ctx.request.rawBody);
}
