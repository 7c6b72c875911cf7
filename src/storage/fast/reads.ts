// The frequent reads: one statement reads the client, family, grant, person and resource of each refresh, another an
// artifact with the client that presents it and everything it belongs to. A test compares them with Prisma's reads.
import type { Pool } from 'pg';
import type { Account, Artifact, Grant, RefreshFamily, Resource } from '../../generated/client.ts';
import { type ClientRead, type KnownClients, isSame } from './known-clients.ts';
import { type Columns, type Row, byItem, columns, lookUp, statement } from './statements.ts';

/** Only the columns that are needed: reading the others, above all times, costs more than finding the row. */
export type GrantRead = Pick<Grant, 'id' | 'payload' | 'expiresAt'>;
export type AccountRead = Omit<
  Account,
  'passwordHash' | 'admin' | 'createdAt' | 'emailAscii' | 'deleteAt'
>;
export type ResourceRead = Omit<Resource, 'applied' | 'createdAt' | 'updatedAt'>;
type FamilyRow = Omit<RefreshFamily, 'lastUsedAt' | 'lastUsedIp'>;
export type FamilyRead = FamilyRow & { readonly grant: GrantRead | null };

/** The columns that are needed to open an artifact. */
export type ArtifactRow = Pick<Artifact, 'id' | 'sealed' | 'consumedAt'>;

/** A query for an artifact. */
export interface ArtifactQuery {
  /** Its primary key. */
  readonly id: Uint8Array;
  /** The client that presents it. */
  readonly clientId: string | undefined;
}

/** The client that presents an artifact, and the artifact with everything it belongs to. */
export interface ArtifactRead {
  readonly presenter: ClientRead | undefined;
  readonly found: ArtifactFound | undefined;
}

export interface ArtifactFound {
  readonly artifact: ArtifactRow & Pick<Artifact, 'clientId' | 'familyId'>;
  readonly grant: GrantRead | undefined;
  readonly client: ClientRead | undefined;
  readonly account: AccountRead | undefined;
  /** The session that it ends with. */
  readonly session: ArtifactRow | undefined;
}

/** A query for a session by its uid, or for a device code by its user code. */
export interface LookupQuery {
  readonly model: string;
  /** The keyed hashes of the value, one for each secret. */
  readonly lookups: readonly Uint8Array[];
}

/** Takes a reading of the database's clock, in milliseconds since the epoch, and when it was asked for and came. */
export type SampleClock = (asked: number, database: number, came: number) => void;

const CLOCK = 'extract(epoch FROM clock_timestamp())::float8 * 1000 AS "clock"';

export interface RefreshQuery {
  readonly familyId: string;
  /** Of a token without a proof: SHA-256 of its secret, without which the family is not found. */
  readonly secretHash: Uint8Array | undefined;
  readonly clientId: string;
}

/** What a refresh reads. */
export interface RefreshRead {
  readonly client: ClientRead | undefined;
  readonly family: FamilyRead | undefined;
  readonly account: AccountRead | undefined;
  /** The resource server of its access tokens, if there is exactly one. */
  readonly resource: ResourceRead | undefined;
}

const grants = columns<GrantRead>('grant', {
  id: 'id',
  payload: 'payload',
  expiresAt: 'expires_at',
});

const accounts = columns<AccountRead>('account', {
  id: 'id',
  email: 'email',
  emailVerified: 'email_verified',
  name: 'name',
  username: 'username',
  groups: 'groups',
  claims: 'claims',
  lockedAt: 'locked_at',
  signedOutAt: 'signed_out_at',
  locale: 'locale',
  pictureId: 'picture_id',
  updatedAt: 'updated_at',
});

const resources = columns<ResourceRead>('resource', {
  id: 'id',
  name: 'name',
  scopes: 'scopes',
  format: 'format',
  ttl: 'ttl',
  alg: 'alg',
});

const families = columns<FamilyRow>('family', {
  id: 'id',
  grantId: 'grant_id',
  accountId: 'account_id',
  clientId: 'client_id',
  generation: 'generation',
  currentHash: 'current_hash',
  previousHash: 'previous_hash',
  salt: 'salt',
  rotatedAt: 'rotated_at',
  payload: 'payload',
  createdAt: 'created_at',
  idleExpiresAt: 'idle_expires_at',
  absoluteExpiresAt: 'absolute_expires_at',
  consentExpiresAt: 'consent_expires_at',
  lastUsedUserAgent: 'last_used_user_agent',
  retries: 'retries',
  endedAt: 'ended_at',
  endReason: 'end_reason',
});

const artifacts = columns<ArtifactFound['artifact']>('artifact', {
  id: 'id',
  clientId: 'client_id',
  familyId: 'family_id',
  sealed: 'sealed',
  consumedAt: 'consumed_at',
});

const sessions = columns<ArtifactRow>('session', {
  id: 'id',
  sealed: 'sealed',
  consumedAt: 'consumed_at',
});

const client = (alias: string, as: string) =>
  `${alias}.metadata::text AS "${as}.metadata", ${alias}.secret AS "${as}.secret"`;

const clientsRead = statement(
  'read_clients',
  { id: ['text', (id: string) => id] },
  (asked, { id }) => `
  SELECT asked.n, ${client('c', 'client')}
  FROM ${asked} JOIN client c ON c.id = asked.id AND c.id = ANY (${id})`,
);

/** Reads clients. @returns one for each id, in their order; so do the reads below for their items */
export async function readClients(
  pool: Pool,
  known: KnownClients,
  ids: readonly string[],
): Promise<(ClientRead | undefined)[]> {
  const rows = byItem(await clientsRead.run(pool, ids), ids);
  return ids.map((id, index) => {
    const row = rows[index];
    return row && known.pick(row, id, 'client');
  });
}

/** Reads rows of a table by their id. */
function readById<T>(name: string, table: string, of: Columns<T>) {
  const read = statement(
    name,
    { id: ['text', (id: string) => id] },
    (asked, { id }) => `
  SELECT asked.n, ${of.of('r')}
  FROM ${asked} JOIN ${table} r ON r.id = asked.id AND r.id = ANY (${id})`,
  );
  return async (pool: Pool, ids: readonly string[]): Promise<(T | undefined)[]> => {
    const rows = byItem(await read.run(pool, ids), ids);
    return rows.map((row) => row && of.pick(row));
  };
}

export const readResources = readById('read_resources', 'resource', resources);
export const readGrants = readById('read_grants', '"grant"', grants);

// An artifact is mostly presented by its own client; then that is read once. Of two rows for one session, which exist
// for a moment, the newest is read.
const artifactsRead = statement(
  'read_artifacts',
  {
    id: ['bytea', ({ id }: ArtifactQuery) => id],
    client_id: ['text', ({ clientId }) => clientId],
  },
  (asked, { id, client_id: clientId }) => `
  SELECT asked.n, ${CLOCK}, ${artifacts.of('t')}, ${client('p', 'presenter')}, ${client('c', 'client')},
         ${grants.of('g')}, ${accounts.of('a')}, ${sessions.of('s')}
  FROM ${asked}
  LEFT JOIN client p ON p.id = asked.client_id AND p.id = ANY (${clientId})
  LEFT JOIN artifact t ON t.id = asked.id AND t.id = ANY (${id})
  ${lookUp('client', 'c', 'nullif(t.client_id, p.id)')}
  ${lookUp('"grant"', 'g', 't.grant_id')}
  ${lookUp('account', 'a', 't.account_id')}
  LEFT JOIN LATERAL (
    SELECT id, sealed, consumed_at FROM artifact WHERE lookup = t.session AND model = 'Session'
    ORDER BY expires_at DESC LIMIT 1) s ON true`,
);

export async function readArtifacts(
  pool: Pool,
  known: KnownClients,
  asked: readonly ArtifactQuery[],
  sample: SampleClock,
): Promise<ArtifactRead[]> {
  const rows = byItem(await timed(() => artifactsRead.run(pool, asked), sample), asked);
  return asked.map(({ clientId: presentedBy }, index) => {
    const row = rows[index] ?? {};
    const presenter =
      presentedBy === undefined ? undefined : known.pick(row, presentedBy, 'presenter');
    const artifact = artifacts.pick(row);
    if (!artifact) return { presenter, found: undefined };
    const { clientId } = artifact;
    const isOwn = clientId === presenter?.id;
    const other = clientId === null || isOwn ? undefined : known.pick(row, clientId, 'client');
    return {
      presenter,
      found: {
        artifact,
        grant: grants.pick(row),
        client: isOwn ? presenter : other,
        account: accounts.pick(row),
        session: sessions.pick(row),
      },
    };
  });
}

const artifactsLookedUp = statement(
  'look_up_artifacts',
  { lookup: ['bytea', (lookup: Uint8Array) => lookup] },
  (_asked, { lookup }) => `
  SELECT model AS "model", lookup AS "lookup", ${artifacts.of('t')} FROM artifact t
  WHERE lookup = ANY (${lookup}) ORDER BY expires_at DESC`,
);

export async function lookUpArtifacts(
  pool: Pool,
  asked: readonly LookupQuery[],
): Promise<(ArtifactRow | undefined)[]> {
  const all = asked.flatMap(({ lookups }) => lookups);
  const rows = await artifactsLookedUp.run(pool, all);
  return asked.map(({ model, lookups }) => {
    const row = rows.find(
      (one) =>
        one['model'] === model && lookups.some((lookup) => isSame(lookup, one['lookup'] as Buffer)),
    );
    return row && artifacts.pick(row);
  });
}

const refreshesRead = statement(
  'read_for_refresh',
  {
    family_id: ['text', ({ familyId }: RefreshQuery) => familyId],
    secret_hash: ['bytea', ({ secretHash }) => secretHash],
    client_id: ['text', ({ clientId }) => clientId],
  },
  (asked, { family_id: familyId, client_id: clientId }) => `
  SELECT asked.n, ${CLOCK}, ${families.of('f')}, ${client('c', 'client')}, ${grants.of('g')},
         ${accounts.of('a')}, ${resources.of('r')}
  FROM ${asked}
  LEFT JOIN client c ON c.id = asked.client_id AND c.id = ANY (${clientId})
  LEFT JOIN refresh_family f ON f.id = asked.family_id AND f.id = ANY (${familyId})
    AND (asked.secret_hash IS NULL OR asked.secret_hash IN (f.current_hash, f.previous_hash))
  ${lookUp('"grant"', 'g', 'f.grant_id')}
  ${lookUp('account', 'a', 'f.account_id')}
  ${lookUp('resource', 'r', "f.payload->>'resource'")}`,
);

export async function readForRefresh(
  pool: Pool,
  known: KnownClients,
  asked: readonly RefreshQuery[],
  sample: SampleClock,
): Promise<RefreshRead[]> {
  const rows = byItem(await timed(() => refreshesRead.run(pool, asked), sample), asked);
  return asked.map(({ clientId }, index) => {
    const row = rows[index] ?? {};
    const family = families.pick(row);
    return {
      client: known.pick(row, clientId, 'client'),
      family: family && { ...family, grant: grants.pick(row) ?? null },
      account: accounts.pick(row),
      resource: resources.pick(row),
    };
  });
}

/** Runs a read, and takes the time that it brings. */
async function timed(run: () => Promise<Row[]>, sample: SampleClock): Promise<Row[]> {
  const asked = Date.now();
  const rows = await run();
  const reading = rows[0]?.['clock'];
  if (typeof reading === 'number') sample(asked, reading, Date.now());
  return rows;
}
