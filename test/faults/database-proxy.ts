// Stands between a provider and PostgreSQL, and breaks the connection where a test wants it: before a COMMIT has
// reached the server, after it was carried out and before its answer is back, or altogether.
import { once } from 'node:events';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { freePort } from '../support/process.ts';

/** On which side of the COMMIT the connection is held. */
export type Moment = 'before' | 'after';

export interface DatabaseProxy {
  /** The database, through the proxy. */
  readonly url: string;
  /** Holds the next COMMIT. @returns once one is held: what breaks its connection */
  holdCommit(moment: Moment): Promise<() => void>;
  /** No connection is taken any more, and those that are there break. */
  refuse(): Promise<void>;
  /** Nothing comes through any more, and nobody is told. */
  swallow(): void;
  /** All is well again; connections that were swallowed break. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const upstream = new URL(databaseUrl);
  const port = await freePort();
  const sockets = new Set<Socket>();
  let armed: { moment: Moment; held: (cut: () => void) => void } | undefined;
  let swallowing = false;
  let server: Server | undefined;

  const carry = (client: Socket): void => {
    const target = connect(Number(upstream.port), upstream.hostname);
    let holding = false;
    const cut = () => {
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', cut).on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on('data', (chunk) => {
      if (swallowing) return;
      // The statement that rotates and issues is a transaction by itself.
      if (armed && (chunk.includes('COMMIT') || chunk.includes('rotate_and_issue'))) {
        const { moment, held } = armed;
        if (moment === 'before') {
          armed = undefined;
          held(cut);
          return;
        }
        holding = true;
      }
      target.write(chunk);
    });
    target.on('data', (chunk) => {
      if (swallowing) return;
      if (holding) {
        armed?.held(cut); // the server has answered: it has committed
        armed = undefined;
        return;
      }
      client.write(chunk);
    });
  };

  const listen = async (): Promise<void> => {
    server = createServer(carry).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const close = async (): Promise<void> => {
    const closed = server?.listening ? once(server, 'close') : undefined;
    server?.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };

  await listen();
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  return {
    url: url.href,
    holdCommit: (moment) =>
      new Promise((held) => {
        armed = { moment, held };
      }),
    refuse: close,
    swallow() {
      swallowing = true;
    },
    async mend() {
      if (swallowing) for (const socket of sockets) socket.destroy();
      swallowing = false;
      if (!server?.listening) await listen();
    },
    close,
  };
}
