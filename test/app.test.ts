// The provider as the world meets it: discovery, mounts, proxies, headers, paths that lead nowhere, the log.
import { request } from 'node:http';
import { connect as connectTo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from './support/agent.ts';
import { createDatabase } from './support/database.ts';
import { freePort, startProcess } from './support/process.ts';
import { type TestProvider, person, secret, startProvider, webClient } from './support/provider.ts';
import {
  authorizationRequest,
  discover,
  refresh,
  refreshTokenOf,
  signIn,
} from './support/relying-party.ts';
import { addAccount } from '../src/accounts/accounts.ts';
import { connect } from '../src/database/open.ts';
import { Keyring } from '../src/keys/keyring.ts';
import { insertClient } from '../src/storage/clients.ts';

type Document = Record<string, string>;

/** Headers as they are given: fetch would not send Host. */
function get(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    })
      .on('error', reject)
      .end();
  });
}
const discovery = async (issuer: string, headers?: Record<string, string>) =>
  JSON.parse((await get(`${issuer}/.well-known/openid-configuration`, headers)).body) as Document;
const endpoints = (document: Document) =>
  Object.entries(document).filter(([name]) => /_endpoint$|^jwks_uri$/.test(name));

describe('an issuer without a path', () => {
  let provider: TestProvider;
  beforeAll(async () => {
    provider = await startProvider();
  });
  afterAll(() => provider.close());

  test('is discovered, with every endpoint below it', async () => {
    const document = await discovery(provider.issuer);
    expect(document).toMatchObject({
      issuer: provider.issuer,
      code_challenge_methods_supported: ['S256'],
      response_types_supported: expect.arrayContaining(['code']) as string[],
    });
    expect(document['scopes_supported']).toContain('offline_access');
    expect(endpoints(document).length).toBeGreaterThan(7);
    for (const [name, url] of endpoints(document))
      expect(url, name).toMatch(new RegExp(`^${provider.issuer}/`));
    const oauth = await get(`${provider.issuer}/.well-known/oauth-authorization-server`);
    expect(JSON.parse(oauth.body)).toEqual(document);
  });

  test('is not led astray by a Host header, whoever is trusted', async () => {
    const document = await discovery(provider.issuer);
    const attempts: Record<string, string>[] = [
      { host: 'evil.example' },
      { 'x-forwarded-host': 'evil.example' },
      { 'x-forwarded-proto': 'https' },
    ];
    for (const headers of attempts) {
      expect(await discovery(provider.issuer, headers)).toEqual(document);
    }
  });

  test('is not led astray by a request that names a whole URL, nor are those after it', async () => {
    const path = '/.well-known/openid-configuration';
    const before = await startProvider(); // nobody has asked it yet
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connectTo(before.config.port, 'localhost', () => {
        socket.write(
          `GET http://evil.example${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
      });
      socket.on('data', (chunk) => (text += String(chunk)));
      socket.on('end', () => {
        resolve(text);
      });
      socket.on('error', reject);
    });
    expect(answer).toContain('200 OK');
    expect(answer).not.toContain('evil.example');
    expect(JSON.stringify(await discovery(before.issuer))).not.toContain('evil.example');
    await before.close();
  });

  test('pages have the strictest policy that they can have', async () => {
    const { headers } = await get(`${provider.issuer}/`, { accept: 'text/html' });
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self' https: data:; base-uri 'none'; frame-ancestors 'none'",
    );
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
    const page = await new Agent(provider.issuer).open('/');
    expect(page.html.querySelectorAll('script, style, [style], [onclick]')).toEqual([]);
    const style = await get(
      provider.issuer +
        (page.html.querySelector('link[rel=stylesheet]')?.getAttribute('href') ?? ''),
    );
    expect(style.headers).toMatchObject({
      'content-type': 'text/css; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    expect(style.body.length + page.html.toString().length).toBeLessThan(50_000);
  });

  test('a path that leads nowhere: a page for people, a problem for programs', async () => {
    const page = await get(`${provider.issuer}/nowhere`, { accept: 'text/html' });
    expect(page.status).toBe(404);
    expect(page.body).toContain('There is nothing here');
    const problem = await get(`${provider.issuer}/nowhere`, { accept: 'application/json' });
    expect(problem.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(problem.body)).toMatchObject({ status: 404, title: 'Not Found' });
  });

  test('only a client’s own origins may script it', async () => {
    const preflight = await fetch(`${provider.issuer}/token`, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:4001', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBeLessThan(300);
    const from = (origin: string) =>
      fetch(`${provider.issuer}/token`, {
        method: 'POST',
        headers: { origin },
        body: new URLSearchParams({
          client_id: 'spa',
          grant_type: 'refresh_token',
          refresh_token: 'x',
        }),
      });
    expect((await from('http://localhost:4001')).headers.get('access-control-allow-origin')).toBe(
      'http://localhost:4001',
    );
    expect(
      (await from('https://evil.example')).headers.get('access-control-allow-origin'),
    ).toBeNull();
  });
});

describe('an issuer with a path', () => {
  let provider: TestProvider;
  beforeAll(async () => {
    provider = await startProvider({ path: '/op/one' });
  });
  afterAll(() => provider.close());

  test('is discovered below it, and where RFC 8414 puts it', async () => {
    const document = await discovery(provider.issuer);
    expect(document['issuer']).toBe(provider.issuer);
    for (const [name, url] of endpoints(document))
      expect(url, name).toMatch(new RegExp(`^${provider.issuer}/`));
    const origin = new URL(provider.issuer).origin;
    const oauth = await get(`${origin}/.well-known/oauth-authorization-server/op/one`);
    expect(JSON.parse(oauth.body)).toEqual(document);
    expect((await get(`${origin}/.well-known/oauth-authorization-server/other`)).status).toBe(404);
    expect((await get(`${origin}/token`)).status).toBe(404);
  });

  test('signs a person in and refreshes', async () => {
    const party = await discover(provider.issuer);
    const tokens = await signIn(party, new Agent(provider.issuer));
    await refresh(party, refreshTokenOf(tokens));
    const page = await new Agent(provider.issuer).open((await authorizationRequest(party)).url);
    expect(page.html.querySelector('link[rel=stylesheet]')?.getAttribute('href')).toMatch(
      /^\/op\/one\/assets\//,
    );
  });
});

describe('behind a TLS proxy', () => {
  const issuer = (port: number) => `https://id.example.com:${port}`;

  test('URLs are https, cookies are this host’s alone, and the address is what the proxy has seen', async () => {
    const proxied = await startProvider({
      environment: {
        SYMBOLON_TRUST_PROXY: 'true',
        SYMBOLON_ISSUER: issuer(443),
        SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      },
      clients: [{ ...webClient, grant_types: [...webClient.grant_types, 'password'] }],
    });
    const at = `http://localhost:${proxied.config.port}`;
    const forwarded = {
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '198.51.100.9, 203.0.113.7',
      'x-forwarded-host': 'evil.example',
      accept: 'text/html',
    };
    const document = await discovery(at, forwarded);
    for (const [name, url] of endpoints(document))
      expect(url, name).toMatch(/^https:\/\/id\.example\.com\//);
    const { headers } = await get(
      `${at}/authorize?client_id=web&response_type=code&scope=openid&redirect_uri=${encodeURIComponent(webClient.redirect_uris[0] ?? '')}`,
      forwarded,
    );
    expect(headers['location']).toMatch(/^\/interaction\//);
    for (const cookie of headers['set-cookie'] as string[])
      expect(cookie).toMatch(/^(__Host-.*path=\/|__Secure-.*path=\/[^;]+); .*secure; httponly/i);
    expect(headers['strict-transport-security']).toMatch(/^max-age=/);
    // The address that the proxy itself saw, not one that a client made up before it.
    const answer = await fetch(`${at}/token`, {
      method: 'POST',
      headers: {
        ...forwarded,
        authorization: `Basic ${Buffer.from(`web:${encodeURIComponent(webClient.client_secret)}`).toString('base64')}`,
      },
      body: new URLSearchParams({
        grant_type: 'password',
        username: person.email,
        password: person.password,
        scope: 'openid offline_access',
      }),
    });
    expect(answer.status).toBe(200);
    const family = await proxied.storage.prisma.refreshFamily.findFirst();
    expect(family?.lastUsedIp).toBe('203.0.113.7');
    await proxied.close();
  });

  test('also when the proxy says nothing, or something else', async () => {
    const environment = { SYMBOLON_ISSUER: issuer(443) };
    const direct = await startProvider({ environment });
    const at = `http://localhost:${direct.config.port}`;
    for (const headers of [
      {},
      { 'x-forwarded-proto': 'http' },
      { 'x-forwarded-proto': 'https, https' },
      { forwarded: 'proto=http' },
    ] as Record<string, string>[]) {
      expect((await discovery(at, headers))['token_endpoint']).toMatch(/^https:\/\//);
      const query = new URLSearchParams({
        client_id: 'web',
        response_type: 'code',
        scope: 'openid',
        redirect_uri: webClient.redirect_uris[0] ?? '',
      });
      const answer = await get(`${at}/authorize?${query.toString()}`, headers);
      for (const cookie of answer.headers['set-cookie'] as string[])
        expect(cookie).toMatch(/; secure; httponly/i);
    }
    // All the way: no redirect leads to http.
    const agent = new Agent(
      direct.issuer,
      ({ pathname, search }) => new URL(at + pathname + search),
    );
    const back = await agent.authorize(
      `/authorize?${new URLSearchParams({
        client_id: 'web',
        response_type: 'code',
        scope: 'openid',
        redirect_uri: webClient.redirect_uris[0] ?? '',
        code_challenge: 'c'.repeat(43),
        code_challenge_method: 'S256',
      }).toString()}`,
    );
    expect(back.origin).toBe('http://localhost:4000');
    await direct.close();
  });
});

test('the log holds no token, code, password, cookie or key', async () => {
  const database = await createDatabase();
  const prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), webClient);
  const port = await freePort();
  const server = await startProcess({
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    PORT: String(port),
    LOG_LEVEL: 'trace',
  });
  const party = await discover(server.url);
  const agent = new Agent(server.url);
  const { url, finish } = await authorizationRequest(party);
  const interaction = (await agent.open(url)).url.pathname.split('/').at(-1) ?? '';
  const callback = await agent.authorize(url);
  const tokens = await finish(callback);
  const refreshed = await refresh(party, refreshTokenOf(tokens));
  await finish(callback).catch(() => undefined); // a used code
  await refresh(party, refreshTokenOf(refreshed)).catch(() => undefined); // of a family that has ended by it
  expect(await server.end()).toBe(0);
  const log = server.output();
  expect(log).toContain('"path":"/token"');
  expect(log).toContain('"reason":"reuse"');
  const secrets = [
    interaction,
    callback.searchParams.get('code') ?? '',
    tokens.access_token,
    refreshTokenOf(tokens),
    refreshTokenOf(refreshed),
    tokens.id_token ?? '',
    person.password,
    webClient.client_secret,
    secret,
    ...agent.cookies.map(({ value }) => value),
  ];
  for (const value of secrets) expect(log).not.toContain(value);
  await prisma.$disconnect();
  await database.drop();
});
