// The engine sometimes answers with a form that submits itself by an inline script: the response mode form_post,
// signing out before another account signs in. The same form is put on a page of ours, whose script is a file:
// no page ever runs an inline script.
import type { Context, Next } from 'koa';
import { type Renderer, pagePolicy } from './render.ts';

/** Replaces the engine's self-submitting page, which can be told by its title. */
export function ownContinuePage(renderer: Renderer, base: string) {
  return async (ctx: Context, next: Next) => {
    await next();
    const { body } = ctx;
    if (typeof body !== 'string' || !body.includes('<title>Submitting Callback</title>')) return;
    const action = /<form method="post" action="([^"]*)">/.exec(body)?.[1];
    if (action === undefined)
      throw new Error('the engine’s self-submitting form has another shape: adapt ownContinuePage');
    const inputs = body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g);
    const fields = [...inputs].map(([, name = '', value = '']) => [name, unescape(value)] as const);
    ctx.set('Content-Security-Policy', `${pagePolicy}; script-src 'self'`);
    renderer.page(ctx, 'continue', {
      action: unescape(action),
      fields,
      script: base + renderer.script.path,
    });
  };
}

// The engine escapes these five (its helpers/html_safe.js); the template escapes them again.
const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

function unescape(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? entity);
}
