// Ending things: a grant with everything issued from it, or one family. Each is a statement or two inside the
// caller's transaction. A refresh in flight cannot outlive it: its own UPDATE sees ended_at.
import type { Prisma } from '../generated/client.ts';

/** Why a family ended; recorded with it, and in the audit. */
export type EndReason =
  | 'reuse' // a used-up refresh token was presented
  | 'code_reuse' // its authorization code was presented twice
  | 'revoked_by_client' // the revocation endpoint
  | 'revoked_by_operator' // the command line
  | 'signed_out' // the person signed out and the grant did not outlast it
  | 'client_removed'
  | 'revoked';

/** Where a request came from, for the audit. */
export interface Origin {
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

/**
 * Ends a grant: its families with the reason given, its codes and opaque access tokens by the foreign key.
 * The grant's row is locked first, so that whatever is being issued for it either was committed before and
 * ends too, or comes after and finds no grant.
 */
export async function revokeGrant(
  database: Prisma.TransactionClient,
  grantId: string,
  reason: EndReason,
  now: Date,
  origin: Origin,
): Promise<void> {
  await database.$queryRaw`SELECT 1 FROM "grant" WHERE id = ${grantId} FOR UPDATE`;
  const families = await database.refreshFamily.updateManyAndReturn({
    where: { grantId, endedAt: null },
    data: { endedAt: now, endReason: reason },
    select: { id: true, accountId: true, clientId: true },
  });
  await recordEnds(database, families, reason, now, origin);
  await database.grant.deleteMany({ where: { id: grantId } });
}

/** Ends one family, with its grant if it still has one. */
export async function endFamily(
  database: Prisma.TransactionClient,
  familyId: string,
  reason: EndReason,
  now: Date,
  origin: Origin,
): Promise<void> {
  const family = await database.refreshFamily.findUnique({
    where: { id: familyId },
    select: { grantId: true },
  });
  if (family?.grantId) return revokeGrant(database, family.grantId, reason, now, origin);
  const families = await database.refreshFamily.updateManyAndReturn({
    where: { id: familyId, endedAt: null },
    data: { endedAt: now, endReason: reason },
    select: { id: true, accountId: true, clientId: true },
  });
  await recordEnds(database, families, reason, now, origin);
}

/** Ends everything that a client holds, in the caller's transaction. */
export async function revokeClient(
  database: Prisma.TransactionClient,
  clientId: string,
  reason: EndReason,
  now: Date,
  origin: Origin,
): Promise<void> {
  await database.$queryRaw`SELECT 1 FROM "grant" WHERE client_id = ${clientId} ORDER BY id FOR UPDATE`;
  const families = await database.refreshFamily.updateManyAndReturn({
    where: { clientId, endedAt: null },
    data: { endedAt: now, endReason: reason },
    select: { id: true, accountId: true, clientId: true },
  });
  await recordEnds(database, families, reason, now, origin);
  await database.grant.deleteMany({ where: { clientId } });
  await database.artifact.deleteMany({ where: { clientId } });
}

async function recordEnds(
  database: Prisma.TransactionClient,
  families: readonly { id: string; accountId: string; clientId: string }[],
  reason: EndReason,
  now: Date,
  origin: Origin,
): Promise<void> {
  if (families.length === 0) return;
  await database.auditEvent.createMany({
    data: families.map(({ id, accountId, clientId }) => ({
      at: now,
      type: 'family.ended',
      accountId,
      clientId,
      familyId: id,
      ip: origin.ip ?? null,
      userAgent: origin.userAgent ?? null,
      detail: { reason },
    })),
  });
}
