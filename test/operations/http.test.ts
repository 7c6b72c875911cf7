import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa, { type Context } from 'koa';
import { expect, test } from 'vitest';
import { endRequests } from '../../src/operations/http.ts';

test('once it is answered, a request holds nothing, whatever holds on to it', async () => {
  const koa = new Koa();
  const oidc: Record<string | symbol, unknown> = { params: {}, [Symbol('cookies')]: {} };
  let kept: Context | undefined;
  koa.use(endRequests(undefined));
  koa.use(async (ctx, next) => {
    kept = ctx;
    Object.defineProperty(ctx, 'oidc', { get: () => oidc }); // as the engine does
    await next();
  });
  koa.use((ctx) => {
    ctx.cookies.set('a', 'b');
    ctx.body = 'answered';
  });
  const handle = koa.callback();
  const server = createServer((request, response) => {
    void handle(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const closed = new Promise((resolve) => {
    server.on('request', (_request, response) => response.once('close', resolve));
  });
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await answer.text()).toBe('answered');
  await closed;
  server.close();

  const held = [kept ?? {}, oidc].flatMap((object) =>
    Reflect.ownKeys(object).filter((key) => Reflect.get(object, key) !== undefined),
  );
  expect(held).toEqual(['oidc']);
});
