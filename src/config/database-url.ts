// The URL of a PostgreSQL as libpq reads it (PostgreSQL's documentation, "Connection URIs"): several hosts, each with a
// port, and parameters that may also replace every other part. It is read, and judged, before anything connects.

/** A server, or the folder of its Unix socket. Without a host it is `localhost`, without a port 5432. */
export interface Host {
  readonly host: string | undefined;
  readonly port: number | undefined;
}

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof sslModes)[number];

/** What a server must be. The others that libpq knows are of no use to a provider, which writes. */
const sessionAttributes = ['any', 'read-write', 'primary'] as const;
export type SessionAttributes = (typeof sessionAttributes)[number];

export interface DatabaseUrl {
  readonly hosts: readonly [Host, ...Host[]];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly sslMode: SslMode;
  readonly sessionAttributes: SessionAttributes;
  /** Prisma's parameter: the schema of the tables. */
  readonly schema: string | undefined;
  /** Seconds to wait for a host. */
  readonly connectTimeout: number | undefined;
  /** All parameters, as they were given. */
  readonly parameters: ReadonlyMap<string, string>;
}

const SHAPE = /^postgres(?:ql)?:\/\/(?:(.*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s;

/**
 * Reads a URL.
 *
 * @throws {Error} when it is no such URL, or a parameter has a value that cannot be used; the message, which never has the
 * password, says what is wanted: the end of the sentence "it wants …"
 */
export function parseDatabaseUrl(url: string): DatabaseUrl {
  const match = SHAPE.exec(url);
  if (!match) throw new Error('a URL like `postgresql://user:password@host:5432/database`');
  const [, credentials = '', authority = '', path = '', query = ''] = match;
  const parameters = new Map(new URLSearchParams(query.replaceAll('+', '%2B')));
  const [user, password] = split(credentials, credentials.indexOf(':'));
  const names = listed(parameters.get('host'));
  const ports = listed(parameters.get('port'));
  const written = authority === '' ? [] : authority.split(',').map(readHost);
  const hosts = (names.length > 0 ? names : written.length > 0 ? written : ['']).map(
    (entry, index) => {
      const host = typeof entry === 'string' ? { host: entry || undefined, port: '' } : entry;
      return { host: host.host, port: portOf(ports[index] ?? ports[0] ?? host.port) };
    },
  );
  const several = hosts.length > 1;
  return {
    hosts: hosts as [Host, ...Host[]],
    user: parameters.get('user') ?? decoded(user),
    password: parameters.get('password') ?? decoded(password),
    database: parameters.get('dbname') ?? decoded(path),
    sslMode: sslModeOf(parameters),
    sessionAttributes: oneOf(
      'target_session_attrs',
      sessionAttributes,
      parameters.get('target_session_attrs') ?? (several ? 'read-write' : 'any'),
    ),
    schema: parameters.get('schema') || undefined,
    connectTimeout: secondsOf(parameters.get('connect_timeout')),
    parameters,
  };
}

/** A URL with a password, which may have any characters. */
export function withPassword(url: string, password: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}password=${encodeURIComponent(password)}`;
}

/** Hosts in words, without credentials, for messages. */
export function hostsInWords({ hosts }: Pick<DatabaseUrl, 'hosts'>): string {
  return hosts.map(hostInWords).join(', ');
}

export function hostInWords({ host = 'localhost', port = 5432 }: Host): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function readHost(text: string): { host: string | undefined; port: string } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d*))?$/.exec(text);
  if (!match) throw new Error('hosts like `host:5432` or `[::1]:5432`, separated by commas');
  return { host: decoded(match[1] ?? match[2]), port: match[3] ?? '' };
}

function portOf(text: string): number | undefined {
  if (text === '') return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new Error('a port from 1 to 65535 for each of its hosts');
  return port;
}

function sslModeOf(parameters: ReadonlyMap<string, string>): SslMode {
  const given = parameters.get('sslmode');
  // node-postgres' own words, which many URLs have.
  if (given === undefined && /^(true|1)$/.test(parameters.get('ssl') ?? '')) return 'verify-full';
  if (given === 'no-verify') return 'require';
  const system = parameters.get('sslrootcert') === 'system';
  const mode = oneOf('sslmode', sslModes, given ?? (system ? 'verify-full' : 'prefer'));
  if (system && mode !== 'verify-full')
    throw new Error('`sslmode=verify-full` with `sslrootcert=system`');
  if (mode === 'verify-ca' && !parameters.get('sslrootcert'))
    throw new Error(
      '`sslrootcert=FILE` with `sslmode=verify-ca`, or `sslmode=verify-full`: any host can have a certificate of a public authority',
    );
  return mode;
}

function oneOf<const Name extends string>(
  parameter: string,
  names: readonly Name[],
  given: string,
): Name {
  const found = names.find((name) => name === given);
  if (found === undefined)
    throw new Error(`${names.map((name) => `\`${name}\``).join(', ')} for its ${parameter}`);
  return found;
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,4}$/.test(text)) throw new Error('a number of seconds for its connect_timeout');
  // As libpq does; 0 would be for ever.
  return text === '0' ? undefined : Math.max(2, Number(text));
}

function listed(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split(',');
}

function split(text: string, at: number): [string | undefined, string | undefined] {
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

// A lone % is taken as it is, as node-postgres does.
function decoded(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
