// The ordinary writes: one statement rotates families and writes the access tokens issued with them, one spends codes
// and starts families, one issues codes. Each is one transaction: what it reports as done is on disk. Grants are locked
// first, then artifacts, then families, as everywhere; a row that is locked already is skipped, and its write not done.
import type { AdapterPayload } from 'oidc-provider';
import type { Pool } from 'pg';
import { sha256 } from '../../keys/keyring.ts';
import type { EventType } from '../audit.ts';
import { grantMargin } from '../families/row.ts';
import type { Presented, Start } from '../families/verdict.ts';
import type { Occasion } from '../origin.ts';
import { type Statement, byItem, statement } from './statements.ts';

/** A rotation, with its access token if that is opaque. */
export interface RefreshWrite extends Occasion {
  readonly presented: Presented;
  /** The successor's payload. */
  readonly next: AdapterPayload;
  readonly issued: IssuedArtifact | undefined;
}

/** A code that is spent, with what is issued for it. */
export interface ExchangeWrite extends Occasion {
  /** The code's primary key. */
  readonly code: Uint8Array;
  /** The line that it starts. */
  readonly line: string;
  readonly grantId: string;
  readonly issued: IssuedArtifact | undefined;
  readonly start: Start | undefined;
}

/** A code for a person who is signed in, with their session as it is now. */
export interface AuthorizeWrite {
  readonly session: SealedArtifact;
  readonly code: IssuedArtifact;
  readonly grantId: string;
}

/** An artifact, sealed. */
export interface SealedArtifact {
  readonly id: Uint8Array;
  readonly accountId: string | null;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date;
}

/** A code or an opaque access token, sealed. */
export interface IssuedArtifact extends SealedArtifact {
  readonly clientId: string | null;
  /** The lookup of the session that it ends with. */
  readonly session: Uint8Array | null;
}

const STARTED: EventType = 'family.started';

// Inserts the access tokens of the items that were done.
const issuedWith = (done: 'rotated' | 'spent') => `issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, family_id, session, sealed, expires_at)
    SELECT asked.artifact_id, 'AccessToken', asked.grant_id, asked.client_id, asked.account_id, asked.family_id,
           asked.session, asked.sealed, asked.expires_at
    FROM asked JOIN ${done} USING (n) WHERE asked.artifact_id IS NOT NULL)`;

// When a rotation loses its race, nothing is issued. IS NOT DISTINCT FROM is an = that uses no index: rows are to be
// found by their primary key, not among all rows of a grant.
const rotation = (name: string, selected: string) =>
  statement(
    name,
    {
      grant_id: ['text', ({ presented }: RefreshWrite) => presented.family.grantId],
      family_id: ['text', ({ presented }) => presented.family.id],
      generation: ['int4', ({ presented }) => presented.family.generation],
      presented: ['bytea', ({ presented }) => presented.family.currentHash],
      successor: ['bytea', ({ presented }) => sha256(presented.successor)],
      now: ['timestamptz', ({ now }) => now],
      next: ['jsonb', ({ next }) => JSON.stringify(next)],
      idle_expires_at: ['timestamptz', ({ presented }) => presented.idleExpiresAt],
      ip: ['text', ({ origin }) => origin.ip],
      user_agent: ['text', ({ origin }) => origin.userAgent],
      artifact_id: ['bytea', ({ issued }) => issued?.id],
      client_id: ['text', ({ issued }) => issued?.clientId],
      account_id: ['text', ({ issued }) => issued?.accountId],
      sealed: ['bytea', ({ issued }) => issued?.sealed],
      expires_at: ['timestamptz', ({ issued }) => issued?.expiresAt],
      session: ['bytea', ({ issued }) => issued?.session],
    },
    (asked, all) => `
  WITH asked AS (SELECT * FROM ${asked}),
  granted AS MATERIALIZED (
    SELECT id FROM "grant" WHERE id = ANY (${all.grant_id}) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT f.id FROM refresh_family f JOIN granted g ON g.id IS NOT DISTINCT FROM f.grant_id
    WHERE f.id = ANY (${all.family_id}) FOR NO KEY UPDATE OF f SKIP LOCKED),
  rotated AS (
    UPDATE refresh_family f
    SET generation = asked.generation + 1, current_hash = asked.successor, previous_hash = asked.presented,
        rotated_at = asked.now, payload = asked.next, idle_expires_at = asked.idle_expires_at,
        last_used_at = asked.now, last_used_ip = asked.ip, last_used_user_agent = asked.user_agent
    FROM asked JOIN free ON free.id = asked.family_id
    WHERE f.id = ANY (${all.family_id}) AND f.id = asked.family_id AND f.generation = asked.generation
      AND f.current_hash = asked.presented AND f.ended_at IS NULL
    RETURNING asked.n),
  ${issuedWith('rotated')}
  SELECT n AS rotated_n${selected} FROM rotated`,
  );

// Nothing is issued for a code that this statement did not spend. A grant that a new family might outlive must be
// extended, which is not ordinary.
const exchange = statement(
  'exchange_code',
  {
    code_id: ['bytea', ({ code }: ExchangeWrite) => code],
    grant_id: ['text', ({ grantId }) => grantId],
    now: ['timestamptz', ({ now }) => now],
    artifact_id: ['bytea', ({ issued }) => issued?.id],
    client_id: ['text', ({ start, issued }) => start?.payload.clientId ?? issued?.clientId],
    account_id: ['text', ({ start, issued }) => start?.payload.accountId ?? issued?.accountId],
    sealed: ['bytea', ({ issued }) => issued?.sealed],
    expires_at: ['timestamptz', ({ issued }) => issued?.expiresAt],
    family_id: ['text', ({ line }) => line],
    current_hash: ['bytea', ({ start }) => start && sha256(start.token.secret)],
    salt: ['bytea', ({ start }) => start?.token.salt],
    payload: ['jsonb', ({ start }) => start && JSON.stringify(start.payload)],
    idle_expires_at: ['timestamptz', ({ start }) => start?.idleExpiresAt],
    absolute_expires_at: ['timestamptz', ({ start }) => start?.absoluteExpiresAt],
    consent_expires_at: ['timestamptz', ({ start }) => start?.consentExpiresAt],
    ip: ['text', ({ origin }) => origin.ip],
    user_agent: ['text', ({ origin }) => origin.userAgent],
    actor_kind: ['text', ({ origin }) => origin.actor?.kind],
    actor_id: ['text', ({ origin }) => origin.actor?.id],
    request_id: ['text', ({ origin }) => origin.requestId],
    grant_until: ['timestamptz', ({ start }) => start && grantMargin(start.absoluteExpiresAt)],
    session: ['bytea', ({ issued }) => issued?.session],
  },
  (asked, all) => `
  WITH asked AS (SELECT * FROM ${asked}),
  granted AS MATERIALIZED (
    SELECT id, expires_at FROM "grant" WHERE id = ANY (${all.grant_id}) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT t.id FROM artifact t WHERE t.id = ANY (${all.code_id}) AND t.consumed_at IS NULL FOR UPDATE SKIP LOCKED),
  spent AS (
    UPDATE artifact t SET consumed_at = asked.now
    FROM asked JOIN free ON free.id = asked.code_id JOIN granted g ON g.id = asked.grant_id
    WHERE t.id = ANY (${all.code_id}) AND t.id = asked.code_id AND t.consumed_at IS NULL
      AND (asked.grant_until IS NULL OR g.expires_at >= asked.grant_until)
    RETURNING asked.n),
  ${issuedWith('spent')},
  started AS (
    INSERT INTO refresh_family (id, grant_id, account_id, client_id, current_hash, salt, payload, created_at,
                                idle_expires_at, absolute_expires_at, consent_expires_at, last_used_at, last_used_ip,
                                last_used_user_agent)
    SELECT asked.family_id, asked.grant_id, asked.account_id, asked.client_id, asked.current_hash, asked.salt,
           asked.payload,
           asked.now, asked.idle_expires_at, asked.absolute_expires_at, asked.consent_expires_at, asked.now, asked.ip,
           asked.user_agent
    FROM asked JOIN spent USING (n) WHERE asked.salt IS NOT NULL),
  audited AS (
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent, actor_kind, actor_id, request_id)
    SELECT asked.now, '${STARTED}', asked.account_id, asked.client_id, asked.family_id, asked.ip, asked.user_agent,
           asked.actor_kind, asked.actor_id, asked.request_id
    FROM asked JOIN spent USING (n) WHERE asked.salt IS NOT NULL)
  SELECT n AS spent_n FROM spent`,
);

// Of several requests of one session, the last one's session is written, as if they had come one after the other. A
// session that has ended meanwhile does not come back, and gets no code.
const authorization = statement(
  'authorize',
  {
    session_id: ['bytea', ({ session }: AuthorizeWrite) => session.id],
    session_account_id: ['text', ({ session }) => session.accountId],
    session_sealed: ['bytea', ({ session }) => session.sealed],
    session_expires_at: ['timestamptz', ({ session }) => session.expiresAt],
    code_id: ['bytea', ({ code }) => code.id],
    grant_id: ['text', ({ grantId }) => grantId],
    client_id: ['text', ({ code }) => code.clientId],
    account_id: ['text', ({ code }) => code.accountId],
    sealed: ['bytea', ({ code }) => code.sealed],
    expires_at: ['timestamptz', ({ code }) => code.expiresAt],
    session: ['bytea', ({ code }) => code.session],
  },
  (asked, all) => `
  WITH asked AS (SELECT * FROM ${asked}),
  granted AS MATERIALIZED (
    SELECT id FROM "grant" WHERE id = ANY (${all.grant_id}) FOR KEY SHARE SKIP LOCKED),
  free AS MATERIALIZED (
    SELECT t.id FROM artifact t WHERE t.id = ANY (${all.session_id}) FOR NO KEY UPDATE SKIP LOCKED),
  allowed AS (
    SELECT asked.* FROM asked JOIN granted ON granted.id = asked.grant_id JOIN free ON free.id = asked.session_id),
  last AS (
    SELECT DISTINCT ON (session_id) * FROM allowed ORDER BY session_id, n DESC),
  kept AS (
    UPDATE artifact t
    SET account_id = last.session_account_id, sealed = last.session_sealed, expires_at = last.session_expires_at
    FROM last WHERE t.id = ANY (${all.session_id}) AND t.id = last.session_id
    RETURNING t.id),
  issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, session, sealed, expires_at)
    SELECT code_id, 'AuthorizationCode', grant_id, client_id, account_id, session, sealed, expires_at
    FROM allowed JOIN kept ON kept.id = allowed.session_id)
  SELECT n AS authorized_n FROM allowed JOIN kept ON kept.id = allowed.session_id`,
);

/** Each of these returns for every item whether it was done. */
export const rotateAll = telling(rotation('rotate_and_issue', ''), 'rotated_n');
/** The same, without waiting for the disk: the setting holds for this statement's transaction. */
export const rotateAllRelaxed = telling(
  rotation('rotate_and_issue_relaxed', ", set_config('synchronous_commit', 'off', true)"),
  'rotated_n',
);
export const exchangeAll = telling(exchange, 'spent_n');
export const authorizeAll = telling(authorization, 'authorized_n');

function telling<Item>(write: Statement<Item>, number: string) {
  return async (pool: Pool, asked: readonly Item[]): Promise<boolean[]> =>
    byItem(await write.run(pool, asked), asked, number).map((row) => row !== undefined);
}
