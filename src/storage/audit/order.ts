// The order of the audit. An event's id is taken before its transaction commits, so a reader that has gone past an id may
// miss a smaller one that commits later. So an event gets its place - its position, from 1, without gaps - once it is
// committed, by whoever asks for the order first: one process at a time, whose next places are above all that anybody
// can have read. No transaction that takes long, in this database or another, holds the order up.
import { locks } from '../../database/locks.ts';
import type { Prisma, PrismaClient } from '../../generated/client.ts';

const BATCH = 5_000; // events that one transaction gives their places

/** Gives every event that is committed by now its place. @returns the last position */
export async function placeEvents(prisma: PrismaClient): Promise<bigint> {
  for (;;) {
    const [waiting] = await prisma.$queryRaw<{ some: boolean; position: bigint | null }[]>`
      SELECT EXISTS (SELECT FROM audit_event WHERE position = 0) AS some,
             (SELECT position FROM audit_head) AS position`;
    if (waiting?.some !== true) return waiting?.position ?? 0n;
    await prisma.$transaction(async (database) => {
      await awaitTurn(database);
      // A statement of its own, after the lock: it sees what the process before has placed.
      await database.$executeRaw`
        WITH head AS (SELECT position FROM audit_head),
        next AS (
          SELECT id, row_number() OVER (ORDER BY id) AS n
          FROM (SELECT id FROM audit_event WHERE position = 0 ORDER BY id LIMIT ${BATCH}) AS waiting),
        placed AS (
          UPDATE audit_event e SET position = head.position + next.n FROM next, head WHERE e.id = next.id
          RETURNING e.id)
        UPDATE audit_head SET position = position + (SELECT count(*) FROM placed)`;
    });
  }
}

/** Lets one transaction at a time change the order and its seals. */
export async function awaitTurn(database: Prisma.TransactionClient): Promise<void> {
  await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.orderingAudit})`;
  await database.$executeRaw`INSERT INTO audit_head (id) VALUES (1) ON CONFLICT DO NOTHING`;
}
