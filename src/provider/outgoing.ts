// Requests that the provider itself makes: it fetches clients' keys and documents, and notifies clients of logouts and
// answered authentication requests. All of them go by way of guarded-fetch.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Client, Configuration, Provider } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { Log } from '../operations/log.ts';
import type { Logout, Message } from '../storage/deliveries.ts';
import { bySystem } from '../storage/origin.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit, runUnit } from '../storage/unit-of-work.ts';
import { createGuardedFetch, isPublic } from './guarded-fetch.ts';
import { type Failure, sender } from './sender.ts';

const TIMEOUT = 5_000; // milliseconds
const EVERY = 2_000; // milliseconds between two looks for due messages
const EVERY_LOGOUT = 500; // who is locked out is not to work on elsewhere
const AT_ONCE = 100; // messages of a channel that are on their way

export interface Outgoing {
  /** The engine's `fetch`. A POST is delivered after the commit of the request that it belongs to. */
  readonly fetch: NonNullable<Configuration['fetch']>;
  /** Has an application told of a sign-out after the commit. @param now tells it, with a logout token made now */
  signOut(logout: Logout, now: () => Promise<void>): Promise<void>;
  /** Sends due messages until stopped. @param provider the one that serves now */
  start(provider: () => Provider): { stop(): Promise<void> };
}

export interface OutgoingParts {
  readonly config: Pick<Config, 'allowPrivateAddresses'>;
  readonly storage: Storage;
  readonly log: Log;
}

export function createOutgoing({ config, storage, log }: OutgoingParts): Outgoing {
  const guardedFetch = createGuardedFetch({
    allows: config.allowPrivateAddresses ? () => true : isPublic,
  });
  const parts = { storage, log, atOnce: AT_ONCE };
  const messages = sender('http', { ...parts, every: EVERY }, async (message) => {
    const status = await post(message);
    return failureOf(status);
  });
  let current: (() => Provider) | undefined;
  const logouts = sender('logout', { ...parts, every: EVERY_LOGOUT }, async (logout) => {
    await runUnit(storage, bySystem('deliveries'), () => tell(logout));
    return undefined;
  });
  // Until the engine is there, the message waits: it is found at the start.
  const wakeLogouts = () => {
    if (current) logouts.wake();
  };
  // Set while a due logout is sent: its request is made at once.
  const sending = new AsyncLocalStorage<true>();

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
        if (sending.getStore()) {
          const status = await post(message);
          return new Response(null, { status: failureOf(status) ? status : 204 });
        }
        currentUnit().deliver(message, messages.wake);
        return new Response(null, { status: 204 });
      }
      const { headers, redirect, signal } = options;
      return guardedFetch(new Request(url).url, {
        ...(headers && { headers }),
        ...(redirect && { redirect }),
        signal: signal ?? AbortSignal.timeout(TIMEOUT),
      });
    },
    async signOut(logout, now) {
      if (sending.getStore()) await now();
      else currentUnit().signOut(logout, wakeLogouts);
    },
    start(provider) {
      current = provider;
      const running = [messages.start(), logouts.start()];
      return {
        async stop() {
          await Promise.all(running.map((one) => one.stop()));
        },
      };
    },
  };

  /** An application that is gone, or wants to hear nothing any more, is not told. */
  async function tell({ clientId, accountId, sid }: Logout): Promise<void> {
    const client = (await current?.().Client.find(clientId)) as LogoutClient | undefined;
    if (client?.backchannelLogoutUri === undefined) return;
    await sending.run(true, () => client.backchannelLogout(accountId, sid));
  }

  /** @returns the status of the answer; its body is not read */
  async function post({ url, headers, body }: Message): Promise<number> {
    const signal = AbortSignal.timeout(TIMEOUT);
    const answer = await guardedFetch(url, { method: 'POST', headers, body, signal });
    await answer.body?.cancel();
    return answer.status;
  }
}

type LogoutClient = Client & { backchannelLogout(accountId: string, sid?: string): Promise<void> };

/** RFC 9110 §15.5.9, RFC 6585 §4: of the refusals, only 408 and 429 ask for the same request again. */
function failureOf(status: number): Failure | undefined {
  if (status >= 200 && status < 300) return undefined;
  const mayPass = status >= 500 || status === 408 || status === 429;
  return { reason: `answered ${status}`, mayPass };
}
