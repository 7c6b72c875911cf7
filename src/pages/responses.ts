// Answers that many pages give: a redirect after a form, a form with mistakes, too many tries.
import type { Context } from 'koa';
import { AccountError } from '../accounts/accounts.ts';
import { FactorError } from '../accounts/factors.ts';
import type { Renderer } from './render.ts';
import type { FormErrors } from './views/ways-in.ts';

/** Redirects the browser with 303, so that it uses GET (RFC 9110 §15.4.4). @param url a path of ours, or a URL */
export function seeOther(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 303;
}

/** Has the browser send the same request again, form included, with 307 (RFC 9110 §15.4.8). @param url a URL of ours */
export function sameAgain(ctx: Context, url: string): void {
  ctx.redirect(url);
  ctx.status = 307;
}

/** Sets the status 429 of a page that asks to wait (RFC 6585 §4). @param seconds to wait; undefined: it does not help */
export function tooMany(ctx: Context, seconds: number | undefined): void {
  ctx.status = 429;
  if (seconds !== undefined) ctx.set('Retry-After', String(seconds));
}

/**
 * Sets the status 422 of a page that shows its form again (RFC 9110 §15.5.21).
 *
 * @returns the mistake in the person's language
 * @throws the error, when it is no mistake in the form
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

/** The same for a form of several fields. @returns the mistakes by field */
export function unprocessableFields(
  renderer: Pick<Renderer, 'language'>,
  ctx: Context,
  error: unknown,
): FormErrors {
  if (!(error instanceof AccountError)) throw error;
  const mistake = unprocessable(renderer, ctx, error);
  return { summary: renderer.language(ctx).t('common.check-fields'), [error.field]: mistake };
}
