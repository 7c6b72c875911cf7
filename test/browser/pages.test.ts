// What holds for every page (test/support/pages.ts) under its own policy, from left and from right, in light and dark,
// with JavaScript and without: axe finds nothing, the browser complains of nothing, neither a small phone nor a desktop
// scrolls sideways, it is small and painted at once, and the keyboard begins where something is to be typed.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { axe, launchBrowser } from '../support/browser.ts';
import { tour } from '../support/pages.ts';

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };
const LARGEST = 50_000; // bytes, with the style sheet, before compression

const ours = fileURLToPath(new URL('../../views', import.meta.url));
const templates = readdirSync(ours)
  .filter((file) => file.endsWith('.eta') && file !== 'layout.eta')
  .map((file) => file.replace('.eta', ''));

let browser: Browser;
let views: string; // the templates, each of which says its name
beforeAll(async () => {
  browser = await launchBrowser();
  views = mkdtempSync(join(tmpdir(), 'symbolon-views-'));
  for (const name of templates) {
    const text = readFileSync(join(ours, `${name}.eta`), 'utf8');
    writeFileSync(join(views, `${name}.eta`), `${text}\n<!-- template ${name} -->\n`);
  }
});
afterAll(async () => {
  rmSync(views, { recursive: true });
  await browser.close();
});

// axe is a script itself: where there is none, the pages are the same.
test.concurrent.for([
  ['in English on light', { locale: 'en', colorScheme: 'light' }],
  ['in Arabic on dark', { locale: 'ar', colorScheme: 'dark' }],
  ['in German without JavaScript', { locale: 'de', javaScriptEnabled: false }],
] as const)('every page %s', async ([, how], { expect }) => {
  const found: string[] = [];
  const shown = new Set<string>();
  const options = { ...how, viewport: PHONE, reducedMotion: 'reduce' } as const;
  for await (const { name, page } of tour(browser, options, { complaints: found, views })) {
    const wrong = await look(page);
    if (!('javaScriptEnabled' in how)) wrong.push(...(await axe(page)));
    const language = await page.evaluate('document.documentElement.lang');
    if (language !== how.locale) wrong.push(`it is in ${String(language)}`);
    found.push(...wrong.map((what) => `${name}: ${what}`));
    shown.add(/template ([\w-]+)/.exec(await page.content())?.[1] ?? '');
  }
  const missing = templates.filter((template) => !shown.has(template));
  found.push(...missing.map((template) => `${template}.eta: no page of the list shows it`));
  expect(found).toEqual([]);
});

/** What is wrong with the page that the browser is at. */
async function look(page: Page): Promise<string[]> {
  const { wrong, begin } = await page.evaluate<Inspection>(inspection);
  // The browser moves the keyboard there when it first paints.
  if (begin !== undefined)
    await page
      .locator(`[id="${begin}"]:focus`)
      .waitFor({ timeout: 60_000 })
      .catch(() => wrong.push(`the keyboard does not begin at #${begin}`));
  await page.setViewportSize(DESKTOP);
  if (await page.evaluate('document.documentElement.scrollWidth > innerWidth'))
    wrong.push('a desktop scrolls sideways');
  await page.setViewportSize(PHONE);
  return wrong;
}

interface Inspection {
  readonly wrong: string[];
  /** The id of the field that is to be filled in first. */
  readonly begin?: string;
}

// Runs in the page. The deferred scripts of passkeys hold nothing up.
const inspection = `(() => {
  const wrong = [];
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('a phone scrolls sideways');

  const [sheet] = document.querySelectorAll('link[rel=stylesheet]');
  const [html] = performance.getEntriesByType('navigation');
  const first = performance
    .getEntriesByType('resource')
    .filter((file) => file.renderBlockingStatus === 'blocking');
  if (first.length !== 1 || first[0].name !== sheet.href)
    wrong.push('before it is painted it loads ' + first.map((file) => file.name));
  for (const script of document.scripts)
    if (!script.defer) wrong.push('a script holds it up: ' + script.outerHTML);
  const sizes = [html, ...first].map((file) => file.decodedBodySize);
  if (sizes.includes(0) || sizes.reduce((sum, size) => sum + size) > ${LARGEST})
    wrong.push('bytes of it and its style sheet: ' + sizes);

  const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')];
  for (const field of fields)
    if (field.labels.length === 0) wrong.push('a field has no label: ' + field.outerHTML);
  for (const one of document.querySelectorAll('[tabindex], [accesskey]'))
    wrong.push('the order of the keyboard is not that of the page: ' + one.outerHTML);

  // Where there is more to do than to fill in a form, the keyboard is left at the beginning.
  const isRead = document.querySelector('.account :is(section h2, ol)') !== null;
  const typed = fields.filter((field) => field.matches('input:not([type=checkbox])') && field.checkVisibility());
  const begin =
    typed.find((field) => field.ariaInvalid === 'true') ??
    typed.find((field) => field.value === '' && !isRead);
  return { wrong, begin: begin?.id };
})()`;
