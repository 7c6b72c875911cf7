// The refresh-token family's row: started with a code, rotated by one compare-and-set, listed for people.
import type { AdapterPayload } from 'oidc-provider';
import type { Grant, Prisma, PrismaClient, RefreshFamily } from '../../generated/client.ts';
import { sha256 } from '../../keys/keyring.ts';
import { LostRace, StorageUnavailable } from '../errors.ts';
import type { FamilyRead } from '../fast/reads.ts';
import { type RefreshToken, isSecret } from './token.ts';
import { type Origin, endFamilyAlone } from '../revocation.ts';

export type FamilyWithGrant = RefreshFamily & { grant: Grant | null };

/** A new family. `payload` is the engine's, without the token's value. */
export interface Start {
  readonly token: RefreshToken;
  readonly payload: AdapterPayload;
  readonly idleExpiresAt: Date;
  readonly absoluteExpiresAt: Date;
  readonly consentExpiresAt: Date | null;
  /** How many living families the person may have with the client. */
  readonly maxFamilies: number | undefined;
}

/** A presented token, and its successor should the engine spend it; `next` is set once the engine has made that. */
export interface Rotation {
  readonly verdict: 'rotate' | 'retry';
  readonly family: FamilyRead;
  readonly presented: RefreshToken;
  readonly successor: string;
  /** What processes that have SYMBOLON_SECRET in another order derive as its successor. */
  readonly otherSuccessors: readonly string[];
  /** When the family is idle for too long, now that it is used. */
  readonly idleExpiresAt: Date;
  next?: AdapterPayload;
}

export async function findFamily(
  prisma: PrismaClient,
  id: string,
): Promise<FamilyWithGrant | undefined> {
  return (
    (await prisma.refreshFamily.findUnique({ where: { id }, include: { grant: true } })) ??
    undefined
  );
}

export async function startFamily(
  database: Prisma.TransactionClient,
  { token, payload, idleExpiresAt, absoluteExpiresAt, consentExpiresAt, maxFamilies }: Start,
  now: Date,
  origin: Origin,
): Promise<void> {
  const { accountId, clientId, grantId } = payload;
  if (accountId === undefined || clientId === undefined || grantId === undefined) {
    throw new TypeError('a refresh-token family needs an account, a client and a grant');
  }
  await database.grant.updateMany({
    where: { id: grantId, expiresAt: { lt: grantMargin(absoluteExpiresAt) } },
    data: { expiresAt: grantExpiry(absoluteExpiresAt) },
  });
  await database.refreshFamily.create({
    data: {
      id: token.familyId,
      grantId,
      accountId,
      clientId,
      currentHash: sha256(token.secret),
      payload: payload as Prisma.InputJsonObject,
      createdAt: now,
      idleExpiresAt,
      absoluteExpiresAt,
      consentExpiresAt,
      lastUsedAt: now,
      lastUsedIp: origin.ip ?? null,
      lastUsedUserAgent: origin.userAgent ?? null,
    },
  });
  await database.auditEvent.create({
    data: {
      ...{ at: now, type: 'family.started', accountId, clientId, familyId: token.familyId },
      ...{ ip: origin.ip ?? null, userAgent: origin.userAgent ?? null },
    },
  });
  if (maxFamilies === undefined) return;
  const tooMany = await database.refreshFamily.findMany({
    where: {
      ...{ accountId, clientId, endedAt: null },
      ...{ idleExpiresAt: { gt: now }, absoluteExpiresAt: { gt: now } },
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    select: { id: true },
  });
  const older = tooMany.filter(({ id }) => id !== token.familyId).slice(maxFamilies - 1);
  for (const { id } of older) await endFamilyAlone(database, id, { reason: 'limit', now, origin });
}

/** Makes families of one person start one after the other, where their number is limited. */
export async function awaitTurn(
  database: Prisma.TransactionClient,
  accountId: string,
): Promise<void> {
  await database.$queryRaw`SELECT 1 FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
}

/**
 * Notes the use of a token that is not replaced by it.
 *
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function touchFamily(
  database: Prisma.TransactionClient,
  { family: { id, generation }, presented, idleExpiresAt }: Rotation,
  now: Date,
  origin: Origin,
): Promise<void> {
  const { count } = await database.refreshFamily.updateMany({
    where: { id, generation, currentHash: sha256(presented.secret), endedAt: null },
    data: { ...usedBy(origin, now), idleExpiresAt },
  });
  if (count === 0) throw new LostRace(OVERTAKEN);
}

/**
 * Replaces the current secret by its successor, or makes sure that a retry's successor still is the current one.
 * A twin that presented the same secret and was first is no loss: the successor is the same.
 *
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function rotateFamily(
  database: Prisma.TransactionClient,
  rotation: Rotation,
  now: Date,
  origin: Origin,
): Promise<void> {
  const { verdict, presented, successor, otherSuccessors, idleExpiresAt, next } = rotation;
  const { id, generation } = rotation.family;
  const used = usedBy(origin, now);
  const presentedHash = sha256(presented.secret);
  if (verdict === 'retry') {
    const { count } = await database.refreshFamily.updateMany({
      where: { id, generation, currentHash: sha256(successor), endedAt: null },
      data: used,
    });
    if (count === 0) throw new LostRace(OVERTAKEN);
    return;
  }
  if (!next) throw new Error('the engine spent a refresh token and issued none');
  const { count } = await database.refreshFamily.updateMany({
    where: { id, generation, currentHash: presentedHash, endedAt: null },
    data: {
      ...used,
      generation: generation + 1,
      currentHash: sha256(successor),
      previousHash: presentedHash,
      rotatedAt: now,
      payload: next as Prisma.InputJsonObject,
      idleExpiresAt,
    },
  });
  if (count === 1) return;
  const found = await database.refreshFamily.findUnique({ where: { id } });
  if (found?.endedAt !== null || found.generation !== generation + 1) throw new LostRace(OVERTAKEN);
  if (isSecret(successor, found.currentHash)) return;
  // While SYMBOLON_SECRET is being changed, process by process, the twin's successor may be another than ours:
  // the client is to ask again, and is given that one.
  if (otherSuccessors.some((secret) => isSecret(secret, found.currentHash))) {
    throw new StorageUnavailable(new Error('another process derived another successor'));
  }
  throw new LostRace(OVERTAKEN);
}

const OVERTAKEN = 'the refresh token was used up, or its family ended, meanwhile';

function usedBy(origin: Origin, now: Date) {
  return {
    lastUsedAt: now,
    lastUsedIp: origin.ip ?? null,
    lastUsedUserAgent: origin.userAgent ?? null,
  };
}

/** When a grant must not have expired yet for a family that ends at this time: an hour later. */
export function grantMargin(familyExpiresAt: Date): Date {
  return new Date(familyExpiresAt.getTime() + 3_600_000);
}

/** Until when a grant is extended for such a family: a day later, so that it need not be for every one. */
export function grantExpiry(familyExpiresAt: Date): Date {
  return new Date(familyExpiresAt.getTime() + 86_400_000);
}

export interface FamilyFilter {
  readonly accountId?: string;
  readonly clientId?: string;
}

/** Families for a person to look at, the newest first. */
export async function listFamilies(
  prisma: PrismaClient,
  filter: FamilyFilter,
): Promise<RefreshFamily[]> {
  return prisma.refreshFamily.findMany({ where: filter, orderBy: { createdAt: 'desc' } });
}
