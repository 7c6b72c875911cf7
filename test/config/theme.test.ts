// How the pages look where an installation has its own.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'node-html-parser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { accents, backgrounds, complaintAbout, contrast, lighter } from '../../src/config/theme.ts';
import { type TestProvider, startProvider } from '../support/provider.ts';

const folder = mkdtempSync(join(tmpdir(), 'symbolon-look-'));
const own = (name: string, content: string | Buffer) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const mistakes = (environment: Record<string, string>): string => {
  try {
    readConfig(environment);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('colours', () => {
  const color = fc
    .integer({ min: 0, max: 0xffffff })
    .map((n) => `#${n.toString(16).padStart(6, '0')}`);

  test('are measured as WCAG measures them', () => {
    expect(contrast('#ffffff', '#000000')).toBeCloseTo(21);
    expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
  });

  test('that are accepted can be read wherever the style sheet has them', () => {
    for (const scheme of ['light', 'dark'] as const) {
      const { paper, card } = backgrounds[scheme];
      const ink = scheme === 'light' ? '#1f1d1a' : '#f0eee8';
      fc.assert(
        fc.property(color, (given) => {
          fc.pre(complaintAbout(given, scheme) === undefined);
          const { accent, ...made } = accents(given, scheme);
          for (const [text, behind] of [
            [accent, paper],
            [accent, card],
            [made['on-accent'], accent],
            [made['on-accent'], made['accent-strong']],
            [made['accent-strong'], made['accent-soft']],
            [ink, made['accent-soft']],
          ] as const)
            expect(contrast(text, behind), `${given}: ${text} on ${behind}`).toBeGreaterThanOrEqual(
              4.5,
            );
        }),
        { numRuns: 500 },
      );
    }
    fc.assert(
      fc.property(color, (given) => {
        expect(complaintAbout(lighter(given), 'dark')).toBeUndefined();
      }),
    );
  });

  test('that cannot be read are refused at the start', () => {
    expect(mistakes({ SYMBOLON_ACCENT_COLOR: '#ffcc00' })).toMatch(
      /SYMBOLON_ACCENT_COLOR: got "#ffcc00", wants a darker colour: its contrast to light pages is 1\.\d:1/,
    );
    expect(mistakes({ SYMBOLON_ACCENT_COLOR_DARK: '#17594a' })).toContain('wants a lighter colour');
    expect(mistakes({ SYMBOLON_ACCENT_COLOR: 'red' })).toContain('wants a colour like');
    expect(
      mistakes({ SYMBOLON_ACCENT_COLOR: '#17594A', SYMBOLON_ACCENT_COLOR_DARK: '#8fd3bd' }),
    ).toBe('');
  });

  test('are measured against those of the style sheet', () => {
    const style = readFileSync(new URL('../../views/style.css', import.meta.url), 'utf8');
    const [light = '', dark = ''] = style.split('@media (prefers-color-scheme: dark)');
    for (const [scheme, text] of Object.entries({ light, dark })) {
      const { paper, card } = backgrounds[scheme as 'light'];
      expect(text).toContain(`--paper: ${paper};`);
      expect(text).toContain(`--card: ${card};`);
    }
  });
});

test('what is no logo, no folder, no link is refused at the start', () => {
  expect(mistakes({ SYMBOLON_LOGO: join(folder, 'none.svg') })).toContain('SYMBOLON_LOGO: got');
  expect(mistakes({ SYMBOLON_LOGO: own('page.svg', '<html></html>') })).toContain('no SVG');
  expect(mistakes({ SYMBOLON_LOGO: own('page.png', '<svg></svg>') })).toContain('no PNG');
  expect(mistakes({ SYMBOLON_LOGO: own('large.svg', `<svg>${' '.repeat(200_000)}`) })).toContain(
    'at most',
  );
  expect(mistakes({ SYMBOLON_VIEWS_DIR: join(folder, 'nowhere') })).toContain(
    'SYMBOLON_VIEWS_DIR: got',
  );
  expect(mistakes({ SYMBOLON_SUPPORT_URL: 'javascript:alert(1)' })).toContain(
    'SYMBOLON_SUPPORT_URL',
  );
});

describe('an installation with a look of its own', () => {
  let provider: TestProvider;
  const views = join(folder, 'views');
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';

  beforeAll(async () => {
    mkdirSync(join(views, 'locales'), { recursive: true });
    mkdirSync(join(views, 'partials'));
    writeFileSync(
      join(views, 'home.eta'),
      `<% layout('./layout', { title: it.t('own.title') }) %>\n<%~ include('./partials/mine', { text: '<mine>' }) %><%~ include('./partials/app', { client: { name: 'Theirs' } }) %>`,
    );
    writeFileSync(join(views, 'partials', 'mine.eta'), '<h1><%= it.text %></h1>');
    writeFileSync(join(views, 'locales', 'en.json'), '{ "own.title": "Mine" }');
    provider = await startProvider({
      path: '/op',
      environment: {
        SYMBOLON_NAME: 'Rivière & Co',
        SYMBOLON_LOGO: own('logo.svg', svg),
        SYMBOLON_ACCENT_COLOR: '#5b2a86',
        SYMBOLON_SUPPORT_URL: 'mailto:help@example.com',
        SYMBOLON_PRIVACY_URL: 'https://example.com/privacy',
        SYMBOLON_VIEWS_DIR: views,
      },
    });
  });
  afterAll(() => provider.close());

  const get = async (path: string) => {
    const response = await fetch(new URL(path, provider.issuer), {
      headers: { accept: 'text/html' },
    });
    return { headers: response.headers, text: await response.text() };
  };

  test('shows its name, logo, links and colours, and no inline style', async () => {
    const page = parse((await get('/op/nowhere')).text);
    expect(page.querySelector('title')?.text).toContain('Rivière & Co');
    expect(page.querySelectorAll('footer a').map((a) => a.getAttribute('href'))).toEqual([
      'mailto:help@example.com',
      'https://example.com/privacy',
    ]);
    const style = page.querySelector('link[rel=stylesheet]')?.getAttribute('href') ?? '';
    const { text } = await get(style);
    expect(text).toContain('--accent: #5b2a86;');
    expect(text).toContain(`--accent: ${lighter('#5b2a86')};`);
    expect(page.toString()).not.toMatch(/<style|style=/);
  });

  test('serves the logo so that it runs no script', async () => {
    const page = parse((await get('/op/nowhere')).text);
    const src = page.querySelector('.brand img')?.getAttribute('src') ?? '';
    expect(src).toMatch(/^\/op\/assets\/logo-[\w-]{16}\.svg$/);
    const { headers, text } = await get(src);
    expect(text).toBe(svg);
    expect(headers.get('content-type')).toContain('image/svg+xml');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    );
  });

  test('has its own templates, with our partials and layout where it has none', async () => {
    const { text } = await get('/op/');
    const page = parse(text);
    expect(page.querySelector('title')?.text).toMatch(/^Mine/);
    expect(text).toContain('<h1>&lt;mine&gt;</h1>');
    expect(page.querySelector('.app strong')?.text).toBe('Theirs');
  });

  test('does not start with a template that cannot be read', async () => {
    const broken = join(folder, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'home.eta'), '<% if ( %>');
    await expect(startProvider({ environment: { SYMBOLON_VIEWS_DIR: broken } })).rejects.toThrow(
      'SYMBOLON_VIEWS_DIR: home.eta',
    );
  });
});
