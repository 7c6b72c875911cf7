// The sweep: deletes expired rows in small batches, one process at a time (an advisory lock). A row that a request is
// using is skipped. Clients that registered themselves go when they are not used. Families are kept until their absolute end and the retention
// have passed, so that they can be explained; the audit has a retention of its own.
import { setTimeout as pause } from 'node:timers/promises';
import { Prisma, type PrismaClient } from '../generated/client.ts';
import { repeat } from '../operations/repeat.ts';
import { locks } from './locks.ts';

const EVERY = 60_000; // milliseconds
const LEEWAY = 60_000; // milliseconds for which the engine may still read an expired row: its clock tolerance
const BATCH = 1_000; // rows
const REST = 20; // milliseconds between two batches

export interface SweepParts {
  readonly prisma: PrismaClient;
  readonly now: () => Date;
  /** Seconds that a family is kept after its absolute end. */
  readonly retention: number;
  /** Seconds that an event of the audit is kept, once it is sealed. */
  readonly auditRetention: number;
  /** Seconds after which a client that registered itself and is not used is deleted; not set: never. */
  readonly unusedClients?: number;
}

/** The number of rows of each kind that wait for the sweep. */
export interface Backlog {
  readonly artifacts: number;
  readonly grants: number;
  readonly deliveries: number;
  readonly links: number;
  readonly families: number;
  readonly events: number;
  readonly attempts: number;
}

/** Sweeps every minute, until stopped. */
export function startSweeping(
  parts: SweepParts,
  onError: (error: unknown) => void,
  onDone?: () => void,
): { stop(): Promise<void> } {
  return repeat((signal) => sweep(parts, signal), { every: EVERY, onError, onDone }).start();
}

/**
 * Deletes expired rows, batch by batch, until none is left or another process is sweeping.
 *
 * @returns how many rows were deleted
 */
export async function sweep(parts: SweepParts, signal?: AbortSignal): Promise<number> {
  let total = 0;
  const kinds = expiries(parts).map((expiry) => () => deleteBatch(parts.prisma, expiry));
  for (const batch of [...kinds, () => deleteUnusedClients(parts)]) {
    for (let deleted = BATCH; deleted === BATCH && !signal?.aborted;) {
      deleted = await batch();
      total += deleted;
      if (deleted === BATCH) await pause(REST);
    }
  }
  for (let deleted = 1; deleted > 0 && !signal?.aborted;) {
    deleted = await deleteOldestEvents(parts);
    total += deleted;
  }
  return total;
}

/** The rows that wait for the sweep now. */
export async function backlog(parts: SweepParts): Promise<Backlog> {
  const counts = await Promise.all(
    expiries(parts).map(async ({ table, expired }) => {
      const [row] = await parts.prisma.$queryRaw<{ count: bigint }[]>`
        SELECT count(*) FROM ${table} WHERE ${expired}`;
      return Number(row?.count ?? 0);
    }),
  );
  const [artifacts = 0, grants = 0, deliveries = 0, links = 0, families = 0, attempts = 0] = counts;
  const [row] = await parts.prisma.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM audit_event, audit_checkpoint c
    WHERE position BETWEEN c.first AND c.last AND youngest < ${keptSince(parts)}
      AND number < (SELECT number FROM audit_head)`;
  const events = Number(row?.count ?? 0);
  return { artifacts, grants, deliveries, links, families, events, attempts };
}

interface Expiry {
  readonly table: Prisma.Sql;
  readonly expired: Prisma.Sql;
  /** The column that a row is deleted by; by default `id`. */
  readonly key?: Prisma.Sql;
}

function expiries({ now, retention }: SweepParts): Expiry[] {
  const expired = new Date(now().getTime() - LEEWAY);
  const explained = new Date(now().getTime() - retention * 1000);
  return [
    { table: Prisma.sql`artifact`, expired: Prisma.sql`expires_at < ${expired}` },
    { table: Prisma.sql`"grant"`, expired: Prisma.sql`expires_at < ${expired}` },
    { table: Prisma.sql`delivery`, expired: Prisma.sql`expires_at < ${expired}` },
    { table: Prisma.sql`link`, expired: Prisma.sql`expires_at < ${expired}` },
    { table: Prisma.sql`refresh_family`, expired: Prisma.sql`absolute_expires_at < ${explained}` },
    {
      table: Prisma.sql`attempt`,
      expired: Prisma.sql`expire < ${expired.getTime()}`,
      key: Prisma.sql`key`,
    },
  ];
}

function deleteBatch(
  prisma: PrismaClient,
  { table, expired, key = Prisma.sql`id` }: Expiry,
): Promise<number> {
  return alone(
    prisma,
    (database) => database.$executeRaw`
      DELETE FROM ${table} WHERE ${key} IN (
        SELECT ${key} FROM ${table} WHERE ${expired} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)`,
  );
}

function keptSince({ now, auditRetention }: SweepParts): Date {
  return new Date(now().getTime() - auditRetention * 1000);
}

/**
 * Deletes the oldest events of the audit with the seal over them, so that what is left can still be checked: all of the
 * oldest checkpoint, once its youngest event is old enough. The last checkpoint stays.
 */
function deleteOldestEvents(parts: SweepParts): Promise<number> {
  return alone(
    parts.prisma,
    (database) => database.$executeRaw`
      WITH gone AS (
        DELETE FROM audit_checkpoint
        WHERE number = (SELECT min(number) FROM audit_checkpoint) AND youngest < ${keptSince(parts)}
          AND number < (SELECT number FROM audit_head)
        RETURNING first, last)
      DELETE FROM audit_event USING gone WHERE position BETWEEN gone.first AND gone.last`,
  );
}

/**
 * Deletes clients that registered themselves, whom nobody vouches for, and who have no grant and no family any more, with
 * their registration access tokens. A document's row is made again when it is needed.
 */
async function deleteUnusedClients({ prisma, now, unusedClients }: SweepParts): Promise<number> {
  if (unusedClients === undefined) return 0;
  const since = new Date(now().getTime() - unusedClients * 1000);
  return alone(
    prisma,
    (database) => database.$executeRaw`
      WITH gone AS (
        DELETE FROM client WHERE id IN (
          SELECT c.id FROM client c
          WHERE c.updated_at < ${since}
            AND (c.metadata->>'client_id_issued_at' IS NOT NULL
              OR c.metadata->>'client_id_metadata_document' IS NOT NULL)
            AND c.metadata->>'vouched_for' IS DISTINCT FROM 'true'
            AND NOT EXISTS (SELECT FROM "grant" g WHERE g.client_id = c.id)
            AND NOT EXISTS (SELECT FROM refresh_family f WHERE f.client_id = c.id)
          LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
        RETURNING id),
      tokens AS (
        DELETE FROM artifact
        WHERE model = 'RegistrationAccessToken' AND client_id IN (SELECT id FROM gone))
      INSERT INTO audit_event (at, type, client_id, actor_kind, actor_id, detail)
      SELECT ${now()}, 'client.removed', id, 'system', 'sweep', '{"reason": "unused"}' FROM gone`,
  );
}

/** Does one batch, unless another process is sweeping. @returns how many rows were deleted */
function alone(
  prisma: PrismaClient,
  batch: (database: Prisma.TransactionClient) => Promise<number>,
): Promise<number> {
  return prisma.$transaction(async (database) => {
    const [lock] = await database.$queryRaw<{ mine: boolean }[]>`
      SELECT pg_try_advisory_xact_lock(${locks.sweeping}) AS mine`;
    return lock?.mine ? batch(database) : 0;
  });
}
