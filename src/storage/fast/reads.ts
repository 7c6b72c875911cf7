// The hot path's reads: one statement reads the client, family, grant, person and resource of each refresh, one an
// artifact with who presents it and all that belongs to it. A test compares what they read with what Prisma reads.
import type { Pool } from 'pg';
import { binaryArray, columnsOf } from './binary-arrays.ts';
import type { Account, Artifact, Grant, RefreshFamily, Resource } from '../../generated/client.ts';

/** As long as the row says the same, it is the same object; see clients.ts. */
export interface ClientRead {
  readonly id: string;
  readonly metadata: object;
  readonly secret: Uint8Array | null;
}

/** What is needed of a row on the way; the rest, times above all, costs more to read than the row to find. */
export type GrantRead = Pick<Grant, 'id' | 'payload' | 'expiresAt'>;
export type AccountRead = Omit<Account, 'passwordHash' | 'admin' | 'createdAt'>;
export type ResourceRead = Omit<Resource, 'createdAt' | 'updatedAt'>;
export type FamilyRead = Omit<RefreshFamily, 'lastUsedAt' | 'lastUsedIp' | 'lastUsedUserAgent'> & {
  readonly grant: GrantRead | null;
};

/** An artifact, as it is asked for. */
export interface ArtifactAsked {
  /** Its primary key. */
  readonly id: Uint8Array;
  /** Who presents it. */
  readonly clientId: string | undefined;
}

/** Who presents an artifact, and the artifact with all that belongs to it. */
export interface ArtifactRead {
  readonly presenter: ClientRead | undefined;
  readonly found: ArtifactFound | undefined;
}

export interface ArtifactFound {
  readonly artifact: SealedArtifact & { readonly clientId: string | null };
  readonly grant: GrantRead | undefined;
  readonly client: ClientRead | undefined;
  readonly account: AccountRead | undefined;
  /** The session that it ends with. */
  readonly session: SealedArtifact | undefined;
}

/** What is needed to open one. */
export type SealedArtifact = Pick<Artifact, 'id' | 'sealed' | 'consumedAt'>;

/** What a refresh reads. */
export interface RefreshRead {
  readonly client: ClientRead | undefined;
  readonly family: FamilyRead | undefined;
  readonly account: AccountRead | undefined;
  /** What its access tokens are for, if that is one thing. */
  readonly resource: ResourceRead | undefined;
}

/** A row as the driver gives it: columns by their names in the database. */
type Row = Record<string, unknown>;

const CLIENT = `c.metadata::text AS "client.metadata", c.secret AS "client.secret"`;

/** Clients as they were last read, with the text of their metadata. */
export type KnownClients = Map<string, { readonly text: string; readonly client: ClientRead }>;

const MOST_CLIENTS = 1000;

/** A client is parsed, and its secret unsealed, once for as long as its row says the same. */
function known(
  clients: KnownClients,
  id: string,
  row: Row,
  as: 'client' | 'presenter' = 'client',
): ClientRead | undefined {
  const text = row[`${as}.metadata`] as string | null;
  if (text === null) return undefined;
  const secret = row[`${as}.secret`] as Uint8Array | null;
  const before = clients.get(id);
  if (before?.text === text && isSame(before.client.secret, secret)) return before.client;
  const client = { id, metadata: JSON.parse(text) as object, secret };
  clients.delete(id); // and so it is the youngest
  clients.set(id, { text, client });
  for (const oldest of clients.keys()) {
    if (clients.size <= MOST_CLIENTS) break;
    clients.delete(oldest);
  }
  return client;
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}

export async function readClients(
  pool: Pool,
  clients: KnownClients,
  ids: readonly string[],
): Promise<(ClientRead | undefined)[]> {
  const { rows } = await pool.query<Row>({
    name: 'read_clients',
    text: `SELECT c.id, ${CLIENT} FROM client c WHERE c.id = ANY ($1::text[])`,
    values: [binaryArray('text', ids)],
  });
  const found = new Map(rows.map((row) => [row['id'], row]));
  return ids.map((id) => {
    const row = found.get(id);
    return row && known(clients, id, row);
  });
}

export async function readResources(
  pool: Pool,
  ids: readonly string[],
): Promise<(ResourceRead | undefined)[]> {
  const { rows } = await pool.query<ResourceRead>({
    name: 'read_resources',
    text: 'SELECT id, name, scopes, format, ttl, alg FROM resource WHERE id = ANY ($1::text[])',
    values: [binaryArray('text', ids)],
  });
  return ids.map((id) => rows.find((row) => row.id === id));
}

export async function readGrants(
  pool: Pool,
  ids: readonly string[],
): Promise<(GrantRead | undefined)[]> {
  const { rows } = await pool.query<GrantRead>({
    name: 'read_grants',
    text: 'SELECT id, payload, expires_at AS "expiresAt" FROM "grant" WHERE id = ANY ($1::text[])',
    values: [binaryArray('text', ids)],
  });
  return ids.map((id) => rows.find((row) => row.id === id));
}

const COMPANY = `${CLIENT},
         g.payload AS "grant.payload", g.expires_at AS "grant.expires_at",
         a.email AS "account.email", a.email_verified AS "account.email_verified", a.name AS "account.name",
         a.claims AS "account.claims", a.locked_at AS "account.locked_at",
         a.signed_out_at AS "account.signed_out_at", a.locale AS "account.locale",
         a.picture_id AS "account.picture_id", a.updated_at AS "account.updated_at"`;

// A statement is planned once, perhaps while the tables are empty, and the plan must hold when they are large: what is
// asked for by its id is looked up by that, bounded by the parameters; what belongs to it by a look-up for each, which
// OFFSET 0 keeps one.
const lookUp = (table: string, alias: string, id: string) =>
  `LEFT JOIN LATERAL (SELECT * FROM ${table} WHERE id = ${id} OFFSET 0) ${alias} ON true`;

// Mostly an artifact is presented by its own client; then that is read once. Of a session, where two stand for a
// moment, the newest.
const ARTIFACTS = `
  SELECT asked.n, t.grant_id, t.client_id, t.account_id, t.sealed, t.consumed_at, ${COMPANY},
         p.metadata::text AS "presenter.metadata", p.secret AS "presenter.secret",
         s.id AS "session.id", s.sealed AS "session.sealed"
  FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS asked (id, client_id, n)
  LEFT JOIN client p ON p.id = asked.client_id AND p.id = ANY ($2)
  LEFT JOIN artifact t ON t.id = asked.id AND t.id = ANY ($1)
  ${lookUp('client', 'c', 'nullif(t.client_id, p.id)')}
  ${lookUp('"grant"', 'g', 't.grant_id')}
  ${lookUp('account', 'a', 't.account_id')}
  LEFT JOIN LATERAL (
    SELECT id, sealed FROM artifact WHERE lookup = t.session AND model = 'Session'
    ORDER BY expires_at DESC LIMIT 1) s ON true`;

export async function readArtifacts(
  pool: Pool,
  clients: KnownClients,
  asked: readonly ArtifactAsked[],
): Promise<ArtifactRead[]> {
  const column = columnsOf(asked);
  const { rows } = await pool.query<Row>({
    name: 'read_artifacts',
    text: ARTIFACTS,
    values: [column('bytea', ({ id }) => id), column('text', ({ clientId }) => clientId)],
  });
  const answers: ArtifactRead[] = [];
  for (const row of rows) {
    const index = Number(row['n']) - 1;
    const { id, clientId } = asked[index] as ArtifactAsked;
    const presenter =
      clientId === undefined ? undefined : known(clients, clientId, row, 'presenter');
    const found = row['sealed'] === null ? undefined : foundOf(clients, id, row, presenter);
    answers[index] = { presenter, found };
  }
  return answers;
}

function foundOf(
  clients: KnownClients,
  id: Uint8Array,
  row: Row,
  presenter: ClientRead | undefined,
): ArtifactFound {
  const clientId = row['client_id'] as string | null;
  const { sealed, consumed_at: consumedAt } = row;
  const own = clientId === null ? undefined : known(clients, clientId, row);
  const session = { id: row['session.id'], sealed: row['session.sealed'], consumedAt: null };
  return {
    artifact: { id, clientId, sealed, consumedAt } as ArtifactFound['artifact'],
    grant: grantOf(row),
    client: clientId === presenter?.id ? presenter : own,
    account: accountOf(row),
    session: session.id === null ? undefined : (session as SealedArtifact),
  };
}

export async function lookUpAll(
  pool: Pool,
  asked: readonly (readonly [string, readonly Uint8Array[]])[],
): Promise<(SealedArtifact | undefined)[]> {
  const { rows } = await pool.query<SealedArtifact & Pick<Artifact, 'model' | 'lookup'>>({
    name: 'look_up_artifacts',
    text: `SELECT id, model, lookup, sealed, consumed_at AS "consumedAt" FROM artifact
           WHERE lookup = ANY ($1::bytea[]) ORDER BY expires_at DESC`,
    values: [
      binaryArray(
        'bytea',
        asked.flatMap(([, lookups]) => lookups),
      ),
    ],
  });
  return asked.map(([model, lookups]) =>
    rows.find(
      (row) =>
        row.model === model &&
        lookups.some((lookup) => row.lookup !== null && Buffer.compare(lookup, row.lookup) === 0),
    ),
  );
}

const READ = `
  SELECT asked.n, f.id, f.grant_id, f.account_id, f.client_id, f.generation, f.current_hash, f.previous_hash,
         f.rotated_at, f.payload, f.created_at, f.idle_expires_at, f.absolute_expires_at, f.consent_expires_at,
         f.ended_at, f.end_reason, ${COMPANY},
         r.id AS "resource.id", r.name AS "resource.name", r.scopes AS "resource.scopes",
         r.format AS "resource.format", r.ttl AS "resource.ttl", r.alg AS "resource.alg"
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (family_id, client_id, n)
  LEFT JOIN client c ON c.id = asked.client_id AND c.id = ANY ($2)
  LEFT JOIN refresh_family f ON f.id = asked.family_id AND f.id = ANY ($1)
  ${lookUp('"grant"', 'g', 'f.grant_id')}
  ${lookUp('account', 'a', 'f.account_id')}
  ${lookUp('resource', 'r', "f.payload->>'resource'")}`;

export async function readForRefresh(
  pool: Pool,
  clients: KnownClients,
  asked: readonly (readonly [string, string])[],
): Promise<RefreshRead[]> {
  const column = columnsOf(asked);
  const values = [
    column('text', ([familyId]) => familyId),
    column('text', ([, clientId]) => clientId),
  ];
  const { rows } = await pool.query<Row>({ name: 'read_for_refresh', text: READ, values });
  const answers: RefreshRead[] = [];
  for (const row of rows) {
    const index = Number(row['n']) - 1;
    answers[index] = {
      client: known(clients, asked[index]?.[1] ?? '', row),
      family: row['id'] === null ? undefined : familyOf(row),
      account: accountOf(row),
      resource: resourceOf(row),
    };
  }
  return answers;
}

function resourceOf(row: Row): ResourceRead | undefined {
  if (row['resource.id'] === null) return undefined;
  return {
    id: row['resource.id'],
    name: row['resource.name'],
    scopes: row['resource.scopes'],
    format: row['resource.format'],
    ttl: row['resource.ttl'],
    alg: row['resource.alg'],
  } as ResourceRead;
}

function grantOf(row: Row): GrantRead | undefined {
  if (row['grant_id'] === null || row['grant.payload'] === null) return undefined;
  return {
    id: row['grant_id'],
    payload: row['grant.payload'],
    expiresAt: row['grant.expires_at'],
  } as GrantRead;
}

function familyOf(row: Row): FamilyRead {
  return {
    id: row['id'],
    grantId: row['grant_id'],
    accountId: row['account_id'],
    clientId: row['client_id'],
    generation: row['generation'],
    currentHash: row['current_hash'],
    previousHash: row['previous_hash'],
    rotatedAt: row['rotated_at'],
    payload: row['payload'],
    createdAt: row['created_at'],
    idleExpiresAt: row['idle_expires_at'],
    absoluteExpiresAt: row['absolute_expires_at'],
    consentExpiresAt: row['consent_expires_at'],
    endedAt: row['ended_at'],
    endReason: row['end_reason'],
    grant: grantOf(row) ?? null,
  } as FamilyRead;
}

function accountOf(row: Row): AccountRead | undefined {
  if (row['account.email'] === null) return undefined;
  return {
    id: row['account_id'],
    email: row['account.email'],
    emailVerified: row['account.email_verified'],
    name: row['account.name'],
    claims: row['account.claims'],
    lockedAt: row['account.locked_at'],
    signedOutAt: row['account.signed_out_at'],
    locale: row['account.locale'],
    pictureId: row['account.picture_id'],
    updatedAt: row['account.updated_at'],
  } as AccountRead;
}
