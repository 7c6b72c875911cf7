// The ways to a database: each of its hosts, with TLS or without where `sslmode` leaves that open. A connection takes
// the way that worked last; when it fails, the pool tries the next, once around. So a pool finds the new primary after a
// failover, without a restart. A connection to what is no longer the primary is not used again: it is one to another
// host than the last that was connected to, or one that was made before a server did not answer or refused to write.
import { Client, type ClientBase, DatabaseError, Pool, type PoolClient, type PoolConfig } from 'pg';
import { type DatabaseUrl, type Host, hostInWords } from '../config/database-url.ts';
import { type Tls, tlsOf } from './tls.ts';

interface Way extends Host {
  readonly ssl: Tls;
}

type Connected = (error: Error | undefined, client?: PoolClient, done?: () => void) => void;

/** A client of the pool, with what tells whether it is still to be used. */
type Made = PoolClient & { readonly way: number; readonly number: number };

/** A server that answers, but is not what `target_session_attrs` asks for. */
export class WrongServer extends Error {
  override readonly name = 'WrongServer';
}

/** A pool of connections to whichever of a database's hosts will do. */
export class HostPool extends Pool {
  readonly #ways: readonly Way[];
  readonly #mayGoOn = new WeakSet<Error>();
  #current = 0;
  /** The way of the last connection that was made. */
  #working = 0;
  /** How many connections were made. */
  #made = 0;
  /** Connections up to this one are not used again. */
  #distrusted = 0;
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
    const next = (): number => ++this.#made;
    const failed = (index: number, error: Error): void => {
      this.#failed(index, error);
    };
    const judge = (error: unknown): boolean => this.#judge(error);
    const { named = true, ...rest } = options;
    class HostClient extends Client {
      readonly way: number;
      readonly number: number;

      constructor(config: object = {}) {
        const way = current();
        // The pool hides the password from copies. A little before the pool gives it up, a client says that it timed out.
        const given = Object.create(config) as { connectionTimeoutMillis: number };
        const connectionTimeoutMillis = given.connectionTimeoutMillis - 100;
        super(Object.assign(given, ways[way], { connectionTimeoutMillis }));
        this.way = way;
        this.number = next();
        telling(this, (error) => {
          failed(way, error);
        });
        judging(this, judge);
        // Between two queries nobody else listens: whoever has it is told by the next one. Unheard it would end the process.
        this.on('error', () => undefined);
        if (!named) withoutNames(this);
      }
    }
    const prepare = (client: HostClient) =>
      onConnect(client).then(
        () => {
          this.#working = client.way;
        },
        (error: unknown) => {
          failed(client.way, error as Error);
          throw error;
        },
      );
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
    for (let tried = 1; ;) {
      try {
        const client = (await super.connect()) as Made;
        if (this.#isFit(client)) return this.#watched(client);
        client.release(true);
      } catch (error) {
        const { cause } = error as Error; // the pool's own time-out wraps the client's error
        const mayGoOn = [error, cause].some((one) => this.#mayGoOn.has(one as Error));
        if (!mayGoOn || tried++ >= this.#ways.length) throw error;
      }
    }
  }

  /** Looks again at a connection when it is given back: also when whoever used it says nothing of an error. */
  #watched(client: Made): Made {
    const release = client.release.bind(client);
    client.release = (error) => {
      if (error instanceof Error) this.#judge(error);
      // A transaction that is still open would be committed by whoever gets the connection next.
      const isIdle = client.getTransactionStatus() === 'I';
      release(error ?? (!isIdle || !this.#isFit(client)));
    };
    return client;
  }

  #isFit({ way, number }: Made): boolean {
    return number > this.#distrusted && this.#isSameHost(way, this.#working);
  }

  /** @returns whether the server does not answer on the connection of this error */
  #judge(error: unknown): boolean {
    const isSilent = (error as Error).message === 'Query read timeout';
    const isReadOnly = error instanceof DatabaseError && error.code === '25006';
    if (isSilent || isReadOnly) this.#distrusted = this.#made;
    return isSilent;
  }

  #isSameHost(one: number, other: number): boolean {
    return hostInWords(this.#ways[one] as Way) === hostInWords(this.#ways[other] as Way);
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
    const isSameHost = (other: number) => this.#isSameHost(other, index);
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

// What waits for the answer of a server that is silent has been told so. A transaction's ROLLBACK need not wait as long
// again behind it: the connection ends, which rolls back as well.
function judging(client: Client, isSilent: (error: unknown) => boolean): void {
  const query = client.query.bind(client) as (...of: unknown[]) => unknown;
  client.query = ((...of: unknown[]) => {
    const answer = query(...of);
    if (answer instanceof Promise)
      answer.catch((error: unknown) => {
        if (isSilent(error)) void client.end();
      });
    return answer;
  }) as typeof client.query;
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
