// Messages that must arrive: to relying parties over HTTP, to people by mail. A message is committed with the change
// that it tells of, and sent afterwards. The process that sends one leases it for a while; a failed attempt is repeated
// after a growing delay. A logout token lives for minutes only, so it is made anew at every attempt.
import { randomUUID } from 'node:crypto';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import { type Keyring, SealError } from '../keys/keyring.ts';
import type { SealedTable } from '../keys/reseal.ts';
import type { MailRequests, MailTemplates } from './mail-templates.ts';

/** A POST request. */
export interface Message {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface MailValues extends MailTemplates, MailRequests {}

/** What a mail from one of these templates is made of when it is sent. */
export type MailOf<Template extends keyof MailValues> = {
  [T in Template]: {
    /** When it is due, in milliseconds since the epoch; not set: at once. */
    readonly dueAt?: number;
    /** One e-mail address. */
    readonly to: string;
    /** BCP 47; null when unknown. */
    readonly locale: string | null;
    readonly template: T;
    readonly values: MailValues[T];
  };
}[Template];

export type Mail = MailOf<keyof MailValues>;

/** What tells an application that a person is signed out (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export interface Logout {
  readonly clientId: string;
  readonly accountId: string;
  /** The session that has ended; not set: all of them. */
  readonly sid?: string | undefined;
}

interface Contents {
  readonly http: Message;
  readonly logout: Logout;
  readonly mail: Mail;
}

export type Channel = keyof Contents;

interface Taken {
  readonly id: string;
  /** Attempts so far, this one included. */
  readonly attempts: number;
  readonly isLast: boolean;
}

export type Delivery<C extends Channel> = Contents[C] & Taken;

interface Schedule {
  /** Milliseconds after which it is no longer worth sending. */
  readonly life: number;
  /** Seconds of the lease: longer than an attempt takes. */
  readonly lease: number;
  /** Seconds until the second attempt; the delay doubles with each, up to the longest. */
  readonly first: number;
  readonly longest: number;
}

const schedules: Record<Channel, Schedule> = {
  http: { life: 120_000, lease: 10, first: 2, longest: 3600 },
  logout: { life: 7 * 86_400_000, lease: 10, first: 2, longest: 3600 },
  mail: { life: 86_400_000, lease: 120, first: 10, longest: 3600 },
};

/** Queues messages to relying parties, which are sent once the transaction is committed. */
export async function saveDeliveries(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  messages: readonly Message[],
  now: Date,
): Promise<void> {
  await save(database, keyring, 'http', messages, now, now);
}

/** Has applications told that a person is signed out, once the transaction is committed. @returns the messages' ids */
export function saveLogouts(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  logouts: readonly Logout[],
  now: Date,
): Promise<string[]> {
  return save(database, keyring, 'logout', logouts, now, now);
}

/** How many of these messages have not arrived yet, and are still tried. */
export function countWaiting(prisma: PrismaClient, ids: readonly string[]): Promise<number> {
  return prisma.delivery.count({ where: { id: { in: [...ids] } } });
}

/**
 * Queues a mail, which is sent once the transaction is committed.
 *
 * @param expiresAt after this time it is not sent any more; a day from now at most
 */
export async function saveMail(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  mail: Mail,
  now: Date,
  expiresAt?: Date,
): Promise<void> {
  const dueAt = mail.dueAt === undefined ? now : new Date(mail.dueAt);
  await save(database, keyring, 'mail', [mail], now, dueAt, expiresAt);
}

/**
 * Takes the deliveries that are due. The caller must remove or postpone each; otherwise it is due again when its lease
 * ends. A mail that is too old is left to the sweep; a message to a relying party is tried once more, however late. A
 * delivery that this process cannot open is left to others.
 *
 * @param most how many at once
 */
export async function takeDeliveries<C extends Channel>(
  prisma: PrismaClient,
  keyring: Keyring,
  channel: C,
  now: Date,
  most = 10,
): Promise<Delivery<C>[]> {
  const { lease, first, longest } = schedules[channel];
  const rows = await prisma.$queryRaw<
    { id: string; sealed: Uint8Array; attempts: number; is_last: boolean }[]
  >`
    UPDATE delivery
    SET attempts = attempts + 1, next_at = ${now}::timestamptz + ${lease} * interval '1 second'
    WHERE id IN (
      SELECT id FROM delivery WHERE channel = ${channel} AND next_at <= ${now} AND (${channel} <> 'mail' OR expires_at > ${now})
      ORDER BY next_at LIMIT ${most} FOR UPDATE SKIP LOCKED)
    RETURNING id, sealed, attempts, ${now}::timestamptz
      + interval '1 second' * least(${first} * power(2, attempts - 1), ${longest}) >= expires_at AS is_last`;
  return rows.flatMap(({ id, sealed, attempts, is_last: isLast }) => {
    const content = open(keyring, id, sealed) as Contents[C] | undefined;
    return content ? [{ ...content, id, attempts, isLast }] : [];
  });
}

/** Postpones the next attempt: over HTTP by 2, 4, 8, … seconds, mail by 10, 20, 40, …, an hour at most. */
export async function postponeDelivery(
  prisma: PrismaClient,
  channel: Channel,
  { id, attempts }: Pick<Taken, 'id' | 'attempts'>,
  now: Date,
): Promise<void> {
  const { first, longest } = schedules[channel];
  const nextAt = new Date(now.getTime() + 1000 * Math.min(first * 2 ** (attempts - 1), longest));
  await prisma.delivery.updateMany({ where: { id }, data: { nextAt } });
}

/** Replaces a mail that was taken by another, unless another process has taken it meanwhile. */
export async function replaceMail(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { id, attempts }: Pick<Taken, 'id' | 'attempts'>,
  mail: Mail,
): Promise<void> {
  const sealed = keyring.seal(deliveryContext(id), JSON.stringify(mail));
  const { count } = await database.delivery.updateMany({
    where: { id, attempts },
    data: { sealed },
  });
  if (count === 0) throw new Error('another process has taken this mail meanwhile');
}

/** Removes a delivery that was sent, or that is not tried again. */
export async function removeDelivery(
  database: Prisma.TransactionClient,
  id: string,
): Promise<void> {
  await database.delivery.deleteMany({ where: { id } });
}

/** Removes the mails to an address that were not sent yet. */
export async function removeMailsTo(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  email: string,
): Promise<void> {
  const rows = await database.delivery.findMany({ where: { channel: 'mail' } });
  const theirs = rows.filter(
    ({ id, sealed }) => (open(keyring, id, sealed) as Mail | undefined)?.to === email,
  );
  await database.delivery.deleteMany({ where: { id: { in: theirs.map(({ id }) => id) } } });
}

/** The record's identity, under which it is sealed. */
export function deliveryContext(id: string): string {
  return `delivery ${id}`;
}

export const sealedDeliveries: SealedTable<string> = {
  name: 'deliveries',
  table: 'delivery',
  key: 'id',
  column: 'sealed',
  told: 'channel',
  context: deliveryContext,
};

async function save(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  channel: Channel,
  contents: readonly (Message | Logout | Mail)[],
  now: Date,
  nextAt: Date,
  until?: Date,
): Promise<string[]> {
  if (contents.length === 0) return [];
  const longest = new Date(now.getTime() + schedules[channel].life);
  const expiresAt = until && until < longest ? until : longest;
  const data = contents.map((content) => {
    const id = randomUUID();
    const sealed = keyring.seal(deliveryContext(id), JSON.stringify(content));
    return { id, channel, sealed, nextAt, expiresAt };
  });
  await database.delivery.createMany({ data });
  return data.map(({ id }) => id);
}

function open(keyring: Keyring, id: string, sealed: Uint8Array): unknown {
  try {
    return JSON.parse(keyring.unseal(deliveryContext(id), sealed));
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}
