// The ports that the provider listens on: one for everybody, and one that asks for client certificates (RFC 8705 §5).
// Invariant: a connection that somebody may use again is not closed without having been told.
import { readFileSync } from 'node:fs';
import {
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
  createServer,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { type Handle, answerMalformed, continueUnlessTooLarge } from './refused.ts';
import type { Config } from '../config/config.ts';

const GRACE = 10_000; // milliseconds for requests in flight to finish, at a stop
const SEARCH = 1_000; // milliseconds in which a quiet instant is looked for
const QUIET = 0.1; // milliseconds that a turn of the event loop takes when nothing happens
const BEYOND = 5_000; // milliseconds by which the headers' timeout is above that of an idle connection
const WHOLE = 300_000; // milliseconds for a whole request, at least: Node's default

// RFC 9325 §4.2: forward secrecy and authenticated encryption only. With TLS 1.3 all suites are so.
const SUITES = ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'];
const ciphers = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...SUITES.flatMap((suite) => [`ECDHE-ECDSA-${suite}`, `ECDHE-RSA-${suite}`]),
].join(':');

export interface Listeners {
  /** @throws {Error} when a port is taken, with its number */
  listen(handle: Handle): Promise<void>;
  /**
   * Goes on listening for the moment of the settings, so that whoever has pooled a connection can be told by an answer
   * (`Connection: close`) that it ends; then takes no more connections, and waits for requests in flight, ten seconds
   * at most.
   */
  leave(): Promise<void>;
  /** Ends every connection now, and with it the requests in flight. */
  cut(): void;
}

export type ListenerSettings = Pick<Config, 'port' | 'host' | 'tls' | 'keepAlive' | 'stopDelay'>;

/** Nothing listens yet. @throws {Error} when a certificate's file cannot be read */
export function createListeners(config: ListenerSettings): Listeners {
  const listeners = serversOf(config);
  const servers = listeners.map(({ server }) => server);
  return {
    async listen(handle) {
      for (const { server, port } of listeners) {
        server.on('request', (request: IncomingMessage, response: ServerResponse) => {
          void handle(request, response);
        });
        server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
          continueUnlessTooLarge(request, response);
          void handle(request, response);
        });
        server.on('clientError', answerMalformed(handle));
        await listen(server, port, config.host, 'PORT');
      }
    },
    async leave() {
      await rehearseClose();
      await pause(config.stopDelay * 1000);
      await Promise.all(servers.map(close));
    },
    cut() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

/** A balancer must be the one that closes an idle connection, or its next request meets a closed one. */
export function timeouts(keepAlive: number): ServerOptions {
  const headersTimeout = Math.max(60_000, keepAlive * 1000 + BEYOND);
  return {
    requireHostHeader: false, // it is answered like other mistakes
    keepAliveTimeout: keepAlive * 1000,
    headersTimeout,
    requestTimeout: Math.max(WHOLE, headersTimeout),
  };
}

function serversOf({ port, tls, keepAlive }: ListenerSettings): { server: Server; port: number }[] {
  if (!tls) return [{ server: createServer(timeouts(keepAlive)), port }];
  const own = {
    ...timeouts(keepAlive),
    minVersion: 'TLSv1.2',
    ciphers,
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
  } as const;
  const servers = [{ server: createTlsServer(own), port }];
  if (tls.mtlsPort !== undefined) {
    // A certificate that no authority has signed may still be registered by a client.
    const asking = {
      ...own,
      requestCert: true,
      rejectUnauthorized: false,
      ca: tls.clientCa === undefined ? [] : readFileSync(tls.clientCa),
    };
    servers.push({ server: createTlsServer(asking), port: tls.mtlsPort });
  }
  return servers;
}

/** @param variable the setting of the port, for the error when it is taken */
export function listen(
  server: Server,
  port: number,
  host: string,
  variable: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken
          ? new Error(
              `Port ${port} on ${host} is in use. Stop what listens there, or set ${variable}.`,
            )
          : error,
      );
    });
    server.listen({ port, host }, resolve);
  });
}

/**
 * Closing resets connections that the system has taken and Node has not, and those whose next request was not read yet.
 * Right after a turn of the event loop in which nothing happened, there are none. The system seldom interrupts a process
 * that has just slept.
 */
async function quietInstant(server: Server): Promise<void> {
  let connections = 0;
  const count = () => connections++;
  server.on('connection', count);
  for (const deadline = performance.now() + SEARCH; performance.now() < deadline;) {
    await pause(1);
    await nextTurn();
    const [before, began] = [connections, performance.now()];
    await nextTurn();
    if (connections === before && performance.now() - began < QUIET) break;
  }
  server.off('connection', count);
}

/** Code that never ran takes twenty-five times as long to close a listener: half a millisecond, in which many connect. */
async function rehearseClose(): Promise<void> {
  const server = createServer();
  await listen(server, 0, '127.0.0.1', 'PORT');
  await close(server);
}

/** Takes no more connections, and waits for requests in flight, ten seconds at most. */
export async function close(server: Server): Promise<void> {
  await quietInstant(server);
  const closed = new Promise<void>((resolve) =>
    server.close(() => {
      resolve();
    }),
  );
  const impatience = setTimeout(() => {
    server.closeAllConnections();
  }, GRACE);
  await closed;
  clearTimeout(impatience);
}
