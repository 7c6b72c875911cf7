// Request objects by reference (RFC 9101 §5.2, OIDC Core §6.2): fetched from a URL that the client has registered, then
// given to the engine as if they had come by value. A pushed request's URN is the engine's own matter.
import { createHash } from 'node:crypto';
import type { Context, Next } from 'koa';
import { type Provider, errors } from 'oidc-provider';
import { z } from 'zod';
import { TooManyRequests } from '../accounts/row-limits.ts';
import type { Storage } from '../storage/storage.ts';
import type { Referred } from './engine-seams/requests.ts';
import { limitFetches } from './fetch-limits.ts';
import type { Outgoing } from './outgoing.ts';

/** OIDC Dynamic Client Registration §2: where a client's request objects are; a fragment is the SHA-256 of one. */
const registeredUris = z.array(z.url({ protocol: /^https?$/ }).max(512)).max(20);

const PUSHED = 'urn:ietf:params:oauth:request_uri:';
const TIMEOUT = 5_000; // milliseconds for all of it
const LARGEST = 65_536; // bytes

// What it should be (RFC 9101 §10.2), and what servers of files call such a thing.
const mediaTypes = [
  'application/oauth-authz-req+jwt',
  'application/jwt',
  'application/jose',
  'application/octet-stream',
  'text/plain',
];

/** Middleware that fetches the request object of an authorization request; engine-seams/ gives it to the engine. */
export function fetchRequestObjects(
  provider: Provider,
  storage: Pick<Storage, 'pool' | 'keyring' | 'now'>,
  outgoing: Pick<Outgoing, 'fetch'>,
) {
  const fetch = limitFetches(storage, outgoing);
  return async (ctx: Context, next: Next): Promise<void> => {
    const { request_uri: uri, client_id: id, request } = ctx.query;
    const isReferred =
      ctx.method === 'GET' &&
      ctx.path === '/authorize' &&
      typeof uri === 'string' &&
      !uri.startsWith(PUSHED) &&
      request === undefined;
    // What is wrong with the client, the engine finds as well, and answers.
    const client =
      isReferred && typeof id === 'string'
        ? await provider.Client.find(id).catch(() => undefined)
        : undefined;
    if (isReferred && client && !client.requirePushedAuthorizationRequests)
      ctx.state['referred'] = await read(
        (url, options) => fetch(url, options, { ctx, client }),
        uri,
        client,
      ).then(
        (found): Referred => ({ request: found }),
        (error: unknown): Referred => ({ error: refusal(error) }),
      );
    await next();
  };
}

/** @throws {errors.InvalidClientMetadata} when the client's `request_uris` are none */
export function validateRequestUris(uris: unknown): void {
  if (uris !== undefined && !registeredUris.safeParse(uris).success)
    throw new errors.InvalidClientMetadata(
      'request_uris must be an array of at most 20 http or https URLs, each of at most 512 characters',
    );
}

/** What was fetched for this request. */
export function referredIn(ctx: object): Referred | undefined {
  return (ctx as Context).state['referred'] as Referred | undefined;
}

/** @throws {Error} saying why there is none; only the log gets to know, so that nobody can look around with it */
async function read(fetch: Outgoing['fetch'], uri: string, client: object): Promise<string> {
  const registered = registeredAs(client, uri);
  if (registered === undefined)
    throw new errors.InvalidRequestUri('request_uri is not one that the client has registered');
  const [location, fragment] = split(uri);
  const hash = fragment ?? split(registered)[1];
  const response = await fetch(location, {
    method: 'GET',
    headers: { accept: `${mediaTypes[0]}, application/jwt;q=0.9, */*;q=0.1` },
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT),
  });
  try {
    if (response.status !== 200) throw new Error(`answered ${response.status}`);
    const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
    if (type !== undefined && !mediaTypes.includes(type)) throw new Error(`its type is ${type}`);
    const body = await read64k(response);
    if (hash !== undefined && hash !== createHash('sha256').update(body).digest('base64url'))
      throw new Error('its SHA-256 is not the fragment of request_uri');
    return body.toString('utf8').trim();
  } finally {
    await response.body?.cancel().catch(() => undefined);
  }
}

/** The registered URL that a request means; a fragment may be in either, in both it must be the same. */
function registeredAs(client: object, uri: string): string | undefined {
  const { request_uris: registered = [] } = client as { request_uris?: string[] };
  const [location, fragment] = split(uri);
  return registered.find((one) => {
    const [same, expected] = split(one);
    return (
      same === location &&
      (expected === undefined || fragment === undefined || expected === fragment)
    );
  });
}

function split(uri: string): [string, string?] {
  const [location = '', ...fragment] = uri.split('#');
  return fragment.length > 0 ? [location, fragment.join('#')] : [location];
}

async function read64k(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LARGEST) throw new Error(`it has more than ${LARGEST} bytes`);
  }
  return Buffer.concat(chunks);
}

function refusal(error: unknown): Error {
  if (error instanceof errors.InvalidRequestUri || error instanceof TooManyRequests) return error;
  const { message, cause } = error as Error;
  const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
  return new errors.InvalidRequestUri('no request object could be read at request_uri', detail);
}
