// Refreshing is what a provider does most. Its statements go to the database's own driver, prepared by name, and past
// Prisma's query interface: one reads the family with its grant and its person, one rotates it and writes the access
// token. docs/performance.md tells what that buys. What is not the ordinary case is left to families.ts.
import type { AdapterPayload } from 'oidc-provider';
import type { Pool } from 'pg';
import type { Account } from '../generated/client.ts';
import { sha256 } from '../keys/keyring.ts';
import type { FamilyWithGrant, Rotation } from './families.ts';
import type { Origin } from './revocation.ts';

/** A row as the driver gives it: columns by their names in the database. */
type Row = Record<string, unknown>;

const FIND = `
  SELECT f.*, g.payload AS "grant.payload", g.expires_at AS "grant.expires_at", g.created_at AS "grant.created_at",
         g.account_id AS "grant.account_id", g.client_id AS "grant.client_id",
         a.email AS "account.email", a.email_verified AS "account.email_verified", a.name AS "account.name",
         a.claims AS "account.claims", a.admin AS "account.admin", a.locked_at AS "account.locked_at",
         a.signed_out_at AS "account.signed_out_at", a.created_at AS "account.created_at",
         a.updated_at AS "account.updated_at"
  FROM refresh_family f
  LEFT JOIN "grant" g ON g.id = f.grant_id
  LEFT JOIN account a ON a.id = f.account_id
  WHERE f.id = $1`;

/** Reads a family with its grant, and the person without their password. */
export async function findFamilyAtOnce(
  pool: Pool,
  id: string,
): Promise<{ family: FamilyWithGrant; account: Account | undefined } | undefined> {
  const { rows } = await pool.query<Row>({ name: 'find_family', text: FIND, values: [id] });
  const [row] = rows;
  if (!row) return undefined;
  const grantId = row['grant_id'] as string | null;
  const family = {
    id,
    grantId,
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
    grant:
      grantId === null || row['grant.payload'] === null
        ? null
        : {
            id: grantId,
            accountId: row['grant.account_id'],
            clientId: row['grant.client_id'],
            payload: row['grant.payload'],
            createdAt: row['grant.created_at'],
            expiresAt: row['grant.expires_at'],
          },
  } as FamilyWithGrant;
  return { family, account: row['account.email'] === null ? undefined : accountOf(row) };
}

function accountOf(row: Row): Account {
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

// The grant's row first, as every unit of work takes its locks. With the rotation lost nothing is issued.
const ROTATE = `
  WITH granted AS MATERIALIZED (SELECT id FROM "grant" WHERE id = $1 FOR KEY SHARE),
  rotated AS (
    UPDATE refresh_family f
    SET generation = $3::int + 1, current_hash = $5, previous_hash = $4, rotated_at = $6, payload = $7,
        idle_expires_at = $8, last_used_at = $6, last_used_ip = $9, last_used_user_agent = $10
    FROM granted
    WHERE f.id = $2 AND f.grant_id = granted.id AND f.generation = $3 AND f.current_hash = $4
      AND f.ended_at IS NULL
    RETURNING f.id)`;
const ISSUE = `,
  issued AS (
    INSERT INTO artifact (id, model, grant_id, client_id, account_id, family_id, sealed, expires_at)
    SELECT $11, 'AccessToken', $1, $12, $13, $2, $14, $15 FROM rotated)`;
const COUNT = ' SELECT count(*)::int AS rotated_count FROM rotated';

/** An opaque access token, sealed. */
export interface Issue {
  readonly id: Uint8Array;
  readonly clientId: string | null;
  readonly accountId: string | null;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date;
}

/**
 * Rotates a family and writes the access token that was issued with it, in one statement, which is a transaction.
 *
 * @returns whether it was done; if not, nothing was written, and why is to be found out by other means
 */
export async function rotateAtOnce(
  pool: Pool,
  { family, presented, successor, idleExpiresAt }: Rotation,
  next: AdapterPayload,
  issue: Issue | undefined,
  now: Date,
  origin: Origin,
): Promise<boolean> {
  const values = [
    family.grantId,
    family.id,
    family.generation,
    Buffer.from(sha256(presented.secret)),
    Buffer.from(sha256(successor)),
    now,
    JSON.stringify(next),
    idleExpiresAt,
    origin.ip ?? null,
    origin.userAgent ?? null,
  ];
  const { rows } = await pool.query<{ rotated_count: number }>(
    issue
      ? {
          name: 'rotate_and_issue',
          text: ROTATE + ISSUE + COUNT,
          values: [
            ...values,
            Buffer.from(issue.id),
            issue.clientId,
            issue.accountId,
            Buffer.from(issue.sealed),
            issue.expiresAt,
          ],
        }
      : { name: 'rotate_family', text: ROTATE + COUNT, values },
  );
  return rows[0]?.rotated_count === 1;
}
