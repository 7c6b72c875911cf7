// Requests that the provider itself makes: it reads the keys and documents that clients name, and tells them of
// logouts and answered authentication requests. None goes to a private address, unless the setting allows it: a
// client's metadata must not reach into the operator's network.
import { lookup } from 'node:dns/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Configuration } from 'oidc-provider';
import type { Config } from '../config.ts';
import type { Log } from '../operations/log.ts';
import { type Message, removeDelivery, takeDeliveries } from '../storage/deliveries.ts';
import { type Storage, currentUnit } from '../storage/unit-of-work.ts';

const TIMEOUT = 5_000; // milliseconds
const EVERY = 2_000; // milliseconds between two looks for what is to be tried again

export interface Outgoing {
  /** The engine's `fetch`. What it posts is delivered once the request that it belongs to is committed. */
  readonly fetch: NonNullable<Configuration['fetch']>;
  /** Sends what is due, and goes on looking for it until stopped. */
  start(): { stop(): Promise<void> };
}

export interface OutgoingParts {
  readonly config: Pick<Config, 'allowPrivateAddresses'>;
  readonly storage: Storage;
  readonly log: Log;
}

export function createOutgoing({ config, storage, log }: OutgoingParts): Outgoing {
  const { allowPrivateAddresses } = config;
  let sending: Promise<void> = Promise.resolve();

  return {
    async fetch(url, options = {}) {
      if (options.method === 'POST') {
        const headers = Object.fromEntries(new Headers(options.headers));
        const body = options.body as string;
        currentUnit().deliver({ url: new Request(url).url, headers, body }, send);
        return new Response(null, { status: 204 });
      }
      // The engine's dispatcher is what refuses private addresses.
      const { dispatcher, ...others } = options as typeof options & { dispatcher?: unknown };
      return fetch(url, allowPrivateAddresses ? others : { ...others, dispatcher });
    },
    start() {
      const timer = setInterval(send, EVERY).unref();
      return {
        async stop() {
          clearInterval(timer);
          await sending;
        },
      };
    },
  };

  function send(): void {
    sending = sending.then(sendDue).catch((error: unknown) => {
      log.error({ err: error }, 'deliveries failed');
    });
  }

  async function sendDue(): Promise<void> {
    const { prisma, keyring, now } = storage;
    const due = await takeDeliveries(prisma, keyring, now());
    await Promise.all(
      due.map(async ({ id, attempts, isLast, ...message }) => {
        const to = new URL(message.url).origin;
        const failure = await post(message, allowPrivateAddresses).then(
          (status) => (status >= 200 && status < 300 ? undefined : `answered ${status}`),
          (error: unknown) => (error as Error).message,
        );
        if (failure !== undefined) {
          const text = isLast ? 'message given up' : 'message to be sent again';
          log[isLast ? 'warn' : 'info']({ to, attempts, reason: failure }, text);
        }
        if (failure === undefined || isLast) await removeDelivery(prisma, id);
      }),
    );
  }
}

/** @returns the status of the answer, whose body is not read */
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
      // The addresses that were looked at, and no others.
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
    request.end(body);
  });
}

function isPublic(address: string): boolean {
  return ipaddr.process(address).range() === 'unicast';
}
