// Opens storage: the database, and the keys that protect its data.
import type { Config } from '../config/config.ts';
import { type Migrations, openDatabase } from '../database/open.ts';
import { Keyring, keptSecret } from '../keys/keyring.ts';
import { keptClaims } from './claims-policy.ts';
import { type Storage, createStorage } from './storage.ts';
import { watchDatabase } from './watch.ts';

export interface OpenStorage {
  readonly storage: Storage;
  /** The names of the migrations that were just applied. */
  readonly applied: readonly string[];
  /** What an operator should know of the way to the database, in a sentence. */
  readonly remark: string | undefined;
  /** Watches the database's clock and its other users. */
  readonly watch: Awaited<ReturnType<typeof watchDatabase>>;
  readonly close: () => Promise<void>;
  /** Ends the use of an embedded PostgreSQL without waiting for queries, which fail then. */
  readonly release: () => Promise<void>;
}

/**
 * Opens storage with the secrets of the settings, or else the one in the data folder.
 *
 * @param migrations whether the tables are brought up to date, or must be
 */
export async function openStorage(config: Config, migrations: Migrations): Promise<OpenStorage> {
  const { prisma, pool, ...rest } = await openDatabase(config, { migrations });
  const keyring = new Keyring(config.secrets ?? [keptSecret(config.dataDir)]);
  const watch = await watchDatabase(pool);
  const storage = createStorage(
    { prisma, pool, keyring },
    { watch, isRelaxed: config.refreshToken.commit === 'relaxed' },
  );
  storage.kept.claims = await keptClaims(prisma);
  return { storage, watch, ...rest };
}
