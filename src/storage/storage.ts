// What everything that reads or writes is given: the database in its two ways, the keys, the clock.
import type { Pool } from 'pg';
import type { PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type Fast, createFast } from './fast/fast.ts';

export interface Storage {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name; see `connectPrepared`. */
  readonly pool: Pool;
  /** The frequent statements, on these connections. */
  readonly fast: Fast;
  readonly keyring: Keyring;
  /** The clock; tests set it. */
  readonly now: () => Date;
}

/** Storage on an open database. */
export function createStorage(
  parts: Pick<Storage, 'prisma' | 'pool' | 'keyring'>,
  now: () => Date = () => new Date(),
): Storage {
  return { ...parts, fast: createFast(parts.pool), now };
}

/** Seconds since 1970, as tokens have them (RFC 7519 §2, NumericDate). */
export function epoch(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
