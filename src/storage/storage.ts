// What all code that reads or writes data is given: the database, through Prisma and directly, the keys, the clock.
import type { Pool } from 'pg';
import { type ClaimsConfig, standardOnly } from '../config/claims.ts';
import type { PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type EngineClient, createEngineClient } from './clients.ts';
import { type Fast, createFast } from './fast/fast.ts';
import { TOLERATED, type Watch } from './watch.ts';

export interface Storage {
  readonly prisma: PrismaClient;
  /** Connections for statements that are prepared by name (`connectPrepared`). */
  readonly pool: Pool;
  /** The frequent statements, on these connections. */
  readonly fast: Fast;
  readonly keyring: Keyring;
  /** The scopes and claims in the database, as this process has read them last. */
  readonly kept: { claims: ClaimsConfig };
  /** A client's row as the engine wants it. */
  readonly engineClient: EngineClient;
  /** The clock: the database's; tests set it. */
  readonly now: () => Date;
  /** Seconds by which it is ahead of this process's, which the engine goes by; 0 when they hardly differ. */
  readonly shift: () => number;
  /** Seconds by which this process's clock is ahead of the database's; undefined when they hardly differ. */
  readonly clockOffset: () => number | undefined;
  /** Whether refresh tokens are issued in their first form, for processes of a former build beside this one. */
  readonly issuesFirstForm: () => boolean;
}

export interface StorageOptions {
  readonly watch?: Watch;
  readonly now?: () => Date;
  /** Whether rotations do not wait for the disk. */
  readonly isRelaxed?: boolean;
}

/** Storage on an open database. */
export function createStorage(
  parts: Pick<Storage, 'prisma' | 'pool' | 'keyring'>,
  { watch, now = watch?.now ?? (() => new Date()), isRelaxed = false }: StorageOptions = {},
): Storage {
  const { prisma, pool, keyring } = parts;
  /** Milliseconds; 0 when they hardly differ. */
  const ahead = () => {
    const by = watch?.ahead() ?? 0;
    return Math.abs(by) > TOLERATED ? by : 0;
  };
  return {
    ...{ prisma, pool, keyring, now },
    kept: { claims: standardOnly },
    fast: createFast(pool, { sample: watch?.sample, isRelaxed }),
    engineClient: createEngineClient(keyring),
    shift: () => Math.round(ahead() / 1000),
    clockOffset: () => (ahead() === 0 ? undefined : -Math.round(ahead() / 100) / 10),
    issuesFirstForm: () => watch?.isFormerBuildThere() ?? false,
  };
}

/** Seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, NumericDate). */
export function epoch(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
