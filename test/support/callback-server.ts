// Where a relying party receives people: a page at /callback and one at /, and what came.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CallbackServer {
  readonly origin: string;
  /** The next callback's URL. */
  next(): Promise<URL>;
  close(): Promise<void>;
}

export async function startCallbackServer(): Promise<CallbackServer> {
  const arrived: URL[] = [];
  const waiting: ((url: URL) => void)[] = [];
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '', origin);
    response.setHeader('content-type', 'text/html');
    response.end(
      '<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>Notes</title><main><h1>Welcome to Notes</h1></main>',
    );
    if (url.pathname !== '/callback') return;
    const taker = waiting.shift();
    if (taker) taker(url);
    else arrived.push(url);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    next: () =>
      new Promise((resolve) => {
        const url = arrived.shift();
        if (url) resolve(url);
        else waiting.push(resolve);
      }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  };
}
