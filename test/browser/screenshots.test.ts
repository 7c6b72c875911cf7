// `npm run screenshots`: a picture of every page into docs/screenshots, on a phone and a desktop, in light and dark, from
// left and from right; and the page there that shows them.
import { mkdirSync, rmSync, statSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CDPSession, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { tour } from '../support/pages.ts';

const folder = fileURLToPath(new URL('../../docs/screenshots', import.meta.url));
const sizes = {
  phone: { width: 360, height: 740 },
  desktop: { width: 1280, height: 800 },
};
const schemes = ['light', 'dark'] as const;
const locales = ['en', 'ar'] as const;
// Those that are in the repository, and the bytes that they may have there; git ignores the others.
const kept = ['light.en', 'dark.ar'];
const LARGEST = 6_000_000;

test.runIf(process.env['TEST_SCREENSHOTS'])(
  'screenshots',
  async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const browser = await launchBrowser();
    const names = new Set<string>();
    for (const locale of locales) {
      for await (const { name, page } of tour(browser, { locale, reducedMotion: 'reduce' })) {
        names.add(name);
        const devtools = await page.context().newCDPSession(page);
        for (const [size, viewport] of Object.entries(sizes)) {
          await page.setViewportSize(viewport);
          for (const colorScheme of schemes) {
            await page.emulateMedia({ colorScheme });
            const path = join(folder, `${name}.${size}.${colorScheme}.${locale}.webp`);
            writeFileSync(path, await picture(page, devtools));
          }
        }
        await devtools.detach();
      }
    }
    await browser.close();
    writeFileSync(join(folder, 'README.md'), index([...names]));
    const bytes = readdirSync(folder)
      .filter((file) => kept.some((one) => file.endsWith(`${one}.webp`)))
      .map((file) => statSync(join(folder, file)).size);
    expect(bytes.reduce((sum, size) => sum + size)).toBeLessThan(LARGEST);
  },
  600_000,
);

/** The whole page, in WebP. */
async function picture(page: Page, devtools: CDPSession): Promise<Buffer> {
  const [width, height] = await page.evaluate<[number, number]>(
    '[innerWidth, Math.max(innerHeight, document.documentElement.scrollHeight)]',
  );
  const { data } = await devtools.send('Page.captureScreenshot', {
    format: 'webp',
    quality: 60,
    captureBeyondViewport: true,
    clip: { x: 0, y: 0, width, height, scale: 1 },
  });
  return Buffer.from(data, 'base64');
}

/** What the folder shows when it is opened. */
function index(names: readonly string[]): string {
  const widths: Record<string, number> = { phone: 180, desktop: 400 };
  const rows = names.map((name) => {
    const pictures = Object.keys(sizes).flatMap((size) =>
      kept.map(
        (how) =>
          `<img src="${name}.${size}.${how}.webp" width="${widths[size] ?? 0}" alt="${name}, ${size}, ${how.replace('.', ', ')}">`,
      ),
    );
    return `## ${name}\n\n${pictures.join('\n')}\n`;
  });
  return `# Every page

Made by \`npm run screenshots\`: each page on a phone of 360 pixels and a desktop of 1280, in English on light and in Arabic on
dark. The command makes the other halves too, \`*.dark.en.webp\` and \`*.light.ar.webp\`, which are not in the repository.
How a browser gets to each page: [test/support/pages.ts](../../test/support/pages.ts).

${rows.join('\n')}`;
}
