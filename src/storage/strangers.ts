// Clients that nobody here vouches for: those that registered themselves (RFC 7591) and those whose id is the URL of
// their metadata. Nobody has checked what such a client says of itself: only where it redirects to is a fact.
import { plainName, shortened } from '../names.ts';

/** What a client is judged by, under the names of client metadata. */
export interface Registered {
  readonly client_id: string;
  readonly client_name?: unknown;
  readonly redirect_uris?: unknown;
  readonly grant_types?: unknown;
  /** Set by a registration, and by nothing else. */
  readonly client_id_issued_at?: unknown;
  readonly vouched_for?: unknown;
}

export interface Stranger {
  /** Where its redirect URIs lead to: hosts, or the schemes of applications. */
  readonly places: readonly string[];
  /**
   * Whether people are redirected to it whenever they allow it something. Where there is a device flow or CIBA, its
   * redirect URIs may be anybody's.
   */
  readonly isRedirectedTo: boolean;
  /** The host of its metadata document. */
  readonly document?: string;
}

/**
 * Who a client is, if nobody here vouches for it.
 *
 * @param isDocument whether its id is the URL of its metadata
 * @returns undefined for a client that an operator added, invited or has looked at
 */
export function strangerOf(client: Registered, isDocument: boolean): Stranger | undefined {
  const { client_id: id, client_id_issued_at: issued, vouched_for: vouched } = client;
  if (vouched === true) return undefined;
  if (vouched === undefined && issued === undefined && !isDocument) return undefined;
  const document = isDocument ? URL.parse(id)?.host : undefined;
  return {
    places: [...new Set(redirectUris(client).map(placeOf))],
    isRedirectedTo: redirects(client),
    ...(document === undefined ? {} : { document }),
  };
}

const withoutRedirect = new Set<unknown>([
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:openid:params:grant-type:ciba',
]);

function redirects({ grant_types: grants }: Registered): boolean {
  return !Array.isArray(grants) || !grants.some((grant) => withoutRedirect.has(grant));
}

const SHOWN = 3; // places

/** Where a stranger is at home for certain, in one line: '' for nowhere. */
export function whereabouts({ places, document, isRedirectedTo }: Stranger): string {
  const certain = isRedirectedTo ? places : [];
  return inLine(document === undefined ? certain : [...new Set([document, ...certain])]);
}

/** Places in one line, the first few of them. */
export function inLine(places: readonly string[]): string {
  return [...places.slice(0, SHOWN), ...(places.length > SHOWN ? ['…'] : [])].join(', ');
}

/** The redirect URIs of metadata that may have mistakes. */
export function redirectUris({ redirect_uris: uris }: Pick<Registered, 'redirect_uris'>): string[] {
  return Array.isArray(uris) ? uris.filter((uri) => typeof uri === 'string') : [];
}

/** Where a URI leads to: a host, this machine, or an application by its scheme, whatever stands behind that. */
export function placeOf(uri: string): string {
  const url = URL.parse(uri);
  if (!url) return '';
  if (!isWeb(url)) return `${url.protocol}//`;
  return isLoopback(url) ? url.hostname : url.host;
}

/** Whether a URI leads to the person's own device: to an application or to a program that listens there. */
export function isOwnDevice(uri: string): boolean {
  const url = URL.parse(uri);
  return url !== null && (!isWeb(url) || isLoopback(url));
}

function isWeb({ protocol }: URL): boolean {
  return protocol === 'https:' || protocol === 'http:';
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname);
}

/**
 * The only host on which a client's own pages may be: the one that all its redirect URIs lead to. With several there is
 * none, since a client may register a host that is not its own.
 */
export function hostOf(client: Pick<Registered, 'redirect_uris'>): string | undefined {
  const uris = redirectUris(client);
  const [host, ...others] = new Set(uris.map((uri) => URL.parse(uri)?.hostname));
  return host && others.length === 0 && !uris.some(isOwnDevice) ? host : undefined;
}

/** A client's name as people may see it: its id when it has none. */
export function clientName({ client_id: id, client_name: name }: Registered): string {
  const plain = typeof name === 'string' ? plainName(name) : '';
  return shortened(plain === '' ? plainName(id) : plain);
}
