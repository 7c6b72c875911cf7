// The frequent statements: refreshing, exchanging, authorizing, and looking up what is presented. They go directly to
// the database's driver, prepared by name, in batches for all concurrent requests. They may say no, and never wait: a
// row that is locked or has changed is left alone, and the write is left to commit.ts. See docs/performance.md.
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
  type SampleClock,
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
  rotateAllRelaxed,
} from './writes.ts';

export interface Fast {
  client(id: string): Promise<ClientRead | undefined>;
  resource(id: string): Promise<ResourceRead | undefined>;
  grant(id: string): Promise<GrantRead | undefined>;
  /**
   * @param id the artifact's primary key
   * @param clientId the client that presents it, to be read as well
   */
  artifact(id: Uint8Array, clientId?: string): Promise<ArtifactRead>;
  /**
   * Finds a session by its uid, or a device code by its user code; the newest, when there are two for a moment.
   *
   * @param lookups the keyed hashes of the value, one for each secret
   */
  lookUp(model: string, lookups: readonly Uint8Array[]): Promise<ArtifactRow | undefined>;
  readForRefresh(query: RefreshQuery): Promise<RefreshRead>;
  /** @returns whether it was done; if not, nothing was written, and commit.ts finds out why */
  rotate(write: RefreshWrite): Promise<boolean>;
  /** @returns whether it was done, as of {@link rotate} */
  exchange(write: ExchangeWrite): Promise<boolean>;
  /** @returns whether it was done, as of {@link rotate} */
  authorize(write: AuthorizeWrite): Promise<boolean>;
}

export interface FastOptions {
  /** Takes the database's time, which the reads bring. */
  readonly sample?: SampleClock | undefined;
  /** Whether rotations do not wait for the disk. */
  readonly isRelaxed?: boolean;
}

/** The frequent statements on these connections. */
export function createFast(
  pool: Pool,
  { sample = () => undefined, isRelaxed = false }: FastOptions = {},
): Fast {
  const known = new KnownClients();
  const rotate = isRelaxed ? rotateAllRelaxed : rotateAll;
  const clients = new Batch((ids: readonly string[]) => readClients(pool, known, ids));
  const resources = new Batch((ids: readonly string[]) => readResources(pool, ids));
  const grants = new Batch((ids: readonly string[]) => readGrants(pool, ids));
  const artifacts = new Batch((asked: readonly ArtifactQuery[]) =>
    readArtifacts(pool, known, asked, sample),
  );
  const lookups = new Batch((asked: readonly LookupQuery[]) => lookUpArtifacts(pool, asked));
  const refreshes = new Batch((asked: readonly RefreshQuery[]) =>
    readForRefresh(pool, known, asked, sample),
  );
  const rotations = new Batch((asked: readonly RefreshWrite[]) => rotate(pool, asked));
  const exchanges = new Batch((asked: readonly ExchangeWrite[]) => exchangeAll(pool, asked));
  const authorizations = new Batch((asked: readonly AuthorizeWrite[]) => authorizeAll(pool, asked));
  return {
    client: (id) => clients.ask(id),
    resource: (id) => resources.ask(id),
    grant: (id) => grants.ask(id),
    artifact: (id, clientId) => artifacts.ask({ id, clientId }),
    lookUp: (model, values) => lookups.ask({ model, lookups: values }),
    readForRefresh: (query) => refreshes.ask(query),
    rotate: (write) => rotations.ask(write),
    exchange: (write) => exchanges.ask(write),
    authorize: (write) => authorizations.ask(write),
  };
}
