// How far the applications have been told that a person's access has ended. The running provider tells them; the
// command waits for a moment, so that the operator knows, and what is missing then is told without it.
import { setTimeout as pause } from 'node:timers/promises';
import { countWaiting } from '../../storage/deliveries.ts';
import type { AccessEnd } from '../../storage/revocation.ts';
import type { Storage } from '../../storage/storage.ts';

const PATIENCE = 3_000; // milliseconds
const EVERY = 50; // milliseconds

/** What has ended, for a program and in words. */
export async function endedAccess(
  { prisma }: Pick<Storage, 'prisma'>,
  { families, told }: AccessEnd,
) {
  const until = performance.now() + PATIENCE;
  let waiting = told.length;
  while (waiting > 0 && (waiting = await countWaiting(prisma, told)) > 0) {
    if (performance.now() > until) break;
    await pause(EVERY);
  }
  const arrived = told.length - waiting;
  return {
    facts: { ended: families, applications: { told: arrived, waiting } },
    families: families === 1 ? 'one refresh-token family' : `${families} refresh-token families`,
    applications: inWords(arrived, waiting),
  };
}

/** A sentence with the space before it; empty when there was nobody to tell. */
function inWords(arrived: number, waiting: number): string {
  if (arrived + waiting === 0) return '';
  const told = arrived === 1 ? 'One application was told' : `${arrived} applications were told`;
  return waiting === 0
    ? ` ${told}.`
    : ` ${told}, ${waiting} not yet: the running provider goes on trying for a week.`;
}
