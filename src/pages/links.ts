// Links of mails on the pages where they lead: the secret that one brings, and what answers one that is worth nothing.
import type { Context, Next } from 'koa';
import type { Renderer } from './render.ts';
import type { Views } from './views/views.ts';

type Shown = Views['link-void'];

/** A link that was spent, voided by another or made up, is too old, or is for somebody else. */
export class LinkVoid extends Error {
  readonly shown: Shown;

  /** @param shown where another is asked for, and why this one does nothing, when that can be told */
  constructor(shown: Shown = {}) {
    super('the link is void');
    this.name = 'LinkVoid';
    this.shown = shown;
  }
}

/** The secret of a link that was opened. @returns '' for none, which no link has */
export function linkSecret(ctx: Context): string {
  const { token } = ctx.query;
  return typeof token === 'string' ? token : '';
}

/** Middleware that answers {@link LinkVoid}: there is nothing here any more (410). */
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
