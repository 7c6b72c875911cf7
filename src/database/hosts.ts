// The ways to a database: each of its hosts, with TLS or without where `sslmode` leaves that open. A connection takes
// the way that worked last; when it fails, the pool tries the next, once around. So a pool finds the new primary after a
// failover, without a restart.
import { Client, type ClientBase, DatabaseError, Pool, type PoolClient, type PoolConfig } from 'pg';
import { type DatabaseUrl, type Host, hostInWords } from '../config/database-url.ts';
import { type Tls, tlsOf } from './tls.ts';

interface Way extends Host {
  readonly ssl: Tls;
}

type Connected = (error: Error | undefined, client?: PoolClient, done?: () => void) => void;

/** A server that answers, but is not what `target_session_attrs` asks for. */
export class WrongServer extends Error {
  override readonly name = 'WrongServer';
}

/** A pool of connections to whichever of a database's hosts will do. */
export class HostPool extends Pool {
  readonly #ways: readonly Way[];
  readonly #mayGoOn = new WeakSet<Error>();
  #current = 0;
  /** Why each host failed last, by its name. */
  readonly failures = new Map<string, Error>();

  /** @param onConnect prepares a connection; what it throws counts as the host's failure */
  constructor(
    url: DatabaseUrl,
    options: PoolConfig & { readonly named?: boolean },
    onConnect: (client: ClientBase) => Promise<void>,
  ) {
    const ways = waysTo(url);
    const current = (): number => this.#current;
    const failed = (index: number, error: Error): void => {
      this.#failed(index, error);
    };
    const { named = true, ...rest } = options;
    class HostClient extends Client {
      readonly way: number;

      constructor(config: object = {}) {
        const way = current();
        // The pool hides the password from copies. A little before the pool gives it up, a client says that it timed out.
        const given = Object.create(config) as { connectionTimeoutMillis: number };
        const connectionTimeoutMillis = given.connectionTimeoutMillis - 100;
        super(Object.assign(given, ways[way], { connectionTimeoutMillis }));
        this.way = way;
        telling(this, (error) => {
          failed(way, error);
        });
        if (!named) withoutNames(this);
      }
    }
    const prepare = (client: HostClient) =>
      onConnect(client).catch((error: unknown) => {
        failed(client.way, error as Error);
        throw error;
      });
    super({
      ...rest,
      Client: HostClient,
      // The pool awaits it, although its types do not say so.
      onConnect: prepare as unknown as PoolConfig['onConnect'],
    });
    this.#ways = ways;
    // An idle connection that breaks is replaced; on a used one the query reports it.
    this.on('error', () => undefined);
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: (...of: never[]) => void): void;
  override connect(callback?: unknown): Promise<PoolClient> | undefined {
    const connected = this.#connect();
    if (!callback) return connected;
    const report = callback as Connected;
    connected.then(
      (client) => {
        report(undefined, client, client.release.bind(client));
      },
      (error: unknown) => {
        report(error as Error, undefined, () => undefined);
      },
    );
    return undefined;
  }

  async #connect(): Promise<PoolClient> {
    for (let tried = 1; ; tried++) {
      try {
        return await super.connect();
      } catch (error) {
        const { cause } = error as Error; // the pool's own time-out wraps the client's error
        const mayGoOn = [error, cause].some((one) => this.#mayGoOn.has(one as Error));
        if (!mayGoOn || tried >= this.#ways.length) throw error;
      }
    }
  }

  #failed(index: number, error: Error): void {
    const way = this.#ways[index] as Way;
    this.failures.set(hostInWords(way), error);
    const next = this.#after(index, error);
    if (next === undefined) return;
    this.#mayGoOn.add(error);
    if (this.#current === index) this.#current = next;
  }

  /** The way to try after this one failed; undefined when no other would help. */
  #after(index: number, error: Error): number | undefined {
    const isSameHost = (other: number) =>
      hostInWords(this.#ways[other] as Way) === hostInWords(this.#ways[index] as Way);
    const around = this.#ways.map((_, step) => (index + step + 1) % this.#ways.length);
    const following = around[0] as number;
    if (following > index && isSameHost(following) && isAboutTls(error)) return following;
    if (isAboutLogin(error)) return undefined;
    return around.find((other) => !isSameHost(other));
  }
}

function waysTo(url: DatabaseUrl): Way[] {
  const tls = tlsOf(url);
  return url.hosts.flatMap((host) =>
    // There is no TLS on a Unix socket, whatever the mode.
    (host.host?.startsWith('/') ? [false as const] : tls).map((ssl) => ({ ...host, ssl })),
  );
}

// TLS failed or is not offered; or pg_hba.conf wants the other kind of connection (28000).
function isAboutTls(error: Error): boolean {
  const { code = '' } = error as { code?: string };
  if (error instanceof DatabaseError) return code === '28000';
  return /SSL|TLS|CERT|ECONNRESET|EPROTO/.test(`${code} ${error.message}`);
}

// Another host would say the same: wrong name or password, no such database.
function isAboutLogin(error: Error): boolean {
  return error instanceof DatabaseError && /^(28|3D|42)/.test(error.code ?? '');
}

// The pool connects with a callback.
function telling(client: Client, failed: (error: Error) => void): void {
  type Report = (error: Error | null, connected?: Client) => void;
  const connect = client.connect.bind(client) as (report: Report) => void;
  client.connect = ((report: Report) => {
    connect((error, connected) => {
      if (error) failed(error);
      report(error, connected);
    });
  }) as typeof client.connect;
}

// A pooler that does not keep prepared statements: each is parsed where it runs.
function withoutNames(client: Client): void {
  const query = client.query.bind(client) as (config: unknown, ...more: unknown[]) => unknown;
  client.query = ((config: unknown, ...more: unknown[]) =>
    query(
      typeof config === 'object' && config !== null && 'name' in config
        ? { ...config, name: undefined }
        : config,
      ...more,
    )) as typeof client.query;
}
