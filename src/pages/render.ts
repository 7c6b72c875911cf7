// Rendering views: views/<template>.eta with its data, inside the layout. Eta escapes everything.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Context } from 'koa';

const views = fileURLToPath(new URL('../../views', import.meta.url));

export interface Renderer {
  /** Answers a request with a page; its status is left as it is. */
  page(ctx: Pick<Context, 'type' | 'body' | 'set'>, template: string, data: object): void;
  /** The style sheet: a URL path that changes with its content, and the content. */
  readonly style: { readonly path: string; readonly content: string };
}

/** @param base the issuer's path: '' or like '/op' */
export function createRenderer(base: string): Renderer {
  const eta = new Eta({ views, cache: true, autoEscape: true });
  const content = readFileSync(`${views}/style.css`, 'utf8');
  const digest = createHash('sha256').update(content).digest('base64url').slice(0, 16);
  const path = `/assets/style-${digest}.css`;
  return {
    style: { path, content },
    page(ctx, template, data) {
      ctx.type = 'html';
      ctx.set('Cache-Control', 'no-store');
      ctx.body = eta.render(template, { ...data, name: 'Symbolon', base, style: base + path });
    },
  };
}
