// Requests that are refused before anybody looks at them: what is no HTTP, headers and bodies that are too large.
// Invariants: no more of a body is read than its path allows; whoever is refused gets the answer before the connection
// ends (RFC 9112 §9.6).
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Context, Next } from 'koa';

/** Bytes of a body, of what is no upload. The engine reads 56 KB. */
const LARGEST_BODY = 64 * 1024;
/** Bytes of a body on any path. */
export const LARGEST_UPLOAD = 16 * 1024 * 1024;

const LINGER = 2_000; // milliseconds in which the client may take the answer
const DISCARDED = 1024 * 1024; // bytes that are read meanwhile, for clients that send all before they read

/** Why a request is refused, by its status. */
const words: Record<number, string> = {
  400: 'the request is not HTTP as it should be',
  408: 'the request took too long to arrive',
  413: 'the body of the request is too large',
  431: 'the headers of the request are too large',
};

/** A request that nobody has looked at. */
export class Refused extends Error {
  readonly status: number;
  readonly expose = true;

  /** @param status 400, 408, 413 or 431 */
  constructor(status: number) {
    super(words[status] ?? words[400]);
    this.status = status;
  }
}

/** Answers a request, like `koa.callback()`. */
export type Handle = (request: IncomingMessage, response: ServerResponse) => unknown;

const malformed = new WeakMap<IncomingMessage, number>();

/**
 * Middleware that refuses what is no HTTP, and bodies that say that they are too large.
 *
 * @param uploads the paths that take uploads
 * @throws {Refused}
 */
export function refuseAtOnce(uploads: readonly string[]) {
  return (ctx: Context, next: Next) => {
    const status = statusOf(ctx);
    if (status === undefined) return next();
    ctx.res.shouldKeepAlive = false;
    throw new Refused(status);
  };

  function statusOf({ req, path }: Context): number | undefined {
    const status = malformed.get(req);
    if (status !== undefined) return status;
    // RFC 9112 §3.2
    if (req.httpVersion === '1.1' && !namesHost(req)) return 400;
    const largest = uploads.includes(path) ? LARGEST_UPLOAD : LARGEST_BODY;
    return declaredLength(req) > largest ? 413 : undefined;
  }
}

// As it came: the headers have the issuer's host by now.
function namesHost({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
}

/** Middleware that ends the connection of a request whose body was not read to its end. */
export async function leaveUnread({ req, res }: Context, next: Next): Promise<void> {
  try {
    await next();
  } finally {
    const isShort = declaredLength(req) <= LARGEST_BODY && !req.headers['transfer-encoding'];
    if (!req.complete && !isShort) {
      res.shouldKeepAlive = false;
      lingerAfterAnswer(req);
    }
  }
}

/** The server's `checkContinue`: who announces too large a body is not told to send it (RFC 9110 §10.1.1). */
export function continueUnlessTooLarge(request: IncomingMessage, response: ServerResponse): void {
  if (declaredLength(request) <= LARGEST_UPLOAD) response.writeContinue();
}

function declaredLength(request: IncomingMessage): number {
  return Number(request.headers['content-length'] ?? 0);
}

/** Closing a connection with unread bytes resets it, and the client may lose the answer. So it is closed in two steps. */
function lingerAfterAnswer(request: IncomingMessage): void {
  const { socket } = request;
  let discarded = 0;
  request.on('data', (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > DISCARDED) request.pause();
  });
  socket.destroySoon = () => {
    linger(socket);
  };
}

function linger(socket: Duplex): void {
  socket.end();
  const timer = setTimeout(() => socket.destroy(), LINGER).unref();
  socket.once('close', () => {
    clearTimeout(timer);
  });
}

const statuses: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** The server's `clientError`: answers as other requests are answered, with a page or with JSON. */
export function answerMalformed(handle: Handle) {
  const answered = new WeakSet<Duplex>();
  return (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Duplex): void => {
    if (answered.has(socket)) return; // more of the same
    answered.add(socket);
    const isAnswering = (socket as { _httpMessage?: unknown })._httpMessage != null;
    if (!(socket instanceof Socket) || !socket.writable || isAnswering) {
      socket.destroy();
      return;
    }
    const request = new IncomingMessage(socket);
    Object.assign(request, { method: 'GET', url: '/', httpVersion: '1.0', complete: true });
    for (const name of ['accept', 'accept-language']) {
      const sent = new RegExp(`^${name}:([^\\r\\n]*)`, 'im').exec(String(error.rawPacket))?.[1];
      if (sent !== undefined) request.headers[name] = sent.trim();
    }
    malformed.set(request, statuses[error.code ?? ''] ?? 400);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => {
      response.detachSocket(socket);
      linger(socket);
    });
    void handle(request, response);
  };
}
