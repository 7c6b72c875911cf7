// Revocation of a family, a grant, or everything of a client or a person: a few statements inside the caller's
// transaction. A refresh in flight cannot outlive it: its own UPDATE sees `ended_at`.
import { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { writeEvents } from './audit.ts';
import { isDocument } from './clients.ts';
import { saveNotice } from './notices.ts';
import { clientName, strangerOf, whereabouts } from './strangers.ts';
import type { Occasion } from './origin.ts';

/** Why a family ended; recorded with the family and in the audit. */
export const endReasons = [
  'reuse', // a used-up refresh token or authorization code was presented
  'in_step', // two used it in turns, and both were answered
  'revoked_by_client', // the revocation endpoint
  'revoked_by_user', // the person signed out, or ended it at /account
  'revoked_by_admin', // the command line
  'password_changed',
  'account_locked',
  'client_removed',
  'limit', // a newer family took its place
] as const;
export type EndReason = (typeof endReasons)[number];

/** What tells that somebody has a copy. */
type Theft = 'reuse' | 'in_step';

/** Why something ends, when, and from where. A theft needs the keyring: the person gets a mail, which is sealed. */
export type Revocation = Occasion &
  (
    | { readonly reason: Exclude<EndReason, Theft> }
    | { readonly reason: EndReason; readonly keyring: Keyring }
  );

/**
 * A line: what one authorization has started, a family and access tokens. A family's line has its id; of a code that
 * started no family, its access tokens have the line's.
 */
export interface Line {
  readonly id: string;
  readonly grantId: string | null;
}

type Database = Prisma.TransactionClient;

/** Ends a grant with everything issued from it. */
export async function revokeGrant(
  database: Database,
  id: string,
  revocation: Revocation,
): Promise<number> {
  return revoke(database, Prisma.sql`id = ${id}`, { grantId: id }, revocation);
}

/** Ends everything that was issued to a client. */
export async function revokeClient(
  database: Database,
  id: string,
  revocation: Revocation,
): Promise<number> {
  const ended = await revoke(database, Prisma.sql`client_id = ${id}`, { clientId: id }, revocation);
  await database.artifact.deleteMany({ where: { clientId: id } });
  return ended;
}

/** Ends everything that a person has allowed a client, on all devices. */
export async function revokeAccess(
  database: Database,
  { accountId, clientId }: { readonly accountId: string; readonly clientId: string },
  revocation: Revocation,
): Promise<number> {
  const grants = Prisma.sql`account_id = ${accountId} AND client_id = ${clientId}`;
  return revoke(database, grants, { accountId, clientId }, revocation);
}

/**
 * Ends one line of a person, and its grant unless something else of that lives.
 *
 * @param id its family's
 * @returns how many families ended; undefined when the person has no such family
 */
export async function endLineOf(
  database: Database,
  { accountId, id }: { readonly accountId: string; readonly id: string },
  revocation: Revocation,
): Promise<number | undefined> {
  const family = await database.refreshFamily.findFirst({
    where: { id, accountId },
    select: { grantId: true, endedAt: true },
  });
  if (!family) return undefined;
  const { grantId, endedAt } = family;
  if (endedAt !== null) return 0;
  if (grantId === null) return endLine(database, { id, grantId }, revocation);
  await database.$queryRaw`SELECT 1 FROM "grant" WHERE id = ${grantId} FOR UPDATE`;
  const { now } = revocation;
  const families = await database.refreshFamily.count({
    where: { grantId, id: { not: id }, ...aliveAtTime(now) },
  });
  const others = await database.artifact.count({
    where: {
      ...{ grantId, consumedAt: null, expiresAt: { gt: now } },
      OR: [{ familyId: null }, { familyId: { not: id } }],
    },
  });
  return families + others > 0
    ? endLine(database, { id, grantId }, revocation)
    : revokeGrant(database, grantId, revocation);
}

/** The families that are alive at a time. */
export function aliveAtTime(time: Date): Prisma.RefreshFamilyWhereInput {
  return {
    ...{ endedAt: null, idleExpiresAt: { gt: time }, absoluteExpiresAt: { gt: time } },
    OR: [{ consentExpiresAt: null }, { consentExpiresAt: { gt: time } }],
  };
}

/** Ends everything that was issued for a person, except browser sessions: see {@link endSessions}. */
export async function revokeAccount(
  database: Database,
  id: string,
  revocation: Revocation,
): Promise<number> {
  return revoke(database, Prisma.sql`account_id = ${id}`, { accountId: id }, revocation);
}

/** Signs a person out of every browser. */
export async function endSessions(database: Database, accountId: string): Promise<void> {
  await database.artifact.deleteMany({ where: { model: 'Session', accountId } });
}

/** Ends a line: its family, if it has one, and its opaque access tokens. Its grant stays: others may use it. */
export async function endLine(
  database: Database,
  { id, grantId }: Line,
  revocation: Revocation,
): Promise<number> {
  const ended = await endFamilies(database, { id }, revocation);
  if (grantId !== null) await database.artifact.deleteMany({ where: { grantId, familyId: id } });
  return ended;
}

/**
 * Ends grants with their families. The grants' rows are locked first: whatever is being issued for them either was
 * committed before and ends too, or comes after and finds no grant. The foreign key deletes codes and opaque access
 * tokens.
 */
async function revoke(
  database: Database,
  grants: Prisma.Sql,
  families: Prisma.RefreshFamilyWhereInput,
  revocation: Revocation,
): Promise<number> {
  const locked = await database.$queryRaw<{ id: string }[]>`
    SELECT id FROM "grant" WHERE ${grants} ORDER BY id FOR UPDATE`;
  const ended = await endFamilies(database, families, revocation);
  await database.grant.deleteMany({ where: { id: { in: locked.map(({ id }) => id) } } });
  return ended;
}

async function endFamilies(
  database: Database,
  where: Prisma.RefreshFamilyWhereInput,
  revocation: Revocation,
): Promise<number> {
  const { reason, now } = revocation;
  const ended = await database.refreshFamily.updateManyAndReturn({
    where: { ...where, endedAt: null },
    data: { endedAt: now, endReason: reason },
    select: { id: true, accountId: true, clientId: true },
  });
  const events = ended.map(({ id, accountId, clientId }) => {
    return { type: 'family.ended', accountId, clientId, familyId: id, detail: { reason } } as const;
  });
  await writeEvents(database, events, revocation);
  if (isTheft(revocation)) await tellOfTheft(database, ended, revocation);
  return ended.length;
}

function isTheft(
  revocation: Revocation,
): revocation is Extract<Revocation, { readonly keyring: Keyring }> {
  return revocation.reason === 'reuse' || revocation.reason === 'in_step';
}

/** Sends one mail for all families that one application lost at once. A family ends once, so its mail is sent once. */
async function tellOfTheft(
  database: Database,
  ended: readonly { accountId: string; clientId: string }[],
  { keyring, now, origin }: Extract<Revocation, { keyring: Keyring }>,
): Promise<void> {
  const told = new Map(ended.map((family) => [`${family.accountId} ${family.clientId}`, family]));
  for (const { accountId, clientId } of told.values()) {
    const client = await database.client.findUnique({
      where: { id: clientId },
      select: { metadata: true },
    });
    const { subject, stranger } = nameOf(clientId, (client?.metadata ?? {}) as object);
    await saveNotice(database, keyring, {
      kind: 'reuse',
      accountId,
      now,
      origin,
      subject,
      stranger,
    });
  }
}

function nameOf(id: string, metadata: object): { subject: string; stranger: string | undefined } {
  const client = { ...metadata, client_id: id };
  const stranger = strangerOf(client, isDocument(metadata));
  return { subject: clientName(client), stranger: stranger && whereabouts(stranger) };
}
