// Grants: what a person has allowed a client, per browser session or device. A grant always outlives its refresh-token
// families: starting a family extends it.
import type { AdapterPayload } from 'oidc-provider';
import type { Grant, Prisma, PrismaClient } from '../generated/client.ts';
import { rememberDocumentClient } from './clients.ts';
import type { Origin } from './origin.ts';
import type { Save } from './writes.ts';

/**
 * The newest living grant that a person has given a client, in any browser or on any device. Grants that nobody was
 * asked for (`unasked`: for an assertion, a password or an exchanged token) are no consent.
 */
export async function latestGrant(
  prisma: PrismaClient,
  accountId: string,
  clientId: string,
  now: Date,
): Promise<AdapterPayload | undefined> {
  const [row] = await prisma.$queryRaw<Pick<Grant, 'payload' | 'expiresAt'>[]>`
    SELECT payload, expires_at AS "expiresAt" FROM "grant"
    WHERE account_id = ${accountId} AND client_id = ${clientId} AND expires_at > ${now}
      AND payload->'unasked' IS NULL
    ORDER BY created_at DESC LIMIT 1`;
  return row ? payloadOf(row) : undefined;
}

/** Writes a grant, new or changed. Its origin is recorded when a person makes it, not when an application does. */
export async function saveGrant(
  database: Prisma.TransactionClient,
  { id, payload, expiresAt, isUnattended }: Save,
  origin: Origin,
): Promise<void> {
  const { accountId, clientId } = payload;
  if (accountId === undefined || clientId === undefined)
    throw new TypeError('a grant needs an account and a client');
  // Its id is the URL of its metadata (draft-ietf-oauth-client-id-metadata-document).
  if (/^https:\/\//i.test(clientId)) await rememberDocumentClient(database, clientId);
  const content = payload as Prisma.InputJsonObject;
  await database.grant.upsert({
    where: { id },
    create: {
      ...{ id, accountId, clientId, payload: content, expiresAt },
      ip: (!isUnattended && origin.ip) || null,
      userAgent: (!isUnattended && origin.userAgent) || null,
    },
    update: { payload: content },
  });
}

/** The engine's payload of a grant. */
export function payloadOf(row: Pick<Grant, 'payload' | 'expiresAt'>): AdapterPayload {
  return { ...(row.payload as AdapterPayload), exp: Math.floor(row.expiresAt.getTime() / 1000) };
}
