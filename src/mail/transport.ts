// Hands mails over to the SMTP server, or in development to standard output. Nothing of a mail is ever logged.
import type { Transporter } from 'nodemailer';
import { asciiAddress } from '../accounts/email-address.ts';
import type { Config } from '../config/config.ts';
import type { Letter } from './letter.ts';

export interface Envelope extends Letter {
  /** The same for every attempt, so that a mail that arrives twice is recognised. */
  readonly id: string;
  readonly to: string;
}

export interface Transport {
  /** @throws {SendError} when the server has not accepted it */
  send(envelope: Envelope): Promise<void>;
  close(): void;
}

/** A mail was not accepted. `message` has the server's answer, for the command line; the log gets `reason`. */
export class SendError extends Error {
  /** Contains nothing of the mail or the person. */
  readonly reason: string;
  /** Whether another attempt would fail too: the server does not know the address (RFC 5321 §4.2.1). */
  readonly isFinal: boolean;

  constructor(cause: unknown) {
    const { message, code, responseCode, command } = cause as {
      message: string;
      code?: string;
      responseCode?: number;
      command?: string;
    };
    super(message, { cause });
    this.name = 'SendError';
    this.reason = [code, responseCode].filter((part) => part !== undefined).join(' ');
    this.isFinal = command === 'RCPT TO' && (responseCode ?? 0) >= 500;
  }
}

const TIMEOUT = 20_000; // milliseconds for each step; together less than the lease of a mail

/** @returns undefined when mail is off */
export function createMailTransport({
  mail: { mode, smtpUrl, from },
  issuer,
}: Pick<Config, 'mail' | 'issuer'>): Transport | undefined {
  if (mode === 'off') return undefined;
  if (smtpUrl === undefined) return printing;
  // Loaded with the first mail.
  let opened: Promise<Transporter> | undefined;
  const open = async (): Promise<Transporter> => {
    const { createTransport } = await import('nodemailer');
    return createTransport({
      url: smtpUrl,
      pool: true,
      maxConnections: 2,
      connectionTimeout: TIMEOUT,
      greetingTimeout: TIMEOUT,
      socketTimeout: TIMEOUT,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  };
  const { hostname } = new URL(issuer);
  return {
    async send({ id, to, subject, html, text }) {
      try {
        const smtp = await (opened ??= open());
        await smtp.sendMail({
          from,
          // An object, so that the text is one address.
          // The domain in ASCII, which every mail server takes.
          to: { name: '', address: asciiAddress(to) },
          subject,
          html,
          text,
          messageId: `<${id}@${hostname}>`,
          headers: { 'Auto-Submitted': 'auto-generated' }, // RFC 3834 §5
        });
      } catch (error) {
        throw new SendError(error);
      }
    },
    close() {
      void opened?.then((smtp) => {
        smtp.close();
      });
    },
  };
}

const printing: Transport = {
  send({ to, text }) {
    const lines = `To: ${to}\n\n${text}`.trim().split('\n');
    process.stdout.write(`\n${lines.map((line) => `  | ${line}`).join('\n')}\n\n`);
    return Promise.resolve();
  },
  close() {
    // There is nothing to close.
  },
};
