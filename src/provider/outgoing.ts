// Requests that the provider itself makes: it fetches clients' keys and documents, and notifies clients of logouts and
// answered authentication requests. All of them go by way of guarded-fetch.ts.
import type { Configuration } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { Log } from '../operations/log.ts';
import { causeOf, reportOutages } from '../operations/outages.ts';
import { repeat } from '../operations/repeat.ts';
import {
  type Message,
  postponeDelivery,
  removeDelivery,
  takeDeliveries,
} from '../storage/deliveries.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { UnusableAnswer, createGuardedFetch, isPublic } from './guarded-fetch.ts';

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
  const guardedFetch = createGuardedFetch({
    allows: config.allowPrivateAddresses ? () => true : isPublic,
  });
  const sending = repeat(sendDue, { every: EVERY, ...reportOutages(log, 'delivering messages') });

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
      const { headers, redirect, signal } = options;
      return guardedFetch(new Request(url).url, {
        ...(headers && { headers }),
        ...(redirect && { redirect }),
        signal: signal ?? AbortSignal.timeout(TIMEOUT),
      });
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
        const failure = await post(message).then(failureOf, (error: unknown) => ({
          ...causeOf(error),
          mayPass: !(error instanceof UnusableAnswer),
        }));
        const isOver = failure === undefined || isLast || !failure.mayPass;
        if (failure !== undefined) {
          const text = isOver ? 'message given up' : 'message to be sent again';
          const { cause, reason } = failure;
          log[isOver ? 'warn' : 'info']({ to, attempts, cause, reason }, text);
        }
        if (isOver) await removeDelivery(prisma, id);
        else await postponeDelivery(prisma, 'http', { id, attempts }, now());
      }),
    );
  }

  /** @returns the status of the answer; its body is not read */
  async function post({ url, headers, body }: Message): Promise<number> {
    const signal = AbortSignal.timeout(TIMEOUT);
    const answer = await guardedFetch(url, { method: 'POST', headers, body, signal });
    await answer.body?.cancel();
    return answer.status;
  }
}

interface Failure {
  readonly cause?: string | undefined;
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
