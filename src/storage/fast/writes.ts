// The hot path's writes: one statement rotates families and writes the access tokens issued with them, one spends codes
// and starts families, one issues codes. Each is one transaction: whoever is told that it was done has it on disk.
import type { AdapterPayload } from 'oidc-provider';
import type { Pool } from 'pg';
import { sha256 } from '../../keys/keyring.ts';
import { columnsOf } from './binary-arrays.ts';
import { type Rotation, type Start, grantMargin } from '../families/row.ts';
import type { Origin } from '../revocation.ts';

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

/** A code for somebody who is signed in, with their session as it is now. */
export interface AuthorizeWrite {
  readonly session: Kept;
  readonly code: Issue;
  readonly grantId: string;
}

/** An artifact, sealed. */
export interface Kept {
  readonly id: Uint8Array;
  readonly accountId: string | null;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date;
}

/** A code or an opaque access token, sealed. */
export interface Issue extends Kept {
  readonly clientId: string | null;
  /** The lookup of the session that it ends with. */
  readonly session: Uint8Array | null;
}

// The access tokens that are issued with what was done.
const issuedWith = (done: 'rotated' | 'spent') => `issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, family_id, session, sealed, expires_at)
    SELECT asked.artifact_id, 'AccessToken', asked.grant_id, asked.client_id, asked.account_id, asked.family_id,
           asked.session, asked.sealed, asked.expires_at
    FROM asked JOIN ${done} USING (n) WHERE asked.artifact_id IS NOT NULL)`;

// Grants first, then families, as every unit of work takes its locks; what somebody else has locked is passed over.
// With a rotation lost nothing is issued. It is one statement, and so one transaction: whoever is told that it was
// done has it on disk. It is planned once, perhaps while the tables are empty: ids that are parameters bound what is
// looked at, and IS NOT DISTINCT FROM is = where no index is to be used, so that rows are found by their primary key and
// not among all that hang on a grant.
const ROTATE = `
  WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[], $5::bytea[], $6::timestamptz[], $7::jsonb[],
                         $8::timestamptz[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::text[],
                         $14::bytea[], $15::timestamptz[], $16::bytea[])
      WITH ORDINALITY AS asked (grant_id, family_id, generation, presented, successor, now, next, idle_expires_at, ip,
                                user_agent, artifact_id, client_id, account_id, sealed, expires_at, session, n)),
  granted AS MATERIALIZED (
    SELECT id FROM "grant" WHERE id = ANY ($1) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT f.id FROM refresh_family f JOIN granted g ON g.id IS NOT DISTINCT FROM f.grant_id
    WHERE f.id = ANY ($2) FOR NO KEY UPDATE OF f SKIP LOCKED),
  rotated AS (
    UPDATE refresh_family f
    SET generation = asked.generation + 1, current_hash = asked.successor, previous_hash = asked.presented,
        rotated_at = asked.now, payload = asked.next, idle_expires_at = asked.idle_expires_at,
        last_used_at = asked.now, last_used_ip = asked.ip, last_used_user_agent = asked.user_agent
    FROM asked JOIN free ON free.id = asked.family_id
    WHERE f.id = ANY ($2) AND f.id = asked.family_id AND f.generation = asked.generation
      AND f.current_hash = asked.presented AND f.ended_at IS NULL
    RETURNING asked.n),
  ${issuedWith('rotated')}
  SELECT n::int AS rotated_n FROM rotated`;

export async function rotateAll(pool: Pool, asked: readonly RefreshWrite[]): Promise<boolean[]> {
  const column = columnsOf(asked);
  const { rows } = await pool.query<{ rotated_n: number }>({
    name: 'rotate_and_issue',
    text: ROTATE,
    values: [
      column('text', ({ rotation }) => rotation.family.grantId),
      column('text', ({ rotation }) => rotation.family.id),
      column('int4', ({ rotation }) => rotation.family.generation),
      column('bytea', ({ rotation }) => rotation.family.currentHash),
      column('bytea', ({ rotation }) => sha256(rotation.successor)),
      column('timestamptz', ({ now }) => now),
      column('jsonb', ({ next }) => JSON.stringify(next)),
      column('timestamptz', ({ rotation }) => rotation.idleExpiresAt),
      column('text', ({ origin }) => origin.ip),
      column('text', ({ origin }) => origin.userAgent),
      column('bytea', ({ issue }) => issue?.id),
      column('text', ({ issue }) => issue?.clientId),
      column('text', ({ issue }) => issue?.accountId),
      column('bytea', ({ issue }) => issue?.sealed),
      column('timestamptz', ({ issue }) => issue?.expiresAt),
      column('bytea', ({ issue }) => issue?.session),
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
                         $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[], $17::timestamptz[],
                         $18::bytea[])
      WITH ORDINALITY AS asked (code_id, grant_id, now, artifact_id, client_id, account_id, sealed, expires_at,
                                family_id, current_hash, payload, idle_expires_at, absolute_expires_at,
                                consent_expires_at, ip, user_agent, grant_until, session, n)),
  granted AS MATERIALIZED (
    SELECT id, expires_at FROM "grant" WHERE id = ANY ($2) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT t.id FROM artifact t WHERE t.id = ANY ($1) AND t.consumed_at IS NULL FOR UPDATE SKIP LOCKED),
  spent AS (
    UPDATE artifact t SET consumed_at = asked.now
    FROM asked JOIN free ON free.id = asked.code_id JOIN granted g ON g.id = asked.grant_id
    WHERE t.id = ANY ($1) AND t.id = asked.code_id AND t.consumed_at IS NULL
      AND (asked.family_id IS NULL OR g.expires_at >= asked.grant_until)
    RETURNING asked.n),
  ${issuedWith('spent')},
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

export async function exchangeAll(pool: Pool, asked: readonly ExchangeWrite[]): Promise<boolean[]> {
  const column = columnsOf(asked);
  const { rows } = await pool.query<{ spent_n: number }>({
    name: 'exchange_code',
    text: EXCHANGE,
    values: [
      column('bytea', ({ code }) => code),
      column('text', ({ grantId }) => grantId),
      column('timestamptz', ({ now }) => now),
      column('bytea', ({ issue }) => issue?.id),
      column('text', ({ start, issue }) => start?.payload.clientId ?? issue?.clientId),
      column('text', ({ start, issue }) => start?.payload.accountId ?? issue?.accountId),
      column('bytea', ({ issue }) => issue?.sealed),
      column('timestamptz', ({ issue }) => issue?.expiresAt),
      column('text', ({ start }) => start?.token.familyId),
      column('bytea', ({ start }) => start && sha256(start.token.secret)),
      column('jsonb', ({ start }) => start && JSON.stringify(start.payload)),
      column('timestamptz', ({ start }) => start?.idleExpiresAt),
      column('timestamptz', ({ start }) => start?.absoluteExpiresAt),
      column('timestamptz', ({ start }) => start?.consentExpiresAt),
      column('text', ({ origin }) => origin.ip),
      column('text', ({ origin }) => origin.userAgent),
      column('timestamptz', ({ start }) => start && grantMargin(start.absoluteExpiresAt)),
      column('bytea', ({ issue }) => issue?.session),
    ],
  });
  const done = new Set(rows.map(({ spent_n: n }) => n));
  return asked.map((_write, index) => done.has(index + 1));
}

// Of one session's requests the last has the last word, as if they had come one after the other. A session that has
// ended meanwhile does not come back, and gets no code.
const AUTHORIZE = `
  WITH asked AS (
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::timestamptz[], $5::bytea[], $6::text[], $7::text[],
                         $8::text[], $9::bytea[], $10::timestamptz[], $11::bytea[])
      WITH ORDINALITY AS asked (session_id, session_account_id, session_sealed, session_expires_at, code_id, grant_id,
                                client_id, account_id, sealed, expires_at, session, n)),
  granted AS MATERIALIZED (
    SELECT id FROM "grant" WHERE id = ANY ($6) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT t.id FROM artifact t WHERE t.id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED),
  allowed AS (
    SELECT asked.* FROM asked JOIN granted ON granted.id = asked.grant_id JOIN free ON free.id = asked.session_id),
  last AS (
    SELECT DISTINCT ON (session_id) * FROM allowed ORDER BY session_id, n DESC),
  kept AS (
    UPDATE artifact t
    SET account_id = last.session_account_id, sealed = last.session_sealed, expires_at = last.session_expires_at
    FROM last WHERE t.id = ANY ($1) AND t.id = last.session_id
    RETURNING t.id),
  issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, session, sealed, expires_at)
    SELECT code_id, 'AuthorizationCode', grant_id, client_id, account_id, session, sealed, expires_at
    FROM allowed JOIN kept ON kept.id = allowed.session_id)
  SELECT n::int AS authorized_n FROM allowed JOIN kept ON kept.id = allowed.session_id`;

export async function authorizeAll(
  pool: Pool,
  asked: readonly AuthorizeWrite[],
): Promise<boolean[]> {
  const column = columnsOf(asked);
  const { rows } = await pool.query<{ authorized_n: number }>({
    name: 'authorize',
    text: AUTHORIZE,
    values: [
      column('bytea', ({ session }) => session.id),
      column('text', ({ session }) => session.accountId),
      column('bytea', ({ session }) => session.sealed),
      column('timestamptz', ({ session }) => session.expiresAt),
      column('bytea', ({ code }) => code.id),
      column('text', ({ grantId }) => grantId),
      column('text', ({ code }) => code.clientId),
      column('text', ({ code }) => code.accountId),
      column('bytea', ({ code }) => code.sealed),
      column('timestamptz', ({ code }) => code.expiresAt),
      column('bytea', ({ code }) => code.session),
    ],
  });
  const done = new Set(rows.map(({ authorized_n: n }) => n));
  return asked.map((_write, index) => done.has(index + 1));
}
