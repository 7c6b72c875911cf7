// Answers that many pages give alike: what has been done is seen elsewhere, what was sent is wrong, it was too often.
import type { Context } from 'koa';
import { AccountError } from '../accounts/accounts.ts';
import { FactorError } from '../accounts/factors.ts';
import type { Renderer } from './render.ts';
import type { FormErrors } from './views/ways-in.ts';

/** Sends the browser on, with GET whatever it has sent here (RFC 9110 §15.4.4). @param url a path of ours, or an URL */
export function seeOther(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 303;
}

/** The status of a page that asks to wait (RFC 6585 §4). @param seconds for how long */
export function tooMany(ctx: Context, seconds: number): void {
  ctx.status = 429;
  ctx.set('Retry-After', String(seconds));
}

/**
 * The status of a page that shows its form again (RFC 9110 §15.5.21).
 *
 * @returns what is wrong with what was sent, in the person's language
 * @throws the error, when it is about anything else
 */
export function unprocessable(
  renderer: Pick<Renderer, 'language'>,
  ctx: Context,
  error: unknown,
): string {
  if (!(error instanceof AccountError || error instanceof FactorError)) throw error;
  ctx.status = 422;
  return renderer.language(ctx).t(error.code, error instanceof AccountError ? error.values : {});
}

/** The same for a form of several fields. @returns what is wrong, by field */
export function unprocessableFields(
  renderer: Pick<Renderer, 'language'>,
  ctx: Context,
  error: unknown,
): FormErrors {
  if (!(error instanceof AccountError)) throw error;
  const mistake = unprocessable(renderer, ctx, error);
  return { summary: renderer.language(ctx).t('common.check-fields'), [error.field]: mistake };
}
