// Rendering views: views/<template>.eta with its data, inside the layout. Eta escapes everything.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Context, Next } from 'koa';
import { type Language, type Languages, loadLanguages } from '../languages.ts';

const views = fileURLToPath(new URL('../../views', import.meta.url));

/** What pages may load (Content-Security-Policy): no script, no frame around them. */
export const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src 'self' https: data:; base-uri 'none'; frame-ancestors 'none'";

/** A file that pages refer to, under a URL path that changes with its content. */
interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

/** What a page is shown in answer to. `state.locales` are the languages that were asked for, before the browser's. */
export type PageContext = Pick<Context, 'type' | 'body' | 'set' | 'acceptsLanguages' | 'state'>;

export interface Renderer {
  readonly languages: Languages;
  /** The language that whoever made the request is answered in. */
  readonly language: (ctx: Pick<PageContext, 'acceptsLanguages' | 'state'>) => Language;
  /** Answers a request with a page; its status is left as it is. */
  readonly page: (ctx: PageContext, template: string, data: object) => void;
  /** The one script, of the page that takes people on. */
  readonly script: Asset;
  /** Middleware that serves the style sheet and the script. */
  readonly assets: (ctx: Context, next: Next) => Promise<void>;
}

interface Person {
  readonly name?: string | null;
  readonly email: string;
}

/**
 * Notes which languages are wanted before the browser's: those of the request (`ui_locales`, OIDC Core §3.1.2.1),
 * then the person's own.
 */
export function preferLanguages(
  ctx: Pick<Context, 'state'>,
  uiLocales: unknown,
  locale: string | null | undefined,
): void {
  const asked = typeof uiLocales === 'string' ? uiLocales.split(' ') : [];
  ctx.state['locales'] = [...asked, ...(locale ? [locale] : [])];
}

/** @param base the issuer's path: '' or like '/op' */
export function createRenderer(base: string): Renderer {
  const eta = new Eta({ views, cache: true, autoEscape: true });
  const style = readAsset('style', 'css');
  const script = readAsset('continue', 'js');
  const languages = loadLanguages();
  const language: Renderer['language'] = (ctx) =>
    languages.choose([
      ...((ctx.state['locales'] as string[] | undefined) ?? []),
      ...ctx.acceptsLanguages(),
    ]);
  return {
    languages,
    language,
    script,
    page(ctx, template, data) {
      ctx.type = 'html';
      ctx.set('Cache-Control', 'no-store');
      ctx.set('Vary', 'Accept-Language');
      const { t, tag, direction } = language(ctx);
      const person = ({ name, email }: Person) =>
        name ? t('common.person', { name, email }) : email;
      ctx.set('Content-Language', tag);
      ctx.body = eta.render(template, {
        ...data,
        t,
        person,
        lang: tag,
        direction,
        name: 'Symbolon',
        base,
        style: base + style.path,
      });
    },
    async assets(ctx, next) {
      const asset = [style, script].find(({ path }) => ctx.path === base + path);
      if (!asset) {
        await next();
        return;
      }
      ctx.type = asset.type;
      ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
      ctx.body = asset.content;
    },
  };
}

function readAsset(name: string, type: string): Asset {
  const content = readFileSync(`${views}/${name}.${type}`, 'utf8');
  const digest = createHash('sha256').update(content).digest('base64url').slice(0, 16);
  return { path: `/assets/${name}-${digest}.${type}`, type, content };
}
