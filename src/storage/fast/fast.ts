// What a provider does most: refreshing, and looking up what is presented. These statements go to the database's own
// driver, prepared by name, past Prisma's query interface, and for all requests of the moment together. They never wait
// for anybody: what is locked, has changed or is not the ordinary case is left to families.ts. What they read is in
// hot-reads.ts, what they write in hot-writes.ts; docs/performance.md tells what that buys.
import type { Pool } from 'pg';
import { Batch } from './batch.ts';
import {
  type ArtifactAsked,
  type ArtifactRead,
  type ClientRead,
  type GrantRead,
  type KnownClients,
  type RefreshRead,
  type ResourceRead,
  type SealedArtifact,
  lookUpAll,
  readArtifacts,
  readClients,
  readForRefresh,
  readGrants,
  readResources,
} from './reads.ts';
import {
  type AuthorizeWrite,
  type ExchangeWrite,
  type RefreshWrite,
  authorizeAll,
  exchangeAll,
  rotateAll,
} from './writes.ts';

export interface HotPath {
  client(id: string): Promise<ClientRead | undefined>;
  resource(id: string): Promise<ResourceRead | undefined>;
  grant(id: string): Promise<GrantRead | undefined>;
  /**
   * @param id the artifact's primary key
   * @param clientId who presents it, if that is to be read as well
   */
  artifact(id: Uint8Array, clientId?: string): Promise<ArtifactRead>;
  /**
   * Finds by the second way in: a session's uid, a device's user code. The newest, where two stand for a moment.
   *
   * @param lookups what may stand there, one for each secret
   */
  lookUp(model: string, lookups: readonly Uint8Array[]): Promise<SealedArtifact | undefined>;
  read(familyId: string, clientId: string): Promise<RefreshRead>;
  /** @returns whether it was done; if not, nothing was written, and why is to be found out by other means */
  rotate(write: RefreshWrite): Promise<boolean>;
  /** @returns see {@link rotate} */
  exchange(write: ExchangeWrite): Promise<boolean>;
  /** @returns see {@link rotate} */
  authorize(write: AuthorizeWrite): Promise<boolean>;
}

const hotPaths = new WeakMap<Pool, HotPath>();

/** The hot path on this pool. */
export function hotPathOf(pool: Pool): HotPath {
  const known = hotPaths.get(pool);
  if (known) return known;
  const clientsBefore: KnownClients = new Map();
  const clients = new Batch((ids: readonly string[]) => readClients(pool, clientsBefore, ids));
  const resources = new Batch((ids: readonly string[]) => readResources(pool, ids));
  const grants = new Batch((ids: readonly string[]) => readGrants(pool, ids));
  const artifacts = new Batch((asked: readonly ArtifactAsked[]) =>
    readArtifacts(pool, clientsBefore, asked),
  );
  const lookups = new Batch((asked: readonly [string, readonly Uint8Array[]][]) =>
    lookUpAll(pool, asked),
  );
  const reads = new Batch((asked: readonly [string, string][]) =>
    readForRefresh(pool, clientsBefore, asked),
  );
  const writes = new Batch((asked: readonly RefreshWrite[]) => rotateAll(pool, asked));
  const exchanges = new Batch((asked: readonly ExchangeWrite[]) => exchangeAll(pool, asked));
  const authorizations = new Batch((asked: readonly AuthorizeWrite[]) => authorizeAll(pool, asked));
  const made: HotPath = {
    client: (id) => clients.ask(id),
    resource: (id) => resources.ask(id),
    grant: (id) => grants.ask(id),
    artifact: (id, clientId) => artifacts.ask({ id, clientId }),
    lookUp: (model, values) => lookups.ask([model, values]),
    read: (familyId, clientId) => reads.ask([familyId, clientId]),
    rotate: (write) => writes.ask(write),
    exchange: (write) => exchanges.ask(write),
    authorize: (write) => authorizations.ask(write),
  };
  hotPaths.set(pool, made);
  return made;
}
