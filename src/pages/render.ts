// Renders views: views/<template>.eta with its data, inside the layout. Eta escapes everything. An installation may
// replace templates and the style sheet by its own, in a folder named by SYMBOLON_VIEWS_DIR.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Context, Next } from 'koa';
import { type Language, type Languages, loadLanguages } from '../languages.ts';
import type { Theme } from '../config/config.ts';
import { themeStyle } from '../config/theme.ts';
import type { Frame } from './views/frame.ts';
import type { Views } from './views/views.ts';

const views = fileURLToPath(new URL('../../views', import.meta.url));

/** The Content-Security-Policy of pages: no script, no frame around them. */
export const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src 'self' https: data:; base-uri 'none'; frame-ancestors 'none'";

/** Allows the page's scripts, which are files of ours. */
export function allowScripts(ctx: Pick<Context, 'set'>): void {
  ctx.set('Content-Security-Policy', `${pagePolicy}; script-src 'self'`);
}

/** A file that pages refer to, under a URL path that changes with its content. */
interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string | Buffer;
  /** Its own Content-Security-Policy, for when it is opened by itself. */
  readonly policy?: string;
}

// The operator’s logo is shown by <img>, where an SVG runs no script; opened by itself it runs none either.
const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/** The request that a page answers. `state.locales` are the languages that take precedence over the browser's. */
export type PageContext = Pick<Context, 'type' | 'body' | 'set' | 'acceptsLanguages' | 'state'>;

export interface Renderer {
  readonly languages: Languages;
  /** The language of the answer. */
  readonly language: (ctx: Pick<PageContext, 'acceptsLanguages' | 'state'>) => Language;
  /** Answers a request with a page. The status stays as it is. */
  readonly page: <T extends keyof Views>(ctx: PageContext, template: T, data: Views[T]) => void;
  /** The script of the page that submits a form of the engine's. */
  readonly script: Asset;
  /** The URL paths of the scripts of pages that ask for a passkey. */
  readonly passkeyScripts: readonly string[];
  /** The URL paths of all of them. */
  readonly assetPaths: readonly string[];
  /** Middleware that serves the style sheet and the scripts. */
  readonly assets: (ctx: Context, next: Next) => Promise<void>;
}

/**
 * Notes the languages that take precedence over the browser's: those of the request (`ui_locales`, OIDC Core §3.1.2.1),
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

/**
 * @param base the issuer's path: '' or like '/op'
 * @throws {Error} when one of the installation's templates cannot be read
 */
export function createRenderer(base: string, theme: Theme): Renderer {
  const eta = createEta(theme.views);
  const style = readAsset(theme.views, 'style', 'css', themeStyle(theme.accent));
  const script = readAsset(undefined, 'continue', 'js');
  const passkey = [libraryAsset(), readAsset(undefined, 'passkey', 'js')];
  const logo = theme.logo && {
    ...asset('logo', theme.logo.type, theme.logo.content),
    policy: picturePolicy,
  };
  const assets = new Map(
    [style, script, ...passkey, ...(logo ? [logo] : [])].map((one) => [base + one.path, one]),
  );
  const languages = loadLanguages(theme.views);
  const language: Renderer['language'] = (ctx) =>
    languages.choose([
      ...((ctx.state['locales'] as string[] | undefined) ?? []),
      ...ctx.acceptsLanguages(),
    ]);
  return {
    languages,
    language,
    script,
    passkeyScripts: passkey.map(({ path }) => base + path),
    page(ctx, template, data) {
      ctx.type = 'html';
      ctx.set('Cache-Control', 'no-store');
      ctx.set('Vary', 'Accept-Language');
      const { t, tag, direction } = language(ctx);
      ctx.set('Content-Language', tag);
      const frame: Frame = {
        t,
        person: ({ name, email }) => (name ? t('common.person', { name, email }) : email),
        lang: tag,
        direction,
        name: theme.name,
        logo: logo && base + logo.path,
        footer: theme.links,
        base,
        style: base + style.path,
      };
      ctx.body = eta.render(template, { ...data, ...frame });
    },
    assetPaths: [...assets.keys()],
    assets(ctx, next) {
      const asset = assets.get(ctx.path);
      if (!asset || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
      ctx.type = asset.type;
      ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
      if (asset.policy !== undefined) ctx.set('Content-Security-Policy', asset.policy);
      ctx.body = asset.content;
      return Promise.resolve();
    },
  };
}

function createEta(own: string | undefined): Eta {
  const eta = new Eta({ views, cache: true, autoEscape: true });
  if (own === undefined) return eta;
  // A template's name is its path below either folder; the installation's own takes precedence, wherever it is
  // included.
  eta.resolvePath = (template, options) => {
    const from = options?.filepath ?? join(views, 'layout');
    const root = relative(own, from).startsWith('..') ? views : own;
    const name = relative(root, join(from, '..', template)).replace(/(\.eta)?$/, '.eta');
    return existsSync(join(own, name)) ? join(own, name) : join(views, name);
  };
  const templates = readdirSync(own, { recursive: true, encoding: 'utf8' });
  for (const name of templates.filter((file) => file.endsWith('.eta'))) {
    try {
      eta.compile(readFileSync(join(own, name), 'utf8'));
    } catch (error) {
      throw new Error(`SYMBOLON_VIEWS_DIR: ${name}: ${(error as Error).message}`, { cause: error });
    }
  }
  return eta;
}

function readAsset(own: string | undefined, name: string, type: string, more = ''): Asset {
  const file = `${name}.${type}`;
  const folder = own !== undefined && existsSync(join(own, file)) ? own : views;
  return asset(name, type, readFileSync(join(folder, file), 'utf8') + more);
}

// The single file from the library's package.
function libraryAsset(): Asset {
  const main = import.meta.resolve('@simplewebauthn/browser');
  const bundle = new URL('../dist/bundle/index.umd.min.js', main);
  return asset('webauthn', 'js', readFileSync(bundle, 'utf8'));
}

function asset(name: string, type: string, content: string | Buffer): Asset {
  const digest = createHash('sha256').update(content).digest('base64url').slice(0, 16);
  return { path: `/assets/${name}-${digest}.${type}`, type, content };
}
