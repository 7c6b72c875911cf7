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

/** @throws when no browser can be had: the tests that need one fail then, they are not skipped */
export async function launchBrowser(): Promise<Browser> {
  try {
    const executablePath = installed() ?? (await packaged.executablePath());
    return await chromium.launch({ executablePath, args });
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

/** What a page did that it must not: errors on the console, violations of the Content-Security-Policy. */
export function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    // A refused form is answered with a status of its own; the browser notes it, and that is no error of the page.
    const { url } = message.location();
    if (message.type() === 'error' && !/status of 4(01|10|22)/.test(message.text()))
      complaints.push(`${url}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

/** What a screen reader or a weak eye would stumble over. The page's context must bypass the policy of the page. */
export async function axe(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(
    ({ id, nodes }) => `${page.url()} ${id}: ${nodes.map(({ html }) => html).join(' ')}`,
  );
}
