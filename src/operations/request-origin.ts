// What a request says of its way here. Its URLs are the issuer's, whatever it says: scheme and host. The client's address,
// and its certificate, are told by the proxies that are trusted, and by nobody else. Everything below sees this as the
// headers of one proxy, which Koa and the engine understand.
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Context, Next } from 'koa';
import type { Config } from '../config/config.ts';

type Parts = Pick<Config, 'issuer' | 'trustProxy' | 'tlsClient'>;

/** Middleware that comes before all that looks at a request. The applications have `proxy` on. */
export function settleOrigin({ issuer, trustProxy, tlsClient }: Parts) {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.replace(':', '');
  const certificate = [tlsClient?.certificate, tlsClient?.verify].filter(
    (name) => name !== undefined,
  );
  const isTrusted = trustedBy(trustProxy);
  return (ctx: Context, next: Next) => {
    const { req } = ctx;
    const { headers } = req;
    const peer = plain(req.socket.remoteAddress ?? '') ?? '';
    const client = isTrusted(peer) ? clientOf(headers, peer, trustProxy, isTrusted) : peer;
    if (!isTrusted(peer)) for (const name of certificate) Reflect.deleteProperty(headers, name);
    for (const name of ['forwarded', 'x-forwarded-host']) Reflect.deleteProperty(headers, name);
    Object.assign(headers, { host, 'x-forwarded-proto': scheme, 'x-forwarded-for': client });
    // RFC 9112 §3.2.2: a request may name the whole URL, host included.
    if (!ctx.originalUrl.startsWith('/')) {
      const { pathname = '/', search = '' } = URL.parse(ctx.originalUrl) ?? {};
      ctx.originalUrl = ctx.request.originalUrl = req.url = pathname + search;
    }
    return next();
  };
}

/** Whether an address is a trusted proxy's. @param trusted all, none, or these addresses and networks */
function trustedBy(trusted: Config['trustProxy']): (address: string) => boolean {
  if (typeof trusted === 'boolean') return () => trusted;
  const list = new BlockList();
  for (const entry of trusted) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => {
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
}

/**
 * The address that the proxies have seen. Each appends the address of its own peer, so the last ones are theirs and the
 * first ones may be anybody's: read from the right, the first that is not a trusted proxy's is the client's.
 */
function clientOf(
  { 'x-forwarded-for': list, forwarded }: IncomingHttpHeaders,
  peer: string,
  trusted: Config['trustProxy'],
  isTrusted: (address: string) => boolean,
): string {
  const ways = [
    ...(typeof list === 'string' ? [list.split(',')] : []),
    ...(forwarded === undefined ? [] : [forwardedFor(forwarded)]),
  ];
  const clients = new Set(ways.map(read));
  // A proxy sets one of the two headers, the other is then whoever's: where they differ, neither is believed.
  const [client = peer] = clients;
  return clients.size === 1 ? client : peer;

  function read(way: readonly string[]): string {
    let nearest = peer;
    for (const hop of way.toReversed()) {
      const address = plain(hop);
      if (address === undefined) break;
      nearest = address;
      if (trusted === true || !isTrusted(address)) break; // `true`: one proxy
    }
    return nearest;
  }
}

/** The `for` parameters of `Forwarded` (RFC 7239 §4), '' for an element without one. */
function forwardedFor(header: string): string[] {
  const elements = header.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return elements.map((element) => {
    const [, quoted, token = ''] =
      /(?:^|;)\s*for=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/i.exec(element) ?? [];
    return quoted?.replace(/\\(.)/g, '$1') ?? token;
  });
}

/** An address without brackets, port, and the notation of IPv4 in IPv6. @returns undefined for anything else */
function plain(text: string): string | undefined {
  const trimmed = text.trim();
  const [, inBrackets, v4] =
    /^\[([^\]]*)\](?::\d+)?$|^(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/.exec(trimmed) ?? [];
  const address = (inBrackets ?? v4 ?? trimmed).replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? undefined : address;
}
