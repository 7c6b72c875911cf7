// Whose address counts, and whose headers: over real HTTP, from this machine as the peer.
import { once } from 'node:events';
import { type Server, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { afterEach, expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { settleOrigin } from '../../src/operations/request-origin.ts';

interface Seen {
  readonly ip: string;
  readonly href: string;
  readonly secure: boolean;
  readonly certificate: string;
}

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function seen(
  trustProxy: Config['trustProxy'],
  headers: Record<string, string | string[]>,
  { issuer = 'https://id.example', path = '/x?y' } = {},
): Promise<Seen> {
  const koa = new Koa({ proxy: true });
  const tlsClient = { certificate: 'x-cert', verify: 'x-verify' };
  koa.use(settleOrigin({ issuer, trustProxy, tlsClient }));
  koa.use((ctx) => {
    const { ip, href, secure } = ctx;
    ctx.body = { ip, href, secure, certificate: ctx.get('x-cert') + ctx.get('x-verify') };
  });
  const handle = koa.callback();
  server = createServer((asked, answer) => void handle(asked, answer)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.on('end', () => {
        resolve(JSON.parse(text) as Seen);
      });
    })
      .on('error', reject)
      .end();
  });
}

const peer = '127.0.0.1';
const local = ['127.0.0.0/8', '10.0.0.0/8', '2001:db8::/32'];

test.each<[string, Config['trustProxy'], Record<string, string | string[]>, string]>([
  [
    'no proxy is trusted',
    false,
    { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' },
    peer,
  ],
  ['the peer is no trusted one', ['10.0.0.1'], { 'x-forwarded-for': '192.0.2.1' }, peer],
  ['one that is', local, { 'x-forwarded-for': '192.0.2.1' }, '192.0.2.1'],
  [
    'trusted ones are skipped from the right',
    local,
    { 'x-forwarded-for': '192.0.2.66, 192.0.2.1, 10.0.0.7, 10.0.0.8' },
    '192.0.2.1',
  ],
  [
    'and only from there',
    local,
    { 'x-forwarded-for': '10.0.0.9, 192.0.2.1, 10.0.0.8' },
    '192.0.2.1',
  ],
  ['all of them are trusted ones', local, { 'x-forwarded-for': '10.0.0.7, 10.0.0.8' }, '10.0.0.7'],
  [
    'in several lines',
    local,
    { 'x-forwarded-for': ['192.0.2.66', '192.0.2.1', '10.0.0.8'] },
    '192.0.2.1',
  ],
  [
    'what is no address tells of no more',
    local,
    { 'x-forwarded-for': '192.0.2.66, unknown, 10.0.0.8' },
    '10.0.0.8',
  ],
  ['with ports', local, { 'x-forwarded-for': '[2001:db9::1]:4711, 10.0.0.8:80' }, '2001:db9::1'],
  ['IPv4 in IPv6', local, { 'x-forwarded-for': '192.0.2.1, ::ffff:10.0.0.8' }, '192.0.2.1'],
  [
    'RFC 7239',
    local,
    { forwarded: 'for=192.0.2.66, For="[2001:db9::1]:4711";proto=http, for=10.0.0.8;by=_x' },
    '2001:db9::1',
  ],
  [
    'RFC 7239, hidden',
    local,
    { forwarded: 'for=192.0.2.66, for=_hidden, for=10.0.0.8' },
    '10.0.0.8',
  ],
  [
    'RFC 7239, an element that says nothing',
    local,
    { forwarded: 'for=192.0.2.66, proto=https' },
    peer,
  ],
  [
    'RFC 7239, a comma in quotes',
    local,
    { forwarded: 'for=192.0.2.66;by="a, for=192.0.2.7", for=192.0.2.1' },
    '192.0.2.1',
  ],
  [
    'both, the same',
    local,
    { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' },
    '192.0.2.1',
  ],
  [
    'both, one of them forged',
    local,
    { 'x-forwarded-for': '192.0.2.66', forwarded: 'for=192.0.2.1' },
    peer,
  ],
  ['true: one proxy, whoever', true, { 'x-forwarded-for': '192.0.2.66, 192.0.2.1' }, '192.0.2.1'],
  ['true, without a header', true, {}, peer],
])('the client’s address: %s', async (_name, trusted, headers, expected) => {
  expect((await seen(trusted, headers)).ip).toBe(expected);
});

test('the header of a certificate is a trusted proxy’s only', async () => {
  const headers = { 'x-cert': 'c', 'x-verify': 'v' };
  for (const [trusted, expected] of [
    [local, 'cv'],
    [true, 'cv'],
    [['10.0.0.1'], ''],
    [false, ''],
  ] as const)
    expect((await seen(trusted as Config['trustProxy'], headers)).certificate).toBe(expected);
});

test.each<Record<string, string>>([
  {},
  { 'x-forwarded-proto': 'http' },
  { 'x-forwarded-proto': 'https, https' },
  { 'x-forwarded-proto': 'javascript' },
  { forwarded: 'proto=http;host=evil.example' },
  { host: 'evil.example', 'x-forwarded-host': 'evil.example' },
  { 'x-forwarded-port': '80', 'x-forwarded-prefix': '/evil', 'x-original-host': 'evil.example' },
])('URLs are the issuer’s with %j', async (headers) => {
  for (const trusted of [true, false, local]) {
    expect(await seen(trusted, headers)).toMatchObject({
      href: 'https://id.example/x?y',
      secure: true,
    });
    const plain = { issuer: 'http://localhost:3000' };
    const sent = { ...headers, 'x-forwarded-proto': 'https' };
    expect(await seen(trusted, sent, plain)).toMatchObject({
      href: 'http://localhost:3000/x?y',
      secure: false,
    });
  }
});

test('a request that names a whole URL names its path only', async () => {
  const path = 'http://evil.example/x?y';
  expect((await seen(false, {}, { path })).href).toBe('https://id.example/x?y');
});
