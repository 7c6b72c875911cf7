// What a provider does most: refreshing, and looking up what is presented. These statements go to the database's own
// driver, prepared by name, past Prisma's query interface, and for all requests of the moment together: one reads the
// clients, families, grants and people of refreshes, one rotates the families and writes the access tokens, one reads
// artifacts with all that belongs to them. docs/performance.md tells what that buys. They never wait for anybody: what
// is locked, has changed or is not the ordinary case is left to families.ts.
import type { AdapterPayload } from 'oidc-provider';
import type { Pool } from 'pg';
import type { Account, Artifact, Grant, Resource } from '../generated/client.ts';
import { sha256 } from '../keys/keyring.ts';
import { Batch } from './batch.ts';
import { type FamilyWithGrant, type Rotation, type Start, grantMargin } from './families.ts';
import type { Origin } from './revocation.ts';

/** A row as the driver gives it: columns by their names in the database. */
type Row = Record<string, unknown>;

export interface ClientRead {
  readonly metadata: object;
  readonly secret: Uint8Array | null;
}

/** An artifact with its grant, its client and its person, who is without their password. */
export interface ArtifactRead {
  readonly artifact: Artifact;
  readonly grant: Grant | undefined;
  readonly client: ClientRead | undefined;
  readonly account: Account | undefined;
}

/** What a refresh reads. */
export interface RefreshRead {
  readonly client: ClientRead | undefined;
  readonly family: FamilyWithGrant | undefined;
  /** Without their password. */
  readonly account: Account | undefined;
  /** What its access tokens are for, if that is one thing. */
  readonly resource: Resource | undefined;
}

/** A rotation, with the access token that is issued with it, if that is opaque. */
export interface RefreshWrite {
  readonly rotation: Rotation;
  readonly next: AdapterPayload;
  readonly issue: Issue | undefined;
  readonly now: Date;
  readonly origin: Origin;
}

/** A code that is spent, with what is issued for it. */
export interface ExchangeWrite {
  /** The code's primary key. */
  readonly code: Uint8Array;
  readonly grantId: string;
  readonly issue: Issue | undefined;
  readonly start: Start | undefined;
  readonly now: Date;
  readonly origin: Origin;
}

/** An opaque access token, sealed. */
export interface Issue {
  readonly id: Uint8Array;
  readonly clientId: string | null;
  readonly accountId: string | null;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date;
}

export interface HotPath {
  client(id: string): Promise<ClientRead | undefined>;
  resource(id: string): Promise<Resource | undefined>;
  /** @param id the artifact's primary key */
  artifact(id: Uint8Array): Promise<ArtifactRead | undefined>;
  /**
   * Finds by the second way in: a session's uid, a device's user code. The newest, where two stand for a moment.
   *
   * @param lookups what may stand there, one for each secret
   */
  lookUp(model: string, lookups: readonly Uint8Array[]): Promise<Artifact | undefined>;
  read(familyId: string, clientId: string): Promise<RefreshRead>;
  /** @returns whether it was done; if not, nothing was written, and why is to be found out by other means */
  rotate(write: RefreshWrite): Promise<boolean>;
  /** @returns see {@link rotate} */
  exchange(write: ExchangeWrite): Promise<boolean>;
}

const hotPaths = new WeakMap<Pool, HotPath>();

/** The hot path on this pool. */
export function hotPathOf(pool: Pool): HotPath {
  const known = hotPaths.get(pool);
  if (known) return known;
  const clients = new Batch((ids: readonly string[]) => readClients(pool, ids));
  const resources = new Batch((ids: readonly string[]) => readResources(pool, ids));
  const artifacts = new Batch((ids: readonly Uint8Array[]) => readArtifacts(pool, ids));
  const lookups = new Batch((asked: readonly [string, readonly Uint8Array[]][]) =>
    lookUpAll(pool, asked),
  );
  const reads = new Batch((asked: readonly [string, string][]) => readAll(pool, asked));
  const writes = new Batch((asked: readonly RefreshWrite[]) => rotateAll(pool, asked));
  const exchanges = new Batch((asked: readonly ExchangeWrite[]) => exchangeAll(pool, asked));
  const made: HotPath = {
    client: (id) => clients.ask(id),
    resource: (id) => resources.ask(id),
    artifact: (id) => artifacts.ask(id),
    lookUp: (model, values) => lookups.ask([model, values]),
    read: (familyId, clientId) => reads.ask([familyId, clientId]),
    rotate: (write) => writes.ask(write),
    exchange: (write) => exchanges.ask(write),
  };
  hotPaths.set(pool, made);
  return made;
}

async function readClients(
  pool: Pool,
  ids: readonly string[],
): Promise<(ClientRead | undefined)[]> {
  const { rows } = await pool.query<ClientRead & { id: string }>({
    name: 'read_clients',
    text: 'SELECT id, metadata, secret FROM client WHERE id = ANY ($1::text[])',
    values: [ids],
  });
  return ids.map((id) => rows.find((row) => row.id === id));
}

async function readResources(
  pool: Pool,
  ids: readonly string[],
): Promise<(Resource | undefined)[]> {
  const { rows } = await pool.query<Resource>({
    name: 'read_resources',
    text: `SELECT id, name, scopes, format, ttl, alg, created_at AS "createdAt", updated_at AS "updatedAt"
           FROM resource WHERE id = ANY ($1::text[])`,
    values: [ids],
  });
  return ids.map((id) => rows.find((row) => row.id === id));
}

const COMPANY = `
         c.metadata AS "client.metadata", c.secret AS "client.secret",
         g.payload AS "grant.payload", g.expires_at AS "grant.expires_at", g.created_at AS "grant.created_at",
         g.account_id AS "grant.account_id", g.client_id AS "grant.client_id",
         a.email AS "account.email", a.email_verified AS "account.email_verified", a.name AS "account.name",
         a.claims AS "account.claims", a.admin AS "account.admin", a.locked_at AS "account.locked_at",
         a.signed_out_at AS "account.signed_out_at", a.created_at AS "account.created_at",
         a.updated_at AS "account.updated_at"`;

const ARTIFACTS = `
  SELECT asked.n, t.*, ${COMPANY}
  FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (id, n)
  JOIN artifact t ON t.id = asked.id
  LEFT JOIN client c ON c.id = t.client_id
  LEFT JOIN "grant" g ON g.id = t.grant_id
  LEFT JOIN account a ON a.id = t.account_id`;

async function readArtifacts(
  pool: Pool,
  ids: readonly Uint8Array[],
): Promise<(ArtifactRead | undefined)[]> {
  const values = [ids.map((id) => Buffer.from(id))];
  const { rows } = await pool.query<Row>({ name: 'read_artifacts', text: ARTIFACTS, values });
  const answers = ids.map((): ArtifactRead | undefined => undefined);
  for (const row of rows) {
    answers[Number(row['n']) - 1] = {
      artifact: artifactOf(row),
      grant: grantOf(row),
      client: clientOf(row),
      account: accountOf(row),
    };
  }
  return answers;
}

function artifactOf(row: Row): Artifact {
  return {
    id: row['id'],
    model: row['model'],
    grantId: row['grant_id'],
    clientId: row['client_id'],
    accountId: row['account_id'],
    familyId: row['family_id'],
    lookup: row['lookup'],
    sealed: row['sealed'],
    expiresAt: row['expires_at'],
    consumedAt: row['consumed_at'],
  } as Artifact;
}

async function lookUpAll(
  pool: Pool,
  asked: readonly (readonly [string, readonly Uint8Array[]])[],
): Promise<(Artifact | undefined)[]> {
  const { rows } = await pool.query<Row>({
    name: 'look_up_artifacts',
    text: 'SELECT * FROM artifact WHERE lookup = ANY ($1::bytea[]) ORDER BY expires_at DESC',
    values: [asked.flatMap(([, lookups]) => lookups.map((lookup) => Buffer.from(lookup)))],
  });
  const found = rows.map(artifactOf);
  return asked.map(([model, lookups]) =>
    found.find(
      (one) =>
        one.model === model &&
        lookups.some((lookup) => one.lookup !== null && Buffer.compare(lookup, one.lookup) === 0),
    ),
  );
}

const READ = `
  SELECT asked.n, f.*, ${COMPANY},
         r.id AS "resource.id", r.name AS "resource.name", r.scopes AS "resource.scopes",
         r.format AS "resource.format", r.ttl AS "resource.ttl", r.alg AS "resource.alg",
         r.created_at AS "resource.created_at", r.updated_at AS "resource.updated_at"
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (family_id, client_id, n)
  LEFT JOIN client c ON c.id = asked.client_id
  LEFT JOIN refresh_family f ON f.id = asked.family_id
  LEFT JOIN "grant" g ON g.id = f.grant_id
  LEFT JOIN account a ON a.id = f.account_id
  LEFT JOIN resource r ON r.id = f.payload->>'resource'`;

async function readAll(
  pool: Pool,
  asked: readonly (readonly [string, string])[],
): Promise<RefreshRead[]> {
  const values = [asked.map(([familyId]) => familyId), asked.map(([, clientId]) => clientId)];
  const { rows } = await pool.query<Row>({ name: 'read_for_refresh', text: READ, values });
  const answers: RefreshRead[] = [];
  for (const row of rows) answers[Number(row['n']) - 1] = readOf(row);
  return answers;
}

function readOf(row: Row): RefreshRead {
  return {
    client: clientOf(row),
    family: row['id'] === null ? undefined : familyOf(row),
    account: accountOf(row),
    resource: resourceOf(row),
  };
}

function resourceOf(row: Row): Resource | undefined {
  if (row['resource.id'] === null) return undefined;
  return {
    id: row['resource.id'],
    name: row['resource.name'],
    scopes: row['resource.scopes'],
    format: row['resource.format'],
    ttl: row['resource.ttl'],
    alg: row['resource.alg'],
    createdAt: row['resource.created_at'],
    updatedAt: row['resource.updated_at'],
  } as Resource;
}

function clientOf(row: Row): ClientRead | undefined {
  const metadata = row['client.metadata'] as object | null;
  return metadata ? { metadata, secret: row['client.secret'] as Uint8Array | null } : undefined;
}

function grantOf(row: Row): Grant | undefined {
  if (row['grant_id'] === null || row['grant.payload'] === null) return undefined;
  return {
    id: row['grant_id'],
    accountId: row['grant.account_id'],
    clientId: row['grant.client_id'],
    payload: row['grant.payload'],
    createdAt: row['grant.created_at'],
    expiresAt: row['grant.expires_at'],
  } as Grant;
}

function familyOf(row: Row): FamilyWithGrant {
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
    lastUsedAt: row['last_used_at'],
    lastUsedIp: row['last_used_ip'],
    lastUsedUserAgent: row['last_used_user_agent'],
    endedAt: row['ended_at'],
    endReason: row['end_reason'],
    grant: grantOf(row) ?? null,
  } as FamilyWithGrant;
}

function accountOf(row: Row): Account | undefined {
  if (row['account.email'] === null) return undefined;
  return {
    id: row['account_id'],
    email: row['account.email'],
    emailVerified: row['account.email_verified'],
    name: row['account.name'],
    claims: row['account.claims'],
    passwordHash: null, // of no use here
    admin: row['account.admin'],
    lockedAt: row['account.locked_at'],
    signedOutAt: row['account.signed_out_at'],
    createdAt: row['account.created_at'],
    updatedAt: row['account.updated_at'],
  } as Account;
}

// Grants first, then families, as every unit of work takes its locks; what somebody else has locked is passed over.
// With a rotation lost nothing is issued. It is one statement, and so one transaction: whoever is told that it was
// done has it on disk.
const ROTATE = `
  WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[], $5::bytea[], $6::timestamptz[], $7::jsonb[],
                         $8::timestamptz[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::text[],
                         $14::bytea[], $15::timestamptz[])
      WITH ORDINALITY AS asked (grant_id, family_id, generation, presented, successor, now, next, idle_expires_at, ip,
                                user_agent, artifact_id, client_id, account_id, sealed, expires_at, n)),
  granted AS MATERIALIZED (
    SELECT id FROM "grant" WHERE id = ANY ($1) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT f.id FROM refresh_family f JOIN granted g ON g.id = f.grant_id
    WHERE f.id = ANY ($2) FOR NO KEY UPDATE OF f SKIP LOCKED),
  rotated AS (
    UPDATE refresh_family f
    SET generation = asked.generation + 1, current_hash = asked.successor, previous_hash = asked.presented,
        rotated_at = asked.now, payload = asked.next, idle_expires_at = asked.idle_expires_at,
        last_used_at = asked.now, last_used_ip = asked.ip, last_used_user_agent = asked.user_agent
    FROM asked JOIN free ON free.id = asked.family_id
    WHERE f.id = asked.family_id AND f.grant_id = asked.grant_id AND f.generation = asked.generation
      AND f.current_hash = asked.presented AND f.ended_at IS NULL
    RETURNING asked.n),
  issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, family_id, sealed, expires_at)
    SELECT asked.artifact_id, 'AccessToken', asked.grant_id, asked.client_id, asked.account_id, asked.family_id,
           asked.sealed, asked.expires_at
    FROM asked JOIN rotated USING (n) WHERE asked.artifact_id IS NOT NULL)
  SELECT n::int AS rotated_n FROM rotated`;

async function rotateAll(pool: Pool, asked: readonly RefreshWrite[]): Promise<boolean[]> {
  const column = (of: (write: RefreshWrite) => unknown) => asked.map(of);
  const bytes = (value: Uint8Array | undefined) => value && Buffer.from(value);
  const { rows } = await pool.query<{ rotated_n: number }>({
    name: 'rotate_and_issue',
    text: ROTATE,
    values: [
      column(({ rotation }) => rotation.family.grantId),
      column(({ rotation }) => rotation.family.id),
      column(({ rotation }) => rotation.family.generation),
      column(({ rotation }) => bytes(sha256(rotation.presented.secret))),
      column(({ rotation }) => bytes(sha256(rotation.successor))),
      column(({ now }) => now),
      column(({ next }) => JSON.stringify(next)),
      column(({ rotation }) => rotation.idleExpiresAt),
      column(({ origin }) => origin.ip),
      column(({ origin }) => origin.userAgent),
      column(({ issue }) => bytes(issue?.id)),
      column(({ issue }) => issue?.clientId),
      column(({ issue }) => issue?.accountId),
      column(({ issue }) => bytes(issue?.sealed)),
      column(({ issue }) => issue?.expiresAt),
    ],
  });
  const done = new Set(rows.map(({ rotated_n: n }) => n));
  return asked.map((_write, index) => done.has(index + 1));
}

// As above: grants first, what is locked is passed over, and nothing is issued for a code that is not spent here and now.
// A grant that a new family might outlive is to be extended, which is not the ordinary case either.
const EXCHANGE = `
  WITH asked AS (
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::timestamptz[], $4::bytea[], $5::text[], $6::text[], $7::bytea[],
                         $8::timestamptz[], $9::text[], $10::bytea[], $11::jsonb[], $12::timestamptz[],
                         $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[], $17::timestamptz[])
      WITH ORDINALITY AS asked (code_id, grant_id, now, artifact_id, client_id, account_id, sealed, expires_at,
                                family_id, current_hash, payload, idle_expires_at, absolute_expires_at,
                                consent_expires_at, ip, user_agent, grant_until, n)),
  granted AS MATERIALIZED (
    SELECT id, expires_at FROM "grant" WHERE id = ANY ($2) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT t.id FROM artifact t WHERE t.id = ANY ($1) AND t.consumed_at IS NULL FOR UPDATE SKIP LOCKED),
  spent AS (
    UPDATE artifact t SET consumed_at = asked.now
    FROM asked JOIN free ON free.id = asked.code_id JOIN granted g ON g.id = asked.grant_id
    WHERE t.id = asked.code_id AND t.grant_id = asked.grant_id AND t.consumed_at IS NULL
      AND (asked.family_id IS NULL OR g.expires_at >= asked.grant_until)
    RETURNING asked.n),
  issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, family_id, sealed, expires_at)
    SELECT asked.artifact_id, 'AccessToken', asked.grant_id, asked.client_id, asked.account_id, asked.family_id,
           asked.sealed, asked.expires_at
    FROM asked JOIN spent USING (n) WHERE asked.artifact_id IS NOT NULL),
  started AS (
    INSERT INTO refresh_family (id, grant_id, account_id, client_id, current_hash, payload, created_at,
                                idle_expires_at, absolute_expires_at, consent_expires_at, last_used_at, last_used_ip,
                                last_used_user_agent)
    SELECT asked.family_id, asked.grant_id, asked.account_id, asked.client_id, asked.current_hash, asked.payload,
           asked.now, asked.idle_expires_at, asked.absolute_expires_at, asked.consent_expires_at, asked.now, asked.ip,
           asked.user_agent
    FROM asked JOIN spent USING (n) WHERE asked.family_id IS NOT NULL),
  audited AS (
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent)
    SELECT asked.now, 'family.started', asked.account_id, asked.client_id, asked.family_id, asked.ip, asked.user_agent
    FROM asked JOIN spent USING (n) WHERE asked.family_id IS NOT NULL)
  SELECT n::int AS spent_n FROM spent`;

async function exchangeAll(pool: Pool, asked: readonly ExchangeWrite[]): Promise<boolean[]> {
  const column = (of: (write: ExchangeWrite) => unknown) => asked.map(of);
  const bytes = (value: Uint8Array | undefined) => value && Buffer.from(value);
  const { rows } = await pool.query<{ spent_n: number }>({
    name: 'exchange_code',
    text: EXCHANGE,
    values: [
      column(({ code }) => bytes(code)),
      column(({ grantId }) => grantId),
      column(({ now }) => now),
      column(({ issue }) => bytes(issue?.id)),
      column(({ start, issue }) => start?.payload.clientId ?? issue?.clientId),
      column(({ start, issue }) => start?.payload.accountId ?? issue?.accountId),
      column(({ issue }) => bytes(issue?.sealed)),
      column(({ issue }) => issue?.expiresAt),
      column(({ start }) => start?.token.familyId),
      column(({ start }) => start && bytes(sha256(start.token.secret))),
      column(({ start }) => start && JSON.stringify(start.payload)),
      column(({ start }) => start?.idleExpiresAt),
      column(({ start }) => start?.absoluteExpiresAt),
      column(({ start }) => start?.consentExpiresAt),
      column(({ origin }) => origin.ip),
      column(({ origin }) => origin.userAgent),
      column(({ start }) => start && grantMargin(start.absoluteExpiresAt)),
    ],
  });
  const done = new Set(rows.map(({ spent_n: n }) => n));
  return asked.map((_write, index) => done.has(index + 1));
}
