// Sends the due messages of a channel over HTTP: many at once, so that one that gets no answer holds up no other.
import type { Log } from '../operations/log.ts';
import { causeOf, reportOutages } from '../operations/outages.ts';
import { repeat } from '../operations/repeat.ts';
import {
  type Delivery,
  postponeDelivery,
  removeDelivery,
  takeDeliveries,
} from '../storage/deliveries.ts';
import type { Storage } from '../storage/storage.ts';
import { UnusableAnswer } from './guarded-fetch.ts';

/** Why a message has not arrived. */
export interface Failure {
  readonly cause?: string | undefined;
  readonly reason: string;
  /** Whether the same message may be taken later: a message that was refused does not become right by repetition. */
  readonly mayPass: boolean;
}

interface SenderParts {
  readonly storage: Storage;
  readonly log: Log;
  /** Milliseconds between two looks for due messages. */
  readonly every: number;
  /** How many messages may be on their way. */
  readonly atOnce: number;
}

export interface Sender {
  /** Sends what is due now. */
  readonly wake: () => void;
  /** Sends what is due until stopped; `stop` waits for what is on its way. */
  start(): { stop(): Promise<void> };
}

type HttpChannel = 'http' | 'logout';

/** @param send tells why the message has not arrived, by its result or an error; undefined when it has */
export function sender<C extends HttpChannel>(
  channel: C,
  { storage, log, every, atOnce }: SenderParts,
  send: (message: Delivery<C>) => Promise<Failure | undefined>,
): Sender {
  const { prisma, keyring, now } = storage;
  const work = channel === 'http' ? 'delivering messages' : 'telling of sign-outs';
  const outages = reportOutages(log, work);
  const repeated = repeat(sendDue, { every, ...outages });
  const onTheirWay = new Set<Promise<void>>();
  const wake = () => void repeated.wake();

  return {
    wake,
    start() {
      wake();
      const started = repeated.start();
      return {
        async stop() {
          await started.stop();
          await Promise.all(onTheirWay);
        },
      };
    },
  };

  async function sendDue(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const room = atOnce - onTheirWay.size;
      const due = room > 0 ? await takeDeliveries(prisma, keyring, channel, now(), room) : [];
      for (const delivery of due) {
        const sent = deliver(delivery)
          .catch(outages.onError)
          .finally(() => onTheirWay.delete(sent));
        onTheirWay.add(sent);
      }
      if (due.length < room) return;
      await Promise.race(onTheirWay);
    }
  }

  async function deliver(message: Delivery<C>): Promise<void> {
    const { id, attempts, isLast } = message;
    const failure = await send(message).catch((error: unknown) => ({
      ...causeOf(error),
      mayPass: !(error instanceof UnusableAnswer),
    }));
    const isOver = failure === undefined || isLast || !failure.mayPass;
    if (failure !== undefined) {
      const text = isOver ? 'message given up' : 'message to be sent again';
      const { cause, reason } = failure;
      log[isOver ? 'warn' : 'info']({ ...addressee(message), attempts, cause, reason }, text);
    }
    if (isOver) await removeDelivery(prisma, id);
    else await postponeDelivery(prisma, channel, { id, attempts }, now());
  }
}

function addressee(message: Delivery<HttpChannel>): object {
  return 'url' in message
    ? { to: new URL(message.url).origin }
    : { logout: true, client_id: message.clientId };
}
