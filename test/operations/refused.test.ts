// What is refused before anybody looks at it - bodies and headers that are too large, what is no HTTP - and methods that
// a path is not there for. A real process, and what a client sees on its connection.
import { type Socket, connect as dial } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';

const MEGABYTE = Buffer.alloc(1024 * 1024, 'a');
const SENT = 300; // megabytes
const KERNEL = 32; // megabytes at most that the system keeps for both ends of a connection

let database: TestDatabase;
let provider: ProviderProcess;

beforeAll(async () => {
  database = await createDatabase();
  provider = await startProcess({
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_REGISTRATION: 'open',
    SYMBOLON_ENABLE_CIBA: 'true',
    SYMBOLON_SIGN_UP: 'open',
  });
});
afterAll(async () => {
  await provider.end();
  await database.drop();
});

describe('a body of 300 MB', () => {
  const form = 'application/x-www-form-urlencoded';
  const targets = [
    ['POST', '/token', form],
    ['POST', '/introspect', form],
    ['POST', '/userinfo', form],
    ['POST', '/register', 'application/json'],
    ['POST', '/authorize', form],
    ['POST', '/device', form],
    ['POST', '/sign-up', form],
    ['POST', '/reset', form],
    ['POST', '/account/picture', 'multipart/form-data; boundary=a'],
    ['PUT', '/register/somebody', 'application/json'],
    ['GET', '/jwks', 'text/plain'],
    ['GET', '/', 'text/plain'],
    ['DELETE', '/nothing', 'text/plain'],
  ] as const;

  test.each(targets)('%s %s: 413, and nothing of it is awaited', async (method, path, type) => {
    const length = `Content-Length: ${SENT * MEGABYTE.length}`;
    const { answer, taken } = await flood(
      `${method} ${path} HTTP/1.1`,
      [length, `Content-Type: ${type}`],
      (chunk) => chunk,
    );
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toMatch(/^Connection: close\r$/im);
    expect(taken).toBeLessThan(KERNEL);
  });

  test.each(targets)('%s %s in chunks: reading stops', async (method, path, type) => {
    const headers = ['Transfer-Encoding: chunked', `Content-Type: ${type}`];
    const { answer, taken } = await flood(`${method} ${path} HTTP/1.1`, headers, (chunk) =>
      Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
    );
    expect(answer).toMatch(/^HTTP\/1.1 [2-4]\d\d /);
    expect(answer).toMatch(/^Connection: close\r$/im);
    expect(taken).toBeLessThan(KERNEL);
    if (path === '/token') expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  test('who asks before sending (Expect: 100-continue) is refused without being told to go on', async () => {
    const socket = open();
    socket.write(
      `POST /token HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${SENT * MEGABYTE.length}\r\n\r\n`,
    );
    expect(await whole(socket)).toMatch(/^HTTP\/1.1 413 /);
  });
});

describe('what is no request', () => {
  const cookies = `Cookie: ${'a'.repeat(20_000)}`;
  test.each([
    [
      'headers over 16 KB',
      `GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept-Language: de\r\n${cookies}\r\n\r\n`,
      431,
    ],
    ['a malformed request line', 'GET\r\n\r\n', 400],
    ['a malformed header', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n', 400],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
    ],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ])('%s', async (_what, text, status) => {
    const socket = open();
    socket.write(text);
    const answer = await whole(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toMatch(/^Connection: close\r$/im);
    if (status === 431) {
      expect(answer).toContain('<html lang="de"');
      expect(answer).toContain('Löschen Sie die Cookies');
    } else expect(answer).toContain('"error":"invalid_request"');
  });
});

describe('a wrong method', () => {
  test.each([
    ['DELETE', '/token', 'POST'],
    ['GET', '/token', 'POST'],
    ['GET', '/introspect', 'POST'],
    ['GET', '/revoke', 'POST'],
    ['GET', '/par', 'POST'],
    ['GET', '/register', 'POST'],
    ['POST', '/register/somebody', 'GET, HEAD, PUT, DELETE'],
    ['GET', '/backchannel_authentication', 'POST'],
    ['GET', '/device_authorization', 'POST'],
    ['DELETE', '/userinfo', 'GET, HEAD, POST'],
    ['PUT', '/authorize', 'GET, HEAD, POST'],
    ['PUT', '/logout', 'GET, HEAD, POST'],
    ['GET', '/logout/confirm', 'POST'],
    ['POST', '/jwks', 'GET, HEAD'],
    ['POST', '/.well-known/openid-configuration', 'GET, HEAD'],
    ['PUT', '/device', 'GET, HEAD, POST'],
    ['POST', '/', 'GET, HEAD'],
    ['DELETE', '/sign-up', 'GET, HEAD, POST'],
    ['POST', '/account/history', 'GET, HEAD'],
    ['POST', '/readyz', 'GET, HEAD'],
    ['POST', '/health/ready', 'GET, HEAD'],
    ['PROPFIND', '/token', 'POST'],
  ])('%s %s', async (method, path, methods) => {
    const url = provider.url + path;
    const answer = await fetch(url, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(`${methods}, OPTIONS`);
    const options = await fetch(url, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, `${methods}, OPTIONS`]);
    const page = await fetch(url, { method, headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([
      405,
      'text/html; charset=utf-8',
    ]);
  });

  test('HEAD is there where GET is; what is nowhere is 404', async () => {
    const status = async (method: string, path: string) =>
      (await fetch(provider.url + path, { method })).status;
    expect(await status('HEAD', '/jwks')).toBe(200);
    expect(await status('HEAD', '/')).toBe(200);
    for (const method of ['GET', 'POST', 'OPTIONS'])
      expect(await status(method, '/nothing')).toBe(404);
  });
});

function open(): Socket {
  const socket = dial(Number(new URL(provider.url).port), 'localhost');
  socket.on('error', () => undefined);
  return socket;
}

/** What the server says until it ends the connection. */
async function whole(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

/** Sends on and on, until it is all gone or nobody takes it. @returns the answer, and how many megabytes were taken */
async function flood(
  request: string,
  headers: readonly string[],
  frame: (chunk: Buffer) => Buffer,
) {
  const socket = open();
  const answered = whole(socket);
  socket.write(`${[request, 'Host: a', 'Accept: */*', ...headers].join('\r\n')}\r\n\r\n`);
  for (let sent = 0; sent < SENT && !socket.destroyed; sent++)
    if (!socket.write(frame(MEGABYTE)))
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), answered]);
  const answer = await answered;
  return { answer, taken: (socket.bytesWritten - socket.writableLength) / MEGABYTE.length };
}
