// What all code that reads or writes data is given: the database, through Prisma and directly, the keys, the clock.
import type { Pool } from 'pg';
import type { PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type EngineClient, createEngineClient } from './clients.ts';
import { type Fast, createFast } from './fast/fast.ts';

export interface Storage {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name (`connectPrepared`). */
  readonly pool: Pool;
  /** The frequent statements, on these connections. */
  readonly fast: Fast;
  readonly keyring: Keyring;
  /** A client's row as the engine wants it. */
  readonly engineClient: EngineClient;
  /** The clock; tests set it. */
  readonly now: () => Date;
}

/** Storage on an open database. */
export function createStorage(
  parts: Pick<Storage, 'prisma' | 'pool' | 'keyring'>,
  now: () => Date = () => new Date(),
): Storage {
  const { prisma, pool, keyring } = parts;
  const engineClient = createEngineClient(keyring);
  return { prisma, pool, keyring, fast: createFast(pool), engineClient, now };
}

/** Seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, NumericDate). */
export function epoch(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
