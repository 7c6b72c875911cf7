// The operations listener: what only the machine, its supervisor and its operators ask. It opens before anything else,
// so that a long start is seen, and closes after everything else.
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { Config } from '../config/config.ts';
import { type Health, statusCode } from './health.ts';
import { close, listen, timeouts } from './listeners.ts';

/** What is answered at a path. @param url with what was asked for */
type Answer = (
  url: URL,
  request: IncomingMessage,
) => Promise<{ readonly status: number; readonly type: string; readonly body: string }>;

export interface Operations {
  /** @throws {Error} when the port is taken, with its number */
  listen(): Promise<void>;
  /** The process has started: its health decides from now on. */
  started(health: Health): void;
  close(): Promise<void>;
  /** Ends every connection now. */
  cut(): void;
}

/** Without a port, nothing listens. */
export function createOperations({
  operations: { port, host },
  keepAlive,
}: Pick<Config, 'operations' | 'keepAlive'>): Operations {
  let health: Health = () => Promise.resolve({ status: 'starting' });
  const answers: Readonly<Record<string, Answer>> = {
    // Whatever is wrong elsewhere, a process that answers needs no restart.
    '/livez': () => Promise.resolve(json(200, { status: 'live' })),
    async '/readyz'(url, { headers }) {
      const { checks, status } = await health();
      const isWanted = url.searchParams.has('verbose') || wantsJson(headers.accept);
      return json(statusCode(status), { status, ...(isWanted && checks ? { checks } : {}) });
    },
  };
  const server = createServer(timeouts(keepAlive), (request, response) => {
    void answer(request, response);
  });
  return {
    async listen() {
      if (port !== undefined) await listen(server, port, host, 'SYMBOLON_OPERATIONS_PORT');
    },
    started(now) {
      health = now;
    },
    async close() {
      if (server.listening) await close(server);
    },
    cut() {
      server.close();
      server.closeAllConnections();
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.parse(request.url ?? '', 'http://localhost');
    const find = url && Object.hasOwn(answers, url.pathname) ? answers[url.pathname] : undefined;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!url || !find) response.writeHead(404).end();
    else if (!isRead) response.writeHead(405, { allow: 'GET, HEAD' }).end();
    else {
      const { status, type, body } = await find(url, request);
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    }
  }
}

const json = (status: number, body: object) => ({
  status,
  type: 'application/json',
  body: JSON.stringify(body),
});

/** Asked for by name: who takes anything, as most probes do, gets the short answer. */
const wantsJson = (accept = ''): boolean => /\bapplication\/json\b/i.test(accept);
