// Messages to relying parties that must arrive. They are written with the change that they tell of, and sent once
// that is committed; whichever process sends one takes it for a while, and what fails is tried again, later each time.
import { randomUUID } from 'node:crypto';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import { type Keyring, SealError } from '../keys/keyring.ts';

/** A POST request. */
export interface Message {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

export interface Delivery extends Message {
  readonly id: string;
  /** How often it was tried, this time included. */
  readonly attempts: number;
  readonly isLast: boolean;
}

const LIFE = 120_000; // milliseconds: a logout token lives as long
const AT_ONCE = 10;
const LEASE = 10; // seconds: longer than an attempt takes

export async function saveDeliveries(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  messages: readonly Message[],
  now: Date,
): Promise<void> {
  if (messages.length === 0) return;
  await database.delivery.createMany({
    data: messages.map((message) => {
      const id = randomUUID();
      const sealed = keyring.seal(deliveryContext(id), JSON.stringify(message));
      return { id, sealed, nextAt: now, expiresAt: new Date(now.getTime() + LIFE) };
    }),
  });
}

/**
 * Takes what is due. Whoever takes one must remove or postpone it; if it does not, it is due again after a while.
 * One that this process cannot open is left to others.
 */
export async function takeDeliveries(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
): Promise<Delivery[]> {
  const rows = await prisma.$queryRaw<
    { id: string; sealed: Uint8Array; attempts: number; is_last: boolean }[]
  >`
    UPDATE delivery
    SET attempts = attempts + 1, next_at = ${now}::timestamptz + ${LEASE} * interval '1 second'
    WHERE id IN (
      SELECT id FROM delivery WHERE next_at <= ${now} ORDER BY next_at LIMIT ${AT_ONCE} FOR UPDATE SKIP LOCKED)
    RETURNING id, sealed, attempts,
      ${now}::timestamptz + interval '1 second' * power(2, attempts) >= expires_at AS is_last`;
  return rows.flatMap(({ id, sealed, attempts, is_last: isLast }) => {
    const message = open(keyring, id, sealed);
    return message ? [{ ...message, id, attempts, isLast }] : [];
  });
}

/** Has it tried again: after 2, 4, 8, … seconds. */
export async function postponeDelivery(
  prisma: PrismaClient,
  id: string,
  attempts: number,
  now: Date,
): Promise<void> {
  const nextAt = new Date(now.getTime() + 1000 * 2 ** attempts);
  await prisma.delivery.updateMany({ where: { id }, data: { nextAt } });
}

export async function removeDelivery(prisma: PrismaClient, id: string): Promise<void> {
  await prisma.delivery.deleteMany({ where: { id } });
}

function open(keyring: Keyring, id: string, sealed: Uint8Array): Message | undefined {
  try {
    return JSON.parse(keyring.unseal(deliveryContext(id), sealed)) as Message;
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}

/** The record's own identity, under which it is sealed. */
export function deliveryContext(id: string): string {
  return `delivery ${id}`;
}
