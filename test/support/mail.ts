// A real SMTP server that keeps what it is given, and a reader for the mails that we make.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  /** Lower-case names; encoded words are decoded. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly html: string;
  /** The links of the text. */
  readonly links: readonly URL[];
}

export interface MailServer {
  readonly url: string;
  readonly port: number;
  readonly mails: ReceivedMail[];
  /** Set: what the server answers to RCPT TO or to the whole mail instead of taking it. */
  refuse: { at: 'rcpt' | 'data'; code: number } | undefined;
  /** Called with a mail before it is acknowledged; the acknowledgement waits for it. */
  hold: ((mail: ReceivedMail) => Promise<void>) | undefined;
  close(): Promise<void>;
}

export async function startMailServer(
  port = 0,
  login?: { user: string; pass: string },
): Promise<MailServer> {
  const smtp = new SMTPServer({
    authOptional: login === undefined,
    allowInsecureAuth: true,
    closeTimeout: 1, // milliseconds: clients keep connections for the next mail
    disabledCommands: ['STARTTLS'],
    onAuth({ username, password }, _session, done) {
      const isRight = username === login?.user && password === login?.pass;
      done(isRight ? null : new Error('wrong login'), isRight ? { user: username } : undefined);
    },
    onRcptTo(_address, _session, done) {
      done(server.refuse?.at === 'rcpt' ? refusal(server.refuse.code) : undefined);
    },
    onData(stream, session, done) {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk as Buffer);
        const { mailFrom, rcptTo } = session.envelope;
        const mail = read(
          Buffer.concat(chunks).toString('utf8'),
          mailFrom ? mailFrom.address : '',
          rcptTo.map(({ address }) => address),
        );
        if (server.refuse?.at === 'data') {
          done(refusal(server.refuse.code));
          return;
        }
        server.mails.push(mail);
        await server.hold?.(mail);
        done();
      })();
    },
  });
  smtp.on('error', () => undefined); // a client that is killed
  smtp.listen(port, '127.0.0.1');
  await once(smtp.server, 'listening');
  const { port: listening } = smtp.server.address() as AddressInfo;
  const userinfo = login
    ? `${encodeURIComponent(login.user)}:${encodeURIComponent(login.pass)}@`
    : '';
  const server: MailServer = {
    url: `smtp://${userinfo}127.0.0.1:${listening}`,
    port: listening,
    mails: [],
    refuse: undefined,
    hold: undefined,
    close: () =>
      new Promise((resolve) => {
        smtp.close(resolve);
      }),
  };
  return server;
}

function refusal(responseCode: number): Error {
  return Object.assign(new Error('refused'), { responseCode });
}

function read(raw: string, from: string, to: string[]): ReceivedMail {
  const { headers, body } = part(raw);
  const boundary = /boundary="([^"]+)"/.exec(headers['content-type'] ?? '')?.[1] ?? '';
  const parts = body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((text) => part(text.replace(/^\r\n/, '')));
  const content = (type: string) => {
    const found = parts.find((one) => one.headers['content-type']?.startsWith(type));
    return found ? decoded(found.body, found.headers['content-transfer-encoding'] ?? '') : '';
  };
  const text = content('text/plain').replaceAll('\r\n', '\n');
  const links = [...text.matchAll(/^https?:\/\/\S+$/gm)].map(([link]) => new URL(link));
  return { from, to, raw, headers, text, html: content('text/html'), links };
}

function part(raw: string): { headers: Record<string, string>; body: string } {
  const end = raw.indexOf('\r\n\r\n');
  const lines = raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), words(line.slice(colon + 1).trim())];
    }),
  );
  return { headers, body: raw.slice(end + 4) };
}

// RFC 2047; words that follow each other are one text.
function words(value: string): string {
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([qb])\?([^?]*)\?=/gi, (_all, how: string, text: string) =>
      how.toLowerCase() === 'b'
        ? Buffer.from(text, 'base64').toString('binary')
        : quoted(text.replaceAll('_', ' ')),
    )
    .replace(/[\u0080-\u00ff]+/g, (bytes) => Buffer.from(bytes, 'binary').toString('utf8'));
}

function decoded(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  return Buffer.from(quoted(body.replace(/=\r\n/g, '')), 'binary').toString('utf8');
}

function quoted(text: string): string {
  return text.replace(/=([0-9A-F]{2})/gi, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
