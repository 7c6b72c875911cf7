// The frequent statements: refreshing, exchanging, authorizing, and looking up what is presented. They go to the
// database's own driver, prepared by name, past Prisma's query interface, and for all requests of the moment together.
// They may say no and never wait for anybody: what is locked, has changed or is not ordinary was not done, and is left
// to commit.ts. docs/performance.md tells what that buys.
import type { Pool } from 'pg';
import { Batch } from './batch.ts';
import { type ClientRead, KnownClients } from './known-clients.ts';
import {
  type ArtifactQuery,
  type ArtifactRead,
  type GrantRead,
  type LookupQuery,
  type RefreshQuery,
  type RefreshRead,
  type ResourceRead,
  type ArtifactRow,
  lookUpArtifacts,
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

export interface Fast {
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
  lookUp(model: string, lookups: readonly Uint8Array[]): Promise<ArtifactRow | undefined>;
  readForRefresh(familyId: string, clientId: string): Promise<RefreshRead>;
  /** @returns whether it was done; if not, nothing was written, and why is to be found out by other means */
  rotate(write: RefreshWrite): Promise<boolean>;
  /** @returns see {@link rotate} */
  exchange(write: ExchangeWrite): Promise<boolean>;
  /** @returns see {@link rotate} */
  authorize(write: AuthorizeWrite): Promise<boolean>;
}

/** The frequent statements on these connections. */
export function createFast(pool: Pool): Fast {
  const known = new KnownClients();
  const clients = new Batch((ids: readonly string[]) => readClients(pool, known, ids));
  const resources = new Batch((ids: readonly string[]) => readResources(pool, ids));
  const grants = new Batch((ids: readonly string[]) => readGrants(pool, ids));
  const artifacts = new Batch((asked: readonly ArtifactQuery[]) =>
    readArtifacts(pool, known, asked),
  );
  const lookups = new Batch((asked: readonly LookupQuery[]) => lookUpArtifacts(pool, asked));
  const refreshes = new Batch((asked: readonly RefreshQuery[]) =>
    readForRefresh(pool, known, asked),
  );
  const rotations = new Batch((asked: readonly RefreshWrite[]) => rotateAll(pool, asked));
  const exchanges = new Batch((asked: readonly ExchangeWrite[]) => exchangeAll(pool, asked));
  const authorizations = new Batch((asked: readonly AuthorizeWrite[]) => authorizeAll(pool, asked));
  return {
    client: (id) => clients.ask(id),
    resource: (id) => resources.ask(id),
    grant: (id) => grants.ask(id),
    artifact: (id, clientId) => artifacts.ask({ id, clientId }),
    lookUp: (model, values) => lookups.ask({ model, lookups: values }),
    readForRefresh: (familyId, clientId) => refreshes.ask({ familyId, clientId }),
    rotate: (write) => rotations.ask(write),
    exchange: (write) => exchanges.ask(write),
    authorize: (write) => authorizations.ask(write),
  };
}
