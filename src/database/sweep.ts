// The sweep: what has expired is deleted, a little at a time. Families are kept for a while after their end, so
// that it can be explained; one process sweeps at a time.
import type { PrismaClient } from '../generated/client.ts';

const EVERY = 60_000; // milliseconds
const SWEEPING = 5_991_004; // an advisory lock
const LEEWAY = 60_000; // milliseconds that the engine may still ask for what has expired: its clock tolerance
const EXPLAINABLE = 90 * 86_400_000; // milliseconds that a family is kept after its end
const BATCH = 5_000;

/** Sweeps now and then, until stopped. */
export function startSweeping(
  { prisma, now }: { prisma: PrismaClient; now: () => Date },
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    running = sweep(prisma, now()).catch(onError);
  }, EVERY);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

/** Deletes what has expired, at most {@link BATCH} rows of a kind. */
export async function sweep(prisma: PrismaClient, now: Date): Promise<void> {
  const expired = new Date(now.getTime() - LEEWAY);
  const explained = new Date(now.getTime() - EXPLAINABLE);
  await prisma.$transaction(async (database) => {
    const [lock] = await database.$queryRaw<
      { mine: boolean }[]
    >`SELECT pg_try_advisory_xact_lock(${SWEEPING}) AS mine`;
    if (!lock?.mine) return;
    await database.$executeRaw`DELETE FROM artifact WHERE id IN (SELECT id FROM artifact WHERE expires_at < ${expired} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)`;
    await database.$executeRaw`DELETE FROM "grant" WHERE id IN (SELECT id FROM "grant" WHERE expires_at < ${expired} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)`;
    await database.$executeRaw`DELETE FROM refresh_family WHERE id IN (
      SELECT id FROM refresh_family WHERE least(absolute_expires_at, idle_expires_at, coalesce(ended_at, 'infinity')) < ${explained}
      LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)`;
  });
}
