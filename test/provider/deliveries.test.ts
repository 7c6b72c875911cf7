// Messages to relying parties: each arrives once, and none holds up the others.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Keyring } from '../../src/keys/keyring.ts';
import { type Message, saveDeliveries } from '../../src/storage/deliveries.ts';
import { createLog } from '../../src/operations/log.ts';
import { createOutgoing } from '../../src/provider/outgoing.ts';
import { eventually } from '../support/eventually.ts';
import { type TestProvider, startProvider } from '../support/provider.ts';

let provider: TestProvider;
let server: Server;
let received: string[];
let answer: (path: string) => number | 'switch' | 'never';

beforeEach(async () => {
  received = [];
  answer = () => 204;
  server = createServer((request, response) => {
    const path = request.url ?? '';
    received.push(path);
    const status = answer(path);
    if (status === 'never') return;
    if (status === 'switch') {
      request.socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      );
      return;
    }
    response.statusCode = status;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  provider = await startProvider({
    environment: { SYMBOLON_ALLOW_PRIVATE_ADDRESSES: 'true' },
  });
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await provider.close();
});

// The engine that makes logout tokens; here none is made.
const nobody = (): never => {
  throw new Error('no logout is sent');
};
const message = (path: string): Message => ({
  url: `http://localhost:${(server.address() as AddressInfo).port}${path}`,
  headers: { 'content-type': 'text/plain' },
  body: 'news',
});
const save = (messages: Message[], keyring = provider.storage.keyring) =>
  saveDeliveries(provider.storage.prisma, keyring, messages, new Date());
const left = () => provider.storage.prisma.delivery.count();

test('an answer that is none, and one that never comes, hold up nobody', async () => {
  answer = (path) => (path === '/switch' ? 'switch' : path === '/never' ? 'never' : 204);
  await save([message('/switch'), message('/never'), message('/good')]);
  const running = provider.outgoing.start();
  await eventually(async () => {
    expect(await left()).toBe(1);
  });
  await running.stop();
  expect(received.filter((path) => path === '/good')).toHaveLength(1);
});

test.each([400, 401, 403, 404, 410, 422, 301, 307])(
  'a message that is refused with %i is given up',
  async (status) => {
    answer = () => status;
    await save([message('/refused')]);
    const running = provider.outgoing.start();
    await eventually(async () => {
      expect(await left()).toBe(0);
    });
    await running.stop();
    expect(received).toEqual(['/refused']);
  },
);

test.each([408, 429, 500, 502, 503])(
  'one that is answered with %i is sent again',
  async (status) => {
    answer = () => (received.length === 1 ? status : 204);
    await save([message('/later')]);
    const running = provider.outgoing.start();
    await eventually(async () => {
      expect(await left()).toBe(0);
    });
    await running.stop();
    expect(received).toEqual(['/later', '/later']);
  },
);

test('one that this process cannot open takes no other along', async () => {
  await save([message('/sealed elsewhere')], new Keyring(['another secret that is long enough']));
  await save([message('/good')]);
  const running = provider.outgoing.start();
  await eventually(() => {
    expect(received).toEqual(['/good']);
  });
  await running.stop();
  expect(await left()).toBe(1);
});

test('of two processes one sends it, however long the answer takes', async () => {
  await save([message('/slow')]);
  answer = () => 'never';
  const other = createOutgoing({
    config: { allowPrivateAddresses: true },
    storage: provider.storage,
    log: createLog('silent'),
  });
  const running = [provider.outgoing.start(), other.start(nobody)];
  await eventually(async () => {
    const [row] = await provider.storage.prisma.delivery.findMany();
    expect(row?.attempts).toBe(1);
    expect(row?.nextAt.getTime()).toBeGreaterThan(Date.now() + 5_000); // longer than an attempt takes
  });
  await Promise.all(running.map((one) => one.stop()));
  expect(received).toEqual(['/slow']);
});

test.each([
  'http://127.0.0.1/x',
  'http://[::1]/x',
  'http://[::ffff:127.0.0.1]/x',
  'http://0x7f.1/x',
  'http://10.0.0.1/x',
  'http://169.254.169.254/x',
  'http://[fd00::1]/x',
  'http://[100:0:0:1::1]/x',
  'http://localhost/x',
])('%s is a private address', async (url) => {
  const lines: string[] = [];
  const log = createLog('silent');
  log.info = (fields: { reason?: string }) => lines.push(fields.reason ?? '');
  const careful = createOutgoing({
    config: { allowPrivateAddresses: false },
    storage: provider.storage,
    log,
  });
  await save([{ ...message('/'), url }]);
  const running = careful.start(nobody);
  await eventually(() => {
    expect(lines).toEqual([expect.stringContaining('private address')]);
  });
  await running.stop();
});
