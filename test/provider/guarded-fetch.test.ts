// The provider's own requests: where they must not go, nothing is connected to, and nobody can tell what is there.
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type Server as HttpServer, createServer as createHttpServer } from 'node:http';
import { type AddressInfo, type Server, createServer } from 'node:net';
import { SignJWT, generateKeyPair } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { askNameServers, createGuardedFetch, isPublic } from '../../src/provider/guarded-fetch.ts';
import { freePort } from '../support/process.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';

describe('what a client names', () => {
  const redirect = 'https://app.example/callback';
  let provider: TestProvider;
  let open: Server;
  let connections = 0;
  let ports: { open: number; closed: number };

  beforeAll(async () => {
    open = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    open.listen(0, '127.0.0.1');
    await once(open, 'listening');
    ports = { open: (open.address() as AddressInfo).port, closed: await freePort() };
    provider = await startProvider({
      environment: {
        SYMBOLON_REGISTRATION: 'open',
        SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS: 'true',
      },
    });
  });
  afterAll(async () => {
    open.close();
    await provider.close();
  });
  beforeEach(() => {
    connections = 0;
  });

  async function answer(response: Promise<Response>, port: number): Promise<unknown> {
    const { status } = await response;
    const body = await (await response).text();
    // Only the port tells the two apart, and an answer's own random parts.
    return {
      status,
      body: body.replaceAll(String(port), 'PORT').replace(/[\da-f-]{36}/, 'REQUEST'),
    };
  }

  const ask: Record<string, (url: string, port: number) => Promise<unknown>> = {
    'a client id metadata document': (url, port) => {
      const query = { client_id: url, response_type: 'code', redirect_uri: redirect };
      return answer(
        fetch(`${provider.issuer}/authorize?${new URLSearchParams(query).toString()}`, {
          redirect: 'manual',
        }),
        port,
      );
    },
    sector_identifier_uri: (url, port) =>
      answer(
        fetch(`${provider.issuer}/register`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ redirect_uris: [redirect], sector_identifier_uri: url }),
        }),
        port,
      ),
    jwks_uri: async (url, port) => {
      const id = `keys at ${url}`;
      await provider.addClient({
        ...{ ...webClient, client_secret: undefined, client_id: id, jwks_uri: url },
        token_endpoint_auth_method: 'private_key_jwt',
      });
      const { privateKey } = await generateKeyPair('ES256');
      const assertion = await new SignJWT({ jti: id })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(id)
        .setSubject(id)
        .setAudience(provider.issuer)
        .setIssuedAt()
        .setExpirationTime('1 minute')
        .sign(privateKey);
      return answer(
        fetch(`${provider.issuer}/token`, {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'refresh_token',
            refresh_token: 'x',
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: assertion,
          }),
        }),
        port,
      );
    },
  };

  test.each(
    Object.keys(ask).flatMap((what) =>
      ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '0177.0.0.1', '[::ffff:127.0.0.1]'].map(
        (host) => [what, host] as const,
      ),
    ),
  )(
    '%s at %s: an open port is not connected to, and looks like a closed one',
    async (what, host) => {
      const one = (port: number) => ask[what]?.(`https://${host}:${port}/x`, port);
      const [atOpen, atClosed] = [await one(ports.open), await one(ports.closed)];
      expect(atOpen).toEqual(atClosed);
      expect((atOpen as { status: number }).status).toBeGreaterThanOrEqual(400);
      expect(connections).toBe(0);
    },
  );
});

describe('a request', () => {
  let server: HttpServer;
  let port: number;
  let asked: string[];
  let redirects: Record<string, string>;
  const signal = () => AbortSignal.timeout(60_000);

  beforeEach(async () => {
    asked = [];
    redirects = {};
    server = createHttpServer((request, response) => {
      const { url = '', headers } = request;
      asked.push(`${headers.host ?? ''}${url}`);
      const location = redirects[url];
      if (location !== undefined) response.writeHead(302, { location });
      response.end('news');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test('goes to the addresses that were judged: a name is looked up once', async () => {
    const answers = [['127.0.0.1'], ['192.0.2.1']];
    const guarded = createGuardedFetch({
      allows: () => true,
      resolve: () =>
        Promise.resolve((answers.shift() ?? []).map((address) => ({ address, family: 4 }))),
    });
    const answer = await guarded(`http://app.example:${port}/x`, { signal: signal() });
    expect([answer.status, await answer.text()]).toEqual([200, 'news']);
    expect(asked).toEqual([`app.example:${port}/x`]);
    expect(answers).toHaveLength(1);
  });

  test.each([
    [['127.0.0.1']],
    [['93.184.216.34', '127.0.0.1']], // one address of the internet excuses no other
    [['2606:2800:220:1::1', '::1']],
    [['::ffff:127.0.0.1']],
    [['::127.0.0.1']],
    [['64:ff9b::7f00:1']], // NAT64
    [['64:ff9b:1::7f00:1']],
    [['2002:7f00:1::1']], // 6to4
    [['2001:0:7f00:1::1']], // Teredo
    [['169.254.169.254']],
    [['100.64.0.1']],
    [['0.0.0.0']],
    [['224.0.0.1']],
    [['fe80::1']],
    [['fd00::1']],
    [['fec0::1']],
  ])('to a name with the addresses %s is refused', async (addresses) => {
    const guarded = createGuardedFetch({
      allows: isPublic,
      resolve: () => Promise.resolve(addresses.map((address) => ({ address, family: 4 }))),
    });
    await expect(guarded(`http://app.example:${port}/x`, { signal: signal() })).rejects.toThrow(
      'private address',
    );
    expect(asked).toEqual([]);
  });

  test('each redirect is judged; none leaves TLS, none goes on for ever, and one may be the answer', async () => {
    const guarded = createGuardedFetch({ allows: () => true });
    const at = (path: string) => `http://127.0.0.1:${port}${path}`;
    redirects = { '/one': '/two', '/two': at('/three'), '/round': '/round', '/odd': 'ftp://x/y' };
    expect(await (await guarded(at('/one'), { signal: signal() })).text()).toBe('news');
    expect(asked.splice(0).map((url) => url.replace(/.*\//, '/'))).toEqual([
      '/one',
      '/two',
      '/three',
    ]);
    await expect(guarded(at('/round'), { signal: signal() })).rejects.toThrow('too often');
    expect(asked.splice(0)).toHaveLength(4);
    await expect(guarded(at('/odd'), { signal: signal() })).rejects.toThrow('another scheme');
    const itself = await guarded(at('/one'), { signal: signal(), redirect: 'manual' });
    expect([itself.status, itself.headers.get('location')]).toEqual([302, '/two']);
    const post = await guarded(at('/one'), { method: 'POST', body: 'x', signal: signal() });
    expect(post.status).toBe(302);
  });

  test('that is redirected to a private address ends there', async () => {
    // The first host counts as one of the internet: its name is resolved by the test, and pinned to this server.
    redirects = { '/one': `http://inside.example:${port}/two` };
    const looked: string[] = [];
    const guarded = createGuardedFetch({
      allows: (address) => address === '127.0.0.1',
      resolve: (host) => {
        looked.push(host);
        return Promise.resolve([
          { address: host === 'inside.example' ? '127.0.0.2' : '127.0.0.1', family: 4 },
        ]);
      },
    });
    await expect(guarded(`http://app.example:${port}/one`, { signal: signal() })).rejects.toThrow(
      'private address',
    );
    expect(looked).toEqual(['app.example', 'inside.example']);
    expect(asked).toEqual([`app.example:${port}/one`]);
  });

  test('ends in time, though the look-up of its host does not', async () => {
    const guarded = createGuardedFetch({
      allows: () => true,
      resolve: () => new Promise(() => undefined),
    });
    const late = new AbortController();
    const pending = guarded('http://app.example/x', { signal: late.signal });
    late.abort(new Error('took too long'));
    await expect(pending).rejects.toThrow('took too long');
  });

  test('keeps no other look-up of the process waiting, though a name server never answers', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1');
    await once(silent, 'listening');
    let queries = 0;
    const all = new Promise<void>((resolve) => {
      silent.on('message', () => {
        if (++queries === 12) resolve();
      });
    });
    const resolve = askNameServers([`127.0.0.1:${silent.address().port}`]);
    const guarded = createGuardedFetch({ allows: () => true, resolve });
    const late = new AbortController();
    let ended = 0;
    const pending = Array.from({ length: 12 }, (_, number) =>
      guarded(`http://x${number}.slow.test/`, { signal: late.signal }).catch((error: unknown) => {
        ended++;
        return error;
      }),
    );
    await all;
    await lookup('localhost');
    expect(ended).toBe(0); // the name server is still waited for
    late.abort(new Error('took too long'));
    for (const one of await Promise.all(pending)) expect(String(one)).toContain('took too long');
    silent.close();
  });

  test('is read to 256 KiB', async () => {
    const endless = createHttpServer((_request, response) => {
      const write = () => {
        while (response.write(Buffer.alloc(64 * 1024)));
        response.once('drain', write);
      };
      write();
    }).listen(0, '127.0.0.1');
    await once(endless, 'listening');
    const { port: its } = endless.address() as AddressInfo;
    const guarded = createGuardedFetch({ allows: () => true });
    const answer = await guarded(`http://127.0.0.1:${its}/`, { signal: signal() });
    await expect(answer.arrayBuffer()).rejects.toThrow('more than 262144 bytes');
    endless.closeAllConnections();
    endless.close();
  });
});
