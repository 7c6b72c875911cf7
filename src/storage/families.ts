// The refresh-token family's row: started with a code, rotated by one compare-and-set, listed for people.
import type { AdapterPayload } from 'oidc-provider';
import type { Grant, Prisma, PrismaClient, RefreshFamily } from '../generated/client.ts';
import { sha256 } from '../keys/keyring.ts';
import { LostRace } from './errors.ts';
import { type RefreshToken, isSecret } from './refresh-token.ts';
import type { Origin } from './revocation.ts';

export type FamilyWithGrant = RefreshFamily & { grant: Grant | null };

/** A new family. `payload` is the engine's, without the token's value. */
export interface Start {
  readonly token: RefreshToken;
  readonly payload: AdapterPayload;
  readonly idleExpiresAt: Date;
  readonly absoluteExpiresAt: Date;
}

/** A presented token on its way to its successor; `next` is set once the engine has made it. */
export interface Rotation {
  readonly verdict: 'rotate' | 'retry';
  readonly presented: RefreshToken;
  /** The family's generation when it was read. */
  readonly generation: number;
  readonly successor: string;
  next?: { readonly payload: AdapterPayload; readonly idleExpiresAt: Date };
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
  { token, payload, idleExpiresAt, absoluteExpiresAt }: Start,
  now: Date,
  origin: Origin,
): Promise<void> {
  const { accountId, clientId, grantId } = payload;
  if (accountId === undefined || clientId === undefined || grantId === undefined) {
    throw new TypeError('a refresh-token family needs an account, a client and a grant');
  }
  await database.grant.updateMany({
    where: { id: grantId, expiresAt: { lt: grantExpiry(absoluteExpiresAt) } },
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
      lastUsedAt: now,
      lastUsedIp: origin.ip ?? null,
      lastUsedUserAgent: origin.userAgent ?? null,
    },
  });
}

/**
 * Replaces the current secret by its successor, or makes sure that a retry's successor still is the current one.
 * A twin that presented the same secret and was first is no loss: the successor is the same.
 *
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function rotateFamily(
  database: Prisma.TransactionClient,
  { verdict, presented, generation, successor, next }: Rotation,
  now: Date,
  origin: Origin,
): Promise<void> {
  const used = {
    lastUsedAt: now,
    lastUsedIp: origin.ip ?? null,
    lastUsedUserAgent: origin.userAgent ?? null,
  };
  const presentedHash = sha256(presented.secret);
  const id = presented.familyId;
  if (verdict === 'retry') {
    const { count } = await database.refreshFamily.updateMany({
      where: { id, generation, currentHash: sha256(successor), endedAt: null },
      data: used,
    });
    if (count === 0)
      throw new LostRace('the refresh token was used up, or its family ended, meanwhile');
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
      payload: next.payload as Prisma.InputJsonObject,
      idleExpiresAt: next.idleExpiresAt,
    },
  });
  if (count === 1) return;
  const family = await database.refreshFamily.findUnique({ where: { id } });
  const twinWasFirst =
    family?.endedAt === null &&
    family.generation === generation + 1 &&
    isSecret(successor, family.currentHash);
  if (!twinWasFirst)
    throw new LostRace('the refresh token was used up, or its family ended, meanwhile');
}

/** When a grant must not have expired yet for a family that ends at this time: a day later. */
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
