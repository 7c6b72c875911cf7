// HTTP requests to addresses that clients name: their keys, documents and notifications. A client's metadata must not
// reach into the operator's network. So the addresses of a host are looked up and judged before anything is connected
// to, and the connection goes to the addresses that were judged: a name that answers differently a moment later gains
// nothing, and no port of the network tells whether it is open. No HTTP proxy is used: it would look up names itself.
import dns, { Resolver, lookup } from 'node:dns/promises';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type LookupFunction, isIP } from 'node:net';
import { ReadableStream } from 'node:stream/web';
import ipaddr from 'ipaddr.js';

const MOST_REDIRECTS = 3;
const MOST_BYTES = 256 * 1024; // of an answer
const redirecting = new Set([301, 302, 303, 307, 308]);
const withoutBody = new Set([204, 205, 304]); // Fetch, "null body status"

export interface GuardedRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers?: RequestInit['headers'];
  readonly body?: string;
  /** Ends the request, the look-up of its host, and the reading of its answer. */
  readonly signal: AbortSignal;
  /** `manual`: a redirect is the answer. Only a GET is redirected. */
  readonly redirect?: RequestInit['redirect'];
}

/** Something answered, but with what is no final answer of HTTP. */
export class UnusableAnswer extends Error {}

/** @throws {Error} when there is no answer, or an address is not allowed; the message is for the operator */
export type GuardedFetch = (url: string, request: GuardedRequest) => Promise<Response>;

interface Address {
  readonly address: string;
  readonly family: number;
}

interface Parts {
  /** Whether an address may be connected to: {@link isPublic}, if private ones may not. */
  readonly allows: (address: string) => boolean;
  /** All addresses of a host name. */
  readonly resolve?: (host: string, signal: AbortSignal) => Promise<Address[]>;
}

export function createGuardedFetch({ allows, resolve = askNameServers() }: Parts): GuardedFetch {
  return async (address, request) => {
    const { method = 'GET', redirect = 'follow' } = request;
    let url = new URL(address);
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const answer = await send(url, await judged(url, request.signal), request);
      if (method !== 'GET' || redirect !== 'follow' || !redirecting.has(answer.status))
        return answer;
      await answer.body?.cancel();
      url = target(url, answer.headers.get('location'));
    }
    throw new Error('redirects too often');
  };

  /** The addresses of a URL's host, all of which may be connected to. */
  async function judged({ hostname }: URL, signal: AbortSignal): Promise<Address[]> {
    // URLs have IPv6 addresses in brackets, and IPv4 addresses in the usual notation whatever they were written in.
    const host = hostname.replace(/^\[|\]$/g, '');
    const family = isIP(host);
    const addresses =
      family === 0
        ? await unlessAborted(resolve(host, signal), signal)
        : [{ address: host, family }];
    if (!addresses.every(({ address }) => allows(address)))
      throw new Error('leads to a private address (SYMBOLON_ALLOW_PRIVATE_ADDRESSES)');
    return addresses;
  }
}

/**
 * Asks the name servers, without the threads in which Node asks the system (`getaddrinfo`): they are few, cannot be called
 * back, and a name server that never answers would keep them all from everybody. What no name server knows may be known to
 * the system (its hosts file, a search domain): that is asked too, about one name at a time.
 *
 * @param servers addresses of name servers, with ports; those of the system when not given
 */
export function askNameServers(servers?: readonly string[]): NonNullable<Parts['resolve']> {
  let system: Promise<unknown> = Promise.resolve();
  return async (host, signal) => {
    const found = host === 'localhost' ? [] : await ask(host, signal);
    if (found.length > 0) return found;
    const asked = system.then(() => {
      signal.throwIfAborted();
      return lookup(host, { all: true });
    });
    system = asked.catch(() => undefined);
    return asked;
  };

  async function ask(host: string, signal: AbortSignal): Promise<Address[]> {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: 2_000, tries: 2 }); // milliseconds
    if (servers) resolver.setServers(servers);
    const cancel = () => {
      resolver.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    const answers = await Promise.allSettled([
      resolver.resolve4(host).then((all) => all.map((address) => ({ address, family: 4 }))),
      resolver.resolve6(host).then((all) => all.map((address) => ({ address, family: 6 }))),
    ]);
    signal.removeEventListener('abort', cancel);
    signal.throwIfAborted();
    const found = answers.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    // Whoever does not answer here does not answer the system either, which would wait much longer.
    for (const one of answers)
      if (found.length === 0 && one.status === 'rejected' && isLate(one.reason)) throw one.reason;
    return found;
  }
}

function isLate(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === dns.TIMEOUT;
}

function send(url: URL, addresses: Address[], request: GuardedRequest): Promise<Response> {
  const { method = 'GET', headers, body, signal } = request;
  const pinned: LookupFunction = (_host, { all }, done) => {
    const [first] = addresses;
    if (all === true) done(null, addresses);
    else done(null, first?.address ?? '', first?.family);
  };
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method,
      headers: {
        ...Object.fromEntries(new Headers(headers)),
        ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
      },
      agent: false, // a connection of its own: none that was made for another request
      lookup: pinned,
      signal,
    });
    sent.once('response', (answer) => {
      try {
        resolve(asResponse(answer));
      } catch (error) {
        answer.destroy();
        reject(new UnusableAnswer('answered what is no final answer of HTTP', { cause: error }));
      }
    });
    sent.once('error', reject);
    // An upgrade (101) ends in neither of the two events.
    sent.once('upgrade', (_answer, socket) => {
      socket.destroy();
      reject(new UnusableAnswer('answered 101'));
    });
    sent.once('close', () => {
      reject(new Error('the connection was closed without an answer'));
    });
    sent.end(body);
  });
}

function asResponse(answer: IncomingMessage): Response {
  const { statusCode: status = 0, headersDistinct } = answer;
  const headers = new Headers(
    Object.entries(headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value]),
    ),
  );
  if (!withoutBody.has(status)) {
    return new Response(ReadableStream.from(limited(answer)), { status, headers });
  }
  answer.destroy();
  return new Response(null, { status, headers });
}

/** An answer's bytes, as far as anything that is asked for may be long. */
async function* limited(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > MOST_BYTES) throw new UnusableAnswer(`answered more than ${MOST_BYTES} bytes`);
    yield chunk;
  }
}

/** Where a redirect leads: what was asked for over TLS is not asked for without. */
function target(from: URL, location: string | null): URL {
  const to = location === null ? null : URL.parse(location, from.href);
  if (to?.protocol !== 'https:' && to?.protocol !== from.protocol)
    throw new Error('redirects to nowhere, or from https to another scheme');
  return to;
}

/** Look-ups have no limit of their own. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject);
  });
}

// Answers virtual machines about themselves, though it is in nobody's registry (Azure).
const inClouds = new Set(['168.63.129.16']);

/** Whether an address is one of the internet's hosts (IANA's special-purpose registries name the others). */
export function isPublic(address: string): boolean {
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast' || inClouds.has(parsed.toString())) return false;
  // RFC 4291 §2.4, RFC 3587: in IPv6, only 2000::/3 is assigned to hosts of the internet.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0] ?? 0) >> 5 === 1;
}
