// `symbolon demo`, as somebody sees it who has one minute: sign in, refresh, replay, sign out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, watch } from '../support/browser.ts';
import { freePort } from '../support/process.ts';

let browser: Browser;
let demo: ChildProcess;
let output = '';
let folder: string;
let port: number;

beforeAll(async () => {
  browser = await launchBrowser();
  folder = await mkdtemp(join(tmpdir(), 'symbolon-demo-'));
  port = await freePort();
  demo = spawn(process.execPath, ['src/cli.ts', 'demo'], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: {
      ...process.env,
      PORT: String(await freePort()),
      DEMO_PORT: String(port),
      SYMBOLON_DATA_DIR: folder,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  demo.stdout?.on('data', (chunk) => (output += String(chunk)));
  const ended = once(demo, 'exit').then(() => {
    throw new Error(`the demo ended: ${output}`);
  });
  while (!output.includes('Ctrl+C')) await Promise.race([once(demo.stdout ?? demo, 'data'), ended]);
  ended.catch(() => undefined); // at the end it ends
});
afterAll(async () => {
  await browser.close();
  demo.kill('SIGTERM');
  if (demo.exitCode === null) await once(demo, 'exit');
  await rm(folder, { recursive: true, force: true });
});

test('sign in, refresh, refresh twice, replay, sign out', async () => {
  const page = await browser.newPage();
  const complaints = watch(page);
  await page.goto(`http://localhost:${port}/`);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('E-mail address').fill(/E-mail\s+(\S+)/.exec(output)?.[1] ?? '');
  await page.getByLabel('Password').fill(/Password\s+(.+)/.exec(output)?.[1]?.trim() ?? '');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.getByRole('heading', { name: 'ID token' }).waitFor();

  await page.getByRole('button', { name: 'Refresh', exact: true }).click();
  await page.getByText('1 rotation').first().waitFor();
  await page.getByRole('button', { name: 'Replay the old token' }).click();
  await page.locator('#outcome').getByText('same').first().waitFor(); // within the retry window
  await page.getByRole('button', { name: 'Refresh twice at once' }).click();
  await page.getByText('Two requests at once, one successor').waitFor();
  await page.getByRole('button', { name: 'Replay the old token' }).click();
  await page.getByText('Replay seen: the whole family has ended').waitFor();
  expect(await page.locator('#outcome').innerText()).toContain('invalid_grant');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  expect(complaints).toEqual([]);
});
