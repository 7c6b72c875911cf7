// Links from mails, on the pages that they lead to: reading the secret, and answering a link that does not work.
import type { Context, Next } from 'koa';
import type { Renderer } from './render.ts';
import type { Views } from './views/views.ts';

type Shown = Views['link-void'];

/** The link was spent, voided by a newer one or forged, is too old, or is for somebody else. */
export class LinkVoid extends Error {
  readonly shown: Shown;

  /** @param shown where to ask for another link, and why this one does not work, if known */
  constructor(shown: Shown = {}) {
    super('the link is void');
    this.name = 'LinkVoid';
    this.shown = shown;
  }
}

/** The secret of the link that was opened. @returns '' for none, which matches no link */
export function linkSecret(ctx: Context): string {
  const { token } = ctx.query;
  return typeof token === 'string' ? token : '';
}

/** Middleware that answers {@link LinkVoid} with a page and 410 Gone. */
export function answerVoidLinks(renderer: Renderer) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      if (!(error instanceof LinkVoid)) throw error;
      ctx.status = 410;
      renderer.page(ctx, 'link-void', error.shown);
    }
  };
}
