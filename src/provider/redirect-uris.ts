// Which URIs a client may register. They are compared as strings (RFC 9700 §2.1), and what the provider answers goes
// where they lead: so they are written as they will be sent, and lead to nothing that a browser or a system acts on.
import { isIP } from 'node:net';
import { errors } from 'oidc-provider';
import type { Registrant } from './registration.ts';

// People are sent there.
const redirecting = ['redirect_uris', 'post_logout_redirect_uris'] as const;
// What the provider itself sends there, or takes from there, is about people or keys.
const trusted = ['backchannel_logout_uri', 'jwks_uri', 'request_uris'] as const;
const others = [
  'backchannel_client_notification_endpoint',
  'client_uri',
  'initiate_login_uri',
  'logo_uri',
  'policy_uri',
  'sector_identifier_uri',
  'tos_uri',
] as const;

// What is requested, where a fragment says nothing (OpenID Connect Back-Channel Logout §2.2).
const withoutFragment: readonly Name[] = [
  'backchannel_client_notification_endpoint',
  'backchannel_logout_uri',
  'jwks_uri',
  'sector_identifier_uri',
];

type Name = (typeof redirecting)[number] | (typeof trusted)[number] | (typeof others)[number];

/**
 * Schemes that no application can own, since browsers and systems act on them themselves. All other schemes may be
 * used: many applications have one that is no reversed domain name, as RFC 8252 §7.1 wants it.
 */
const acted = new Set([
  // shown or run by browsers
  ...['about', 'blob', 'brave', 'chrome', 'chrome-search', 'chrome-untrusted', 'cid', 'data'],
  ...['devtools', 'edge', 'feed', 'file', 'filesystem', 'its', 'jar', 'javascript', 'livescript'],
  ...['mhtml', 'mid', 'mk', 'mocha', 'moz-icon', 'opera', 'pcast', 'res', 'resource', 'vbscript'],
  ...['view-source', 'vivaldi', 'wyciwyg'],
  // another browser
  ...['firefox', 'firefox-focus', 'google-chrome', 'googlechrome', 'googlechromes'],
  ...['microsoft-edge', 'opera-mini', 'read'],
  ...['microsoft-edge-http', 'microsoft-edge-https', 'x-safari-http', 'x-safari-https'],
  // messages and calls
  ...[
    'callto',
    'im',
    'imap',
    'irc',
    'irc6',
    'ircs',
    'mailto',
    'mms',
    'mmsto',
    'news',
    'nntp',
    'pop',
  ],
  ...[
    'msteams',
    'skype',
    'wtai',
    'zoommtg',
    'sip',
    'sips',
    'sms',
    'smsto',
    'snews',
    'tel',
    'telprompt',
    'xmpp',
  ],
  // files and machines in the network
  ...[
    'afp',
    'cifs',
    'dav',
    'davs',
    'dict',
    'ftp',
    'ftps',
    'git',
    'gopher',
    'ldap',
    'ldaps',
    'magnet',
  ],
  ...[
    'nfs',
    'rdp',
    'rlogin',
    'rtmp',
    'rtsp',
    'scp',
    'sftp',
    'smb',
    'ssh',
    'svn',
    'telnet',
    'tn3270',
  ],
  ...['vnc', 'wais', 'webcal', 'webcals', 'webdav', 'ws', 'wss'],
  // the system’s own applications and settings
  ...['admin', 'android-app', 'app-prefs', 'app-settings', 'applescript', 'appstream', 'apt'],
  ...['calshow', 'computer', 'content', 'geo', 'ghelp', 'hcp', 'help', 'info', 'intent'],
  ...[
    'macappstore',
    'macappstores',
    'man',
    'maps',
    'market',
    'network',
    'package',
    'prefs',
    'recent',
  ],
  ...['search', 'search-ms', 'shell', 'shortcuts', 'snap', 'trash', 'videos', 'windowsdefender'],
  ...['bluetooth', 'calculator', 'onenote', 'onenote-cmd', 'outlookcal', 'outlookmail', 'workflow'],
  // printers, payments, keys and credentials
  ...['bitcoin', 'fido', 'ipp', 'ipps', 'lpa', 'openid', 'openid4vp', 'otpauth'],
  ...['otpauth-migration', 'rtspu', 'tez', 'upi', 'wifi', 'windows.immersivecontrolpanel'],
]);
const actedFamilies =
  /^(?:apple-|facetime|itms|ms-(?!app$|appx-web$)|photos-|x-apple|x-help-|x-man-)/;

const loopback = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Who registers a client with these URIs: the client itself, or an operator. A client that is known already is refused
 * only what must never be used.
 */
export type Registering = Registrant | 'operator' | 'known';

/**
 * Refuses URIs that a client must not be registered with.
 *
 * @throws {errors.OIDCProviderError} naming the member, the URI and what is wrong
 */
export function assertUris(metadata: object, by: Registering): void {
  for (const { name, uri } of urisOf(metadata, redirecting)) {
    const scheme = URL.parse(uri)?.protocol.slice(0, -1);
    if (scheme === undefined) throw refusal(name, uri, 'is no URI');
    if (acted.has(scheme) || actedFamilies.test(scheme))
      throw refusal(
        name,
        uri,
        `must not be used: browsers and systems act on ${scheme}: themselves`,
      );
  }
  if (by === 'known') return;
  for (const { name, uri } of urisOf(metadata, [...redirecting, ...trusted, ...others])) {
    const wrong = fault(name, uri) ?? (by !== 'operator' && isClear(name, uri) ? CLEAR : undefined);
    if (wrong !== undefined) throw refusal(name, uri, wrong);
  }
}

/** The redirect URIs to which a code travels unencrypted through the network (RFC 9700 §2.6). */
export function clearUris(metadata: object): string[] {
  return urisOf(metadata, redirecting)
    .filter(({ name, uri }) => isClear(name, uri))
    .map(({ uri }) => uri);
}

/**
 * The type of a client that registers itself and names none: native when it may be an application on the person's own
 * machine, whose port is only known when it asks (RFC 8252 §7.3). OpenID Connect Registration §2 says `web`; RFC 7591,
 * which many such clients follow, knows no types.
 */
export function unnamedType(metadata: object): 'native' | 'web' {
  const urls = urisOf(metadata, redirecting).map(({ uri }) => URL.parse(uri));
  const isOwn = (url: URL | null) => url?.protocol !== 'https:';
  const isWeb = (url: URL | null) => url?.protocol === 'https:' && loopback.has(url.hostname);
  return urls.some(isOwn) && !urls.some(isWeb) ? 'native' : 'web';
}

/**
 * Whether an answer at this URI may reach another application than the client: one on the same machine can listen at a
 * loopback address or claim a scheme (RFC 8252 §8.6). A client that authenticates makes the code useless for it.
 */
export function mayReachAnother(
  redirectUri: unknown,
  { clientAuthMethod }: { readonly clientAuthMethod?: string },
): boolean {
  if (clientAuthMethod !== 'none' || typeof redirectUri !== 'string') return false;
  const { protocol, hostname = '' } = URL.parse(redirectUri) ?? {};
  return protocol !== 'https:' || loopback.has(hostname);
}

const CLEAR = 'must be https, or http on a loopback address (RFC 9700 §2.6)';

function fault(name: Name, uri: string): string | undefined {
  // C are control and format characters, Z is white space.
  if (/[\p{C}\p{Z}\\]/u.test(uri))
    return 'must not have spaces, control characters or backslashes, also not around it';
  const { protocol = '', hostname = '', hash = '' } = URL.parse(uri) ?? {};
  const [, authority] = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(uri) ?? [];
  if (/^https?:$/.test(protocol) && !authority) return 'must have // and a host after the scheme';
  if (authority?.includes('@')) return 'must not have a user name or a password';
  if (isIP(hostname) === 4 && authority?.replace(/:\d*$/, '') !== hostname)
    return `must have its address as it is sent: ${hostname}`;
  if (hash !== '' && withoutFragment.includes(name)) return 'must not have a fragment';
  if (hostname.includes('*')) return 'must not have a wildcard: URIs are compared as they are';
  return undefined;
}

function isClear(name: Name, uri: string): boolean {
  const { protocol, hostname = '' } = URL.parse(uri) ?? {};
  const isShown = (others as readonly Name[]).includes(name);
  return protocol === 'http:' && !loopback.has(hostname) && !isShown;
}

function refusal(name: Name, uri: string, what: string): errors.OIDCProviderError {
  const description = `${name}: ${JSON.stringify(uri)} ${what}`;
  // RFC 7591 §3.2.2. The engine's own error of that name says what an authorization request did wrong.
  return name === 'redirect_uris'
    ? new errors.CustomOIDCProviderError('invalid_redirect_uri', description)
    : new errors.InvalidClientMetadata(description);
}

// What is no string, the engine refuses.
function urisOf(metadata: object, names: readonly Name[]): { name: Name; uri: string }[] {
  const given = metadata as Partial<Record<Name, unknown>>;
  return names.flatMap((name) =>
    [given[name]]
      .flat()
      .filter((uri) => typeof uri === 'string')
      .map((uri) => ({ name, uri })),
  );
}
