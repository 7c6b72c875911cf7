// Signing keys change while the provider runs, and so do the scopes and claims that files describe: every process looks
// for changes, its own or others', and serves with what is new within seconds.
import { isDeepStrictEqual } from 'node:util';
import { fingerprintKeys, loadSigningKeys, maintainKeys } from '../keys/signing-keys.ts';
import type { KeySchedule } from '../keys/signing-keys.ts';
import type { Log } from '../operations/log.ts';
import { type Outages, causeOf, reportOutages } from '../operations/outages.ts';
import { repeat } from '../operations/repeat.ts';
import { recordKeys } from '../storage/audit/keys.ts';
import { keptClaims } from '../storage/claims-policy.ts';
import { bySystem } from '../storage/origin.ts';
import type { Storage } from '../storage/storage.ts';
import type { Engine } from './engine.ts';

const EVERY = 2_000; // milliseconds between two looks
const DUE = 60_000; // milliseconds between two looks for keys to be made, promoted or removed

export interface KeyRotation {
  /** Looks once, and takes up new keys. */
  look(): Promise<void>;
  /** Why the keys could not be looked for or opened at the last look, in words. */
  readonly check: () => string | undefined;
  /** Looks again and again until stopped. */
  start(): { stop(): Promise<void> };
}

export interface KeyRotationParts {
  readonly storage: Storage;
  readonly schedule: KeySchedule;
  readonly engine: Engine;
  readonly log: Log;
  /** Is told every two seconds that the database answers. */
  readonly available: Pick<Outages, 'works'>;
}

/** @param known the fingerprint of the engine's keys */
export function createKeyRotation(
  { storage, schedule, engine, log, available }: KeyRotationParts,
  known: string,
): KeyRotation {
  const { prisma, keyring, now } = storage;
  let maintainedAt = now().getTime();
  const report = reportOutages(log, 'looking for signing keys');
  let wrong: string | undefined;
  const looking = repeat(look, {
    every: EVERY,
    onError(error) {
      report.onError(error);
      wrong = causeOf(error).reason;
    },
    onDone() {
      report.onDone();
      wrong = undefined;
      available.works();
    },
  });
  return { look, check: () => wrong, start: looking.start };

  async function look(): Promise<void> {
    if (now().getTime() - maintainedAt >= DUE) {
      maintainedAt = now().getTime();
      const record = recordKeys({ now: now(), origin: bySystem('keys') });
      await maintainKeys(prisma, keyring, now(), schedule, record);
    }
    const found = await fingerprintKeys(prisma, now(), schedule);
    const claims = await keptClaims(prisma);
    const areOthers = !isDeepStrictEqual(claims, storage.kept.claims);
    if (found === known && !areOthers) return;
    const keys = await loadSigningKeys(prisma, keyring, now(), schedule);
    storage.kept.claims = claims;
    engine.use(keys);
    if (found !== known) log.info('signing keys changed');
    if (areOthers) log.info('scopes and claims changed');
    known = found;
  }
}
