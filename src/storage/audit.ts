// The audit: what happened, to whom, from where; never a secret. An event is committed together with the change that it
// records. Pages and the engine's callbacks use the unit of work (`currentUnit().audit`); a function that is given a
// transaction uses `writeEvent`.
import type { Prisma } from '../generated/client.ts';
import type { EventType } from './audit/types.ts';
import { type Occasion, eventColumns } from './origin.ts';

export type { EventType };

export interface AuditEvent {
  readonly type: EventType;
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly familyId?: string | undefined;
  readonly detail?: Prisma.InputJsonObject | undefined;
}

/** Writes events, in their order. @param database the transaction of the changes that they record */
export async function writeEvents(
  database: Prisma.TransactionClient,
  events: readonly AuditEvent[],
  { now, origin }: Occasion,
): Promise<void> {
  if (events.length === 0) return;
  await database.auditEvent.createMany({
    data: events.map(({ detail, ...event }) => ({
      ...event,
      ...(detail ? { detail } : {}),
      at: now,
      ...eventColumns(origin),
    })),
  });
}

/** Writes one event; see {@link writeEvents}. */
export function writeEvent(
  database: Prisma.TransactionClient,
  event: AuditEvent,
  occasion: Occasion,
): Promise<void> {
  return writeEvents(database, [event], occasion);
}
