// The discovery document and the keys are made once for every engine, and are always those of the engine that serves.
import { exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestProvider, startProvider } from '../support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ path: '/op', environment: { SYMBOLON_TRUST_PROXY: 'true' } });
});
afterAll(() => provider.close());

const paths = ['/jwks', '/.well-known/openid-configuration'];
const ask = (path: string, init?: RequestInit) => fetch(`${provider.issuer}${path}`, init);

test('the second answer is the first', async () => {
  for (const path of paths) {
    const [first, second] = [await ask(path), await ask(path)];
    expect(second.status).toBe(200);
    expect(await second.text()).toBe(await first.text());
    const names = ['content-type', 'cache-control', 'vary', 'access-control-allow-origin'];
    for (const name of [...names, 'x-content-type-options', 'strict-transport-security'])
      expect([name, second.headers.get(name)]).toEqual([name, first.headers.get(name)]);
  }
});

test('a script of another origin, HEAD and another method are answered by the engine', async () => {
  for (const path of paths) {
    await ask(path);
    const origin = 'https://app.example';
    const answer = await ask(path, { headers: { origin } });
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    const head = await ask(path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await ask(path, { method: 'POST' })).status).toBe(405);
  }
});

test('another spelling of the paths, which the engine knows as well, is not kept', async () => {
  for (const path of ['/JWKS', '/jwks/', '/.well-known/OpenID-configuration']) {
    await ask(path);
    const answer = await ask(path);
    expect([path, answer.status]).toEqual([path, 200]);
    expect(answer.headers.get('x-frame-options')).toBe('DENY'); // of the long way
  }
  expect((await ask('/jwks')).headers.get('x-frame-options')).toBeNull();
});

test('URLs are the issuer’s, whatever an asker says, and whoever asked before', async () => {
  const [, path = ''] = paths;
  const endpoint = async (headers: Record<string, string>) =>
    ((await (await ask(path, { headers })).json()) as { token_endpoint: string }).token_endpoint;
  for (let round = 0; round < 2; round++) {
    for (const headers of [{ 'x-forwarded-proto': 'https' }, {}, { 'x-forwarded-proto': 'ftp' }])
      expect(await endpoint(headers as Record<string, string>)).toBe(`${provider.issuer}/token`);
  }
});

test('other keys are published at once', async () => {
  const kids = async () =>
    ((await (await ask('/jwks')).json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
  const before = await kids();
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const another = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'another' };
  provider.engine.use({ keys: [another], algorithms: ['RS256'] });
  expect(await kids()).toEqual(['another']);
  expect(before).not.toContain('another');
});
