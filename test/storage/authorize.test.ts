// An authorization of somebody who is signed in is one statement: what it does is what the long way does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { artifactId } from '../../src/storage/artifacts.ts';
import { Agent } from '../support/agent.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';
import { hold, queued } from '../faults/locks.ts';

const [redirectUri = ''] = webClient.redirect_uris;
let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const request = (parameters: Record<string, string> = {}) =>
  `${provider.issuer}/authorize?${new URLSearchParams({
    client_id: 'web',
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid offline_access',
    prompt: 'none',
    ...parameters,
  }).toString()}`;

async function signedIn(): Promise<Agent> {
  const browser = new Agent(provider.issuer);
  await browser.authorize(request({ prompt: 'consent' }));
  return browser;
}

const codeOf = async (browser: Agent) => (await browser.open(request())).away?.searchParams;

test('many at once of one browser each get a code that works, and the session stays one', async () => {
  const agent = await signedIn();
  const answers = await Promise.all(Array.from({ length: 20 }, () => codeOf(agent.clone())));
  const codes = answers.map((answer) => answer?.get('code') ?? '');
  expect(new Set(codes).size).toBe(20);
  const statuses = await Promise.all(
    codes.map(async (code) => {
      const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri };
      return (await post(`${provider.issuer}/token`, form, webClient)).status;
    }),
  );
  expect(statuses).toEqual(codes.map(() => 200));
  const where = { model: 'Session', accountId: provider.accountId };
  expect(await provider.storage.prisma.artifact.count({ where })).toBe(1);
});

test('a session that ends meanwhile gets no code, and does not come back', async () => {
  const browser = await signedIn();
  const { prisma } = provider.storage;
  const id = artifactId('Session', sessionOf(browser));
  // The authorization waits for the grant behind whoever holds it, and the session ends before it goes on.
  const grants = 'SELECT FROM "grant" WHERE account_id = $1 FOR UPDATE';
  const row = await hold(provider.databaseUrl, grants, [provider.accountId]);
  const waits = codeOf(browser);
  await queued(row.holder, 1);
  await prisma.artifact.delete({ where: { id } });
  await row.release();
  expect((await waits)?.get('code') ?? undefined).toBeUndefined();
  expect(await prisma.artifact.findUnique({ where: { id } })).toBeNull();
});

test('who is held up by nobody does not wait for who is', async () => {
  const [held, free] = [await signedIn(), await signedIn()];
  const row = await hold(provider.databaseUrl, 'SELECT FROM artifact WHERE id = $1 FOR UPDATE', [
    artifactId('Session', sessionOf(held)),
  ]);
  const waits = codeOf(held);
  await queued(row.holder, 1);
  expect((await codeOf(free))?.get('code')).toBeTruthy();
  await row.release();
  expect((await waits)?.get('code')).toBeTruthy();
});

function sessionOf(browser: Agent): string {
  return browser.cookies.find(({ name }) => name === 'symbolon_session')?.value ?? '';
}
