// The background worker that sends mails (storage/deliveries.ts). A committed mail is sent, whatever happens to the
// process or the SMTP server meanwhile. It is sent once, except when the process dies between handing it over and
// removing it: then it is sent again, with the same Message-ID.
import type { Config } from '../config/config.ts';
import type { Languages } from '../languages.ts';
import type { Log } from '../operations/log.ts';
import { causeOf, createOutages, reportOutages } from '../operations/outages.ts';
import { repeat } from '../operations/repeat.ts';
import {
  type Delivery,
  postponeDelivery,
  removeDelivery,
  takeDeliveries,
} from '../storage/deliveries.ts';
import type { Storage } from '../storage/storage.ts';
import { type MailLook, createLetters } from './letter.ts';
import { answerRequest } from './requests.ts';
import { SendError, createMailTransport } from './transport.ts';

const EVERY = 1_000; // milliseconds between two looks for due mails

export interface Mailer {
  /** Sends the mails that are due now. */
  readonly send: () => Promise<void>;
  /** Sends due mails until stopped. */
  start(): { stop(): Promise<void> };
}

export interface MailerParts {
  readonly config: Pick<Config, 'mail' | 'issuer' | 'baseUrl'>;
  readonly storage: Storage;
  readonly log: Log;
  readonly languages: Languages;
  readonly look: MailLook;
}

export function createMailer({ config, storage, log, languages, look }: MailerParts): Mailer {
  const { prisma, keyring, now } = storage;
  const transport = createMailTransport(config);
  const compose = createLetters(config.baseUrl, languages, look);
  const sending = repeat(sendDue, { every: EVERY, ...reportOutages(log, 'sending mails') });
  const outages = createOutages(log, {
    failed: 'a mail could not be sent',
    over: 'mails can be sent again',
  });

  return {
    send: sending.wake,
    start() {
      // Without a transport, due mails wait for a process that has one, until they expire.
      if (!transport) return { stop: () => Promise.resolve() };
      void sending.wake();
      const turns = sending.start();
      return {
        async stop() {
          await turns.stop();
          transport.close();
        },
      };
    },
  };

  async function sendDue(): Promise<void> {
    if (!transport) return;
    const due = await takeDeliveries(prisma, keyring, 'mail', now());
    await Promise.all(due.map(sendOne));
  }

  async function sendOne(delivery: Delivery<'mail'>): Promise<void> {
    const { id, template, attempts } = delivery;
    try {
      const mail = await answerRequest(storage, delivery);
      if (mail) {
        await transport?.send({ ...compose(mail), id, to: mail.to });
        outages.works();
      }
    } catch (error) {
      const isGivenUp = delivery.isLast || (error instanceof SendError && error.isFinal);
      const reason = error instanceof SendError ? error.reason : (error as Error).message;
      const isRefused = error instanceof SendError && error.isFinal; // this address only
      const { cause } = isRefused ? causeOf(error) : outages.note(error, { reason });
      const text = isGivenUp ? 'mail given up' : 'mail to be sent again';
      log[isGivenUp ? 'warn' : 'info']({ mail: id, template, attempts, cause, reason }, text);
      if (!isGivenUp) {
        await postponeDelivery(prisma, 'mail', delivery, now());
        return;
      }
    }
    await removeDelivery(prisma, id);
  }
}
