// A sign-in's cookies work in the browser that began it, and in no other that they are planted in.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Agent } from '../support/agent.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ environment: { SYMBOLON_ISSUER: 'https://id.example' } });
});
afterAll(() => provider.close());

const browser = (tossed: readonly string[] = []) =>
  new Agent(
    provider.issuer,
    ({ pathname, search }) =>
      new URL(`http://localhost:${provider.config.port}${pathname}${search}`),
    {},
    tossed,
  );
const request = `/authorize?${new URLSearchParams({
  client_id: 'web',
  response_type: 'code',
  scope: 'openid',
  redirect_uri: webClient.redirect_uris[0] ?? '',
  code_challenge: 'c'.repeat(43),
  code_challenge_method: 'S256',
}).toString()}`;

test('an interaction that was begun in another browser is not gone on with', async () => {
  const attacker = browser();
  const begun = await attacker.open(request);
  expect(begun.html.querySelector('input[name=password]')).not.toBeNull();
  const planted = attacker.cookies
    .filter(({ name }) => !name.startsWith('__Host-')) // which a browser takes from this host only
    .map(({ name, value }) => `${name}=${value}`);
  expect(planted.length).toBeGreaterThanOrEqual(4);

  const fresh = browser(planted);
  const busy = browser(planted);
  await busy.open(request); // has an interaction of its own
  for (const victim of [fresh, busy]) {
    const page = await victim.open(begun.url);
    expect(page.status).toBe(400);
    expect(page.html.querySelector('input[name=password]')).toBeNull();
    const resumed = await victim.open(begun.url.href.replace('/interaction/', '/authorize/'));
    expect([resumed.status, resumed.away]).toEqual([400, undefined]);
  }
  // Where it was begun it goes on.
  expect((await attacker.authorize(begun.url)).searchParams.get('code')).toBeTruthy();
});

test('several go on side by side in one browser', async () => {
  const own = browser();
  const [one, other] = [await own.open(request), await own.open(request)];
  expect((await own.authorize(one.url)).searchParams.get('code')).toBeTruthy();
  expect((await own.open(other.url)).status).toBeLessThan(500);
});
