// A real browser: an installed Chromium or Chrome if there is one, else the one inside an npm package.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import packaged from '@sparticuz/chromium';
import { type Browser, type Page, chromium } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const args = [
  '--no-sandbox',
  '--headless=shell',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** @param more of its command line @throws when no browser can be had: the tests that need one fail then, they are not skipped */
export async function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  try {
    const executablePath = installed() ?? (await packaged.executablePath());
    return await chromium.launch({ executablePath, args: [...args, ...more] });
  } catch (cause) {
    throw new Error(
      'The browser tests need a browser. Install Chromium (Debian: apt-get install chromium) or Google Chrome, or set CHROME_PATH.',
      { cause },
    );
  }
}

function installed(): string | undefined {
  const { CHROME_PATH, PATH = '' } = process.env;
  if (CHROME_PATH) return CHROME_PATH;
  const candidates = PATH.split(delimiter).flatMap((folder) =>
    names.map((name) => join(folder, name)),
  );
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What a page did that it must not: errors on the console, violations of the Content-Security-Policy, files that failed. */
export function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    // A page may have a status of its own, which the browser notes as an error; whose it is, is told below.
    if (message.type() === 'error' && !message.text().includes('responded with a status of'))
      complaints.push(`${message.location().url}: ${message.text()}`);
  });
  page.on('response', (response) => {
    const status = response.status();
    if (status === 500 || (status >= 400 && !response.request().isNavigationRequest()))
      complaints.push(`${response.url()}: ${status}`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

/** What a screen reader or a weak eye would stumble over. */
export async function axe(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze(); // without frames: twice as fast
  return violations.map(
    ({ id, nodes }) => `${page.url()} ${id}: ${nodes.map(({ html }) => html).join(' ')}`,
  );
}
