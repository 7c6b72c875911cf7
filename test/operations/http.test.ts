import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import Koa, { type Context, type Middleware } from 'koa';
import { expect, onTestFinished, test } from 'vitest';
import { endRequests } from '../../src/operations/http.ts';

test('once it is answered, a request holds nothing, whatever holds on to it', async () => {
  const oidc: Record<string | symbol, unknown> = { params: {}, [Symbol('cookies')]: {} };
  let kept: Context | undefined;
  const { url, closed } = await serve(undefined, (ctx) => {
    kept = ctx;
    Object.defineProperty(ctx, 'oidc', { get: () => oidc }); // as the engine does
    ctx.cookies.set('a', 'b');
    ctx.body = 'answered';
  });
  expect(await (await fetch(url)).text()).toBe('answered');
  await closed;

  const held = [kept ?? {}, oidc].flatMap((object) =>
    Reflect.ownKeys(object).filter((key) => Reflect.get(object, key) !== undefined),
  );
  expect(held).toEqual(['oidc']);
});

test('who hangs up in the middle of an answer harms nobody', async () => {
  const { url, closed } = await serve(undefined, (ctx) => {
    Object.defineProperty(ctx, 'oidc', { get: () => ({}) });
    ctx.body = Readable.from(endless());
  });
  const request = get(url, (answer) => {
    answer.once('data', () => request.destroy());
    answer.on('error', () => undefined);
  });
  request.on('error', () => undefined);
  await closed;
  expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
});

test('once it stops, every answer ends its connection', async () => {
  const stopping = new AbortController();
  const { url } = await serve(stopping.signal, (ctx) => {
    if (ctx.path === '/stops') stopping.abort();
    if (ctx.path !== '/direct') {
      ctx.body = 'answered';
      return;
    }
    ctx.respond = false;
    ctx.res.writeHead(200, { 'content-length': '0' }).end();
  });
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    agent.destroy();
  });
  const connection = async (path: string) => {
    const request = get(`${url}${path}`, { agent });
    const [answer] = (await once(request, 'response')) as [Readable & { headers: object }];
    await answer.resume().toArray();
    return (answer.headers as { connection?: string }).connection;
  };
  expect(await connection('/')).toBe('keep-alive');
  expect(await connection('/stops')).toBe('close');
  expect(await connection('/direct')).toBe('close');
});

/** Serves with one middleware. `closed`: once the first answer is, whole or not. */
async function serve(stopping: AbortSignal | undefined, middleware: Middleware) {
  const koa = new Koa();
  koa.silent = true;
  koa.use(endRequests(stopping));
  koa.use(middleware);
  const handle = koa.callback();
  const server = createServer();
  const closed = new Promise((resolve) => {
    server.on('request', (request, response) => {
      response.once('close', resolve);
      void handle(request, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, closed };
}

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(65_536);
}
