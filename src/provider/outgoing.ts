// Requests that the provider itself makes: it fetches clients' keys and documents, and notifies clients of logouts and
// answered authentication requests. None goes to a private address unless a setting allows it: a client's metadata must
// not reach into the operator's network.
import { lookup } from 'node:dns/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import ipaddr from 'ipaddr.js';
import type { Configuration } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { Log } from '../operations/log.ts';
import { repeat } from '../operations/repeat.ts';
import {
  type Message,
  postponeDelivery,
  removeDelivery,
  takeDeliveries,
} from '../storage/deliveries.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';

const TIMEOUT = 5_000; // milliseconds
const EVERY = 2_000; // milliseconds between two looks for due messages

export interface Outgoing {
  /** The engine's `fetch`. A POST is delivered after the commit of the request that it belongs to. */
  readonly fetch: NonNullable<Configuration['fetch']>;
  /** Sends due messages until stopped. */
  start(): { stop(): Promise<void> };
}

export interface OutgoingParts {
  readonly config: Pick<Config, 'allowPrivateAddresses'>;
  readonly storage: Storage;
  readonly log: Log;
}

export function createOutgoing({ config, storage, log }: OutgoingParts): Outgoing {
  const { allowPrivateAddresses } = config;
  const sending = repeat(sendDue, {
    every: EVERY,
    onError(error) {
      log.error({ err: error }, 'deliveries failed');
    },
  });

  return {
    async fetch(url, options = {}) {
      if (options.method === 'POST') {
        const { method, headers, body } = options;
        const request = new Request(url, {
          method,
          ...(headers && { headers }),
          body: body ?? null,
        });
        const message = {
          url: request.url,
          headers: Object.fromEntries(request.headers),
          body: await request.text(),
        };
        currentUnit().deliver(message, () => void sending.wake());
        return new Response(null, { status: 204 });
      }
      // The engine's dispatcher refuses private addresses.
      const { dispatcher, ...others } = options as typeof options & { dispatcher?: unknown };
      return fetch(url, allowPrivateAddresses ? others : { ...others, dispatcher });
    },
    start() {
      void sending.wake();
      return sending.start();
    },
  };

  async function sendDue(): Promise<void> {
    const { prisma, keyring, now } = storage;
    const due = await takeDeliveries(prisma, keyring, 'http', now());
    await Promise.all(
      due.map(async ({ id, attempts, isLast, ...message }) => {
        const to = new URL(message.url).origin;
        const failure = await inTime(post(message, allowPrivateAddresses)).then(
          failureOf,
          (error: unknown) => ({ reason: (error as Error).message, mayPass: true }),
        );
        const isOver = failure === undefined || isLast || !failure.mayPass;
        if (failure !== undefined) {
          const text = isOver ? 'message given up' : 'message to be sent again';
          log[isOver ? 'warn' : 'info']({ to, attempts, reason: failure.reason }, text);
        }
        if (isOver) await removeDelivery(prisma, id);
        else await postponeDelivery(prisma, 'http', { id, attempts }, now());
      }),
    );
  }
}

interface Failure {
  readonly reason: string;
  /** Whether the same message may be taken later: a message that was refused does not become right by repetition. */
  readonly mayPass: boolean;
}

/** RFC 9110 §15.5.9, RFC 6585 §4: of the refusals, only 408 and 429 ask for the same request again. */
function failureOf(status: number): Failure | undefined {
  if (status >= 200 && status < 300) return undefined;
  const mayPass = status >= 500 || status === 408 || status === 429;
  return { reason: `answered ${status}`, mayPass };
}

/** @returns the status of the answer; its body is not read */
async function post({ url, headers, body }: Message, allowPrivate: boolean): Promise<number> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host)
    ? [{ address: host, family: isIP(host) }]
    : await lookup(host, { all: true });
  if (!allowPrivate && addresses.some(({ address }) => !isPublic(address))) {
    throw new Error('leads to a private address (SYMBOLON_ALLOW_PRIVATE_ADDRESSES)');
  }
  return new Promise((resolve, reject) => {
    const request = (protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      agent: false,
      // Connects only to the addresses that were checked.
      lookup: (_host, options, done) => {
        const [first] = addresses;
        if (options.all) done(null, addresses);
        else done(null, first?.address ?? '', first?.family);
      },
      signal: AbortSignal.timeout(TIMEOUT),
    });
    request.once('response', (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.once('error', reject);
    // An upgrade (101) ends in neither of the two events.
    request.once('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.once('close', () => {
      reject(new Error('the connection was closed without an answer'));
    });
    request.end(body);
  });
}

/** Limits the time, including the look-up of the host, which has no limit of its own. */
async function inTime(work: Promise<number>): Promise<number> {
  const late = new AbortController();
  const limit = pause(TIMEOUT + 1_000, undefined, { signal: late.signal }).then(() => {
    throw new Error('took too long');
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    late.abort();
    limit.catch(() => undefined);
  }
}

function isPublic(address: string): boolean {
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  // RFC 4291 §2.4, RFC 3587: in IPv6, only 2000::/3 is assigned to hosts of the internet.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0] ?? 0) >> 5 === 1;
}
