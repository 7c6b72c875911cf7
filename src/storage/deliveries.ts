// Messages to relying parties that must arrive. They are written with the change that they tell of, and sent once
// that is committed; whichever process sends one takes it for a while, and what fails is tried again, later each time.
import { randomUUID } from 'node:crypto';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';

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
      const sealed = keyring.seal(contextOf(id), JSON.stringify(message));
      return { id, sealed, nextAt: now, expiresAt: new Date(now.getTime() + LIFE) };
    }),
  });
}

/** Takes what is due; it is due again after 2, 4, 8, … seconds, unless it was removed by then. */
export async function takeDeliveries(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
): Promise<Delivery[]> {
  const rows = await prisma.$queryRaw<
    { id: string; sealed: Uint8Array; attempts: number; is_last: boolean }[]
  >`
    UPDATE delivery
    SET attempts = attempts + 1, next_at = ${now}::timestamptz + 2 * interval '1 second' * power(2, attempts)
    WHERE id IN (
      SELECT id FROM delivery WHERE next_at <= ${now} ORDER BY next_at LIMIT ${AT_ONCE} FOR UPDATE SKIP LOCKED)
    RETURNING id, sealed, attempts, next_at >= expires_at AS is_last`;
  return rows.map(({ id, sealed, attempts, is_last: isLast }) => {
    const message = JSON.parse(keyring.unseal(contextOf(id), sealed)) as Message;
    return { ...message, id, attempts, isLast };
  });
}

export async function removeDelivery(prisma: PrismaClient, id: string): Promise<void> {
  await prisma.delivery.deleteMany({ where: { id } });
}

function contextOf(id: string): string {
  return `delivery ${id}`;
}
