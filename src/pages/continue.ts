// The engine sometimes answers with a form that submits itself by an inline script: for the response mode form_post,
// and for signing out before another account signs in. The form is put on a page of ours, whose script is a file: no
// page runs an inline script.
import type { Context, Next } from 'koa';
import { selfSubmittingForm } from '../provider/engine-seams/words.ts';
import { type Renderer, allowScripts } from './render.ts';

/** Replaces the engine's self-submitting page. */
export function ownContinuePage(renderer: Renderer, base: string) {
  return async (ctx: Context, next: Next) => {
    await next();
    const form = selfSubmittingForm(ctx.body);
    if (!form) return;
    allowScripts(ctx);
    renderer.page(ctx, 'continue', { ...form, script: base + renderer.script.path });
  };
}
