// Revocation of a family, a grant, or everything of a client or a person: a few statements inside the caller's
// transaction. A refresh in flight cannot outlive it: its own UPDATE sees `ended_at`.
import { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { writeEvents } from './audit.ts';
import { isDocument } from './clients.ts';
import { saveNotice } from './notices.ts';
import { clientsOf, endSessions, tellApplications } from './sign-outs.ts';
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
  'account_deleted',
  'client_removed',
  'access_withdrawn', // the person left the groups that the application is for
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

/** A revocation that applications are told of. */
export type Telling = Revocation & { readonly keyring: Keyring };

/** What has ended with a person's access. */
export interface AccessEnd {
  /** How many refresh-token families. */
  readonly families: number;
  /** The messages to applications that are registered for it: deliveries' ids. */
  readonly told: readonly string[];
}

type Database = Prisma.TransactionClient;

/** Ends a grant with everything issued from it. */
export async function revokeGrant(
  database: Database,
  id: string,
  revocation: Revocation,
): Promise<number> {
  const { families } = await revoke(database, Prisma.sql`id = ${id}`, { grantId: id }, revocation);
  return families;
}

/** Ends everything that was issued to a client. */
export async function revokeClient(
  database: Database,
  id: string,
  revocation: Revocation,
): Promise<number> {
  const grants = Prisma.sql`client_id = ${id}`;
  const { families } = await revoke(database, grants, { clientId: id }, revocation);
  await database.artifact.deleteMany({ where: { clientId: id } });
  return families;
}

/** Ends everything that people have allowed a client, on all devices. The client is told. */
export async function revokeAccess(
  database: Database,
  { accountIds, clientId }: { readonly accountIds: readonly string[]; readonly clientId: string },
  revocation: Telling,
): Promise<AccessEnd> {
  const grants = Prisma.sql`account_id = ANY (${accountIds}) AND client_id = ${clientId}`;
  const of = { accountId: { in: [...accountIds] }, clientId };
  const { families } = await revoke(database, grants, of, revocation);
  const whom = accountIds.map((accountId) => ({ accountId, clientId }));
  return { families, told: await tellApplications(database, whom, revocation) };
}

/**
 * Ends one line of a person, and its grant unless something else of that lives. An application that knows the session of
 * its line is told that this one has ended.
 *
 * @param id its family's
 * @returns how many families ended; undefined when the person has no such family
 */
export async function endLineOf(
  database: Database,
  { accountId, id }: { readonly accountId: string; readonly id: string },
  revocation: Telling,
): Promise<number | undefined> {
  const where = { id, accountId };
  const seen = await database.refreshFamily.findFirst({ where, select: { grantId: true } });
  if (!seen) return undefined;
  // Grants are locked before families. Of two who end it at once, the second finds it ended, and tells nobody.
  await database.$queryRaw`SELECT 1 FROM "grant" WHERE id = ${seen.grantId} FOR UPDATE`;
  await database.$queryRaw`SELECT 1 FROM refresh_family WHERE id = ${id} FOR NO KEY UPDATE`;
  const family = await database.refreshFamily.findFirst({
    where,
    select: { grantId: true, endedAt: true, clientId: true, payload: true },
  });
  if (family?.endedAt !== null) return 0;
  const { grantId, clientId } = family;
  const { sid } = family.payload as { readonly sid?: string };
  const { now } = revocation;
  // Without one the application would take it for the end of all its sessions. A second line of the same browser has the
  // same one, and lives on.
  if (sid !== undefined && !(await hasOthers(database, { id, accountId, clientId, sid, now })))
    await tellApplications(database, [{ accountId, clientId }], revocation, sid);
  if (grantId === null) return endLine(database, { id, grantId }, revocation);
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

/** Whether another line of the application's session is alive. */
async function hasOthers(
  database: Database,
  line: Record<'id' | 'accountId' | 'clientId' | 'sid', string> & { readonly now: Date },
): Promise<boolean> {
  const { id, accountId, clientId, sid, now } = line;
  const others = await database.refreshFamily.count({
    where: {
      ...{ id: { not: id }, accountId, clientId, ...aliveAtTime(now) },
      payload: { path: ['sid'], equals: sid },
    },
  });
  return others > 0;
}

/** The families that are alive at a time. */
export function aliveAtTime(time: Date): Prisma.RefreshFamilyWhereInput {
  return {
    ...{ endedAt: null, idleExpiresAt: { gt: time }, absoluteExpiresAt: { gt: time } },
    OR: [{ consentExpiresAt: null }, { consentExpiresAt: { gt: time } }],
  };
}

/**
 * Ends a person's access, and has applications told of it: one message each, that it is over in all sessions.
 *
 * @param id the account's
 * @param what `issued`: grants with everything issued from them; `sessions`: being signed in, in every browser; `all`
 * @param tells false: nobody is told
 */
export async function endAccess(
  database: Database,
  id: string,
  what: 'issued' | 'sessions' | 'all',
  revocation: Telling,
  tells = true,
): Promise<AccessEnd> {
  // In the order of locks: grants first, then the rest. Those that have ended are told, not those that were read before.
  const { families, clientIds } =
    what === 'sessions'
      ? { families: 0, clientIds: await clientsOf(database, id) }
      : await revoke(database, Prisma.sql`account_id = ${id}`, { accountId: id }, revocation);
  if (what !== 'issued') clientIds.push(...(await endSessions(database, revocation.keyring, id)));
  const whom = [...new Set(clientIds)].map((clientId) => ({ accountId: id, clientId }));
  const told = tells ? await tellApplications(database, whom, revocation) : [];
  return { families, told };
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
): Promise<{ families: number; clientIds: string[] }> {
  const locked = await database.$queryRaw<{ id: string; clientId: string }[]>`
    SELECT id, client_id AS "clientId" FROM "grant" WHERE ${grants} ORDER BY id FOR UPDATE`;
  const ended = await endFamilies(database, families, revocation);
  await database.grant.deleteMany({ where: { id: { in: locked.map(({ id }) => id) } } });
  return { families: ended, clientIds: locked.map(({ clientId }) => clientId) };
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
