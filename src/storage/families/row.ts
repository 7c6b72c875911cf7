// The refresh-token family's row: started with a code, rotated by one compare-and-set, listed for people. Each write is
// a few statements inside the caller's transaction.
import type { Prisma, PrismaClient, RefreshFamily } from '../../generated/client.ts';
import { sha256 } from '../../keys/keyring.ts';
import { type EventType, writeEvent } from '../audit.ts';
import { LostRace, StorageUnavailable } from '../errors.ts';
import { type Occasion, originColumns } from '../origin.ts';
import { endFamilyAlone } from '../revocation.ts';
import { isSecret } from './token.ts';
import type { Presented, Refusal, Start } from './verdict.ts';

type Database = Prisma.TransactionClient;

/** Finds a family. @param id the part of a refresh token before its dot */
export async function findFamily(
  prisma: PrismaClient,
  id: string,
): Promise<RefreshFamily | undefined> {
  return (await prisma.refreshFamily.findUnique({ where: { id } })) ?? undefined;
}

/** Starts a family: extends its grant if necessary, and ends the oldest families beyond the person's limit. */
export async function startFamily(
  database: Database,
  start: Start,
  occasion: Occasion,
): Promise<void> {
  const { token, payload, idleExpiresAt, absoluteExpiresAt, consentExpiresAt, maxFamilies } = start;
  const { now } = occasion;
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
      ...usedOn(occasion),
    },
  });
  const event = { type: 'family.started', accountId, clientId, familyId: token.familyId } as const;
  await writeEvent(database, event, occasion);
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
  for (const { id } of older) await endFamilyAlone(database, id, { reason: 'limit', ...occasion });
}

/** Makes one person's families start one after the other, when their number is limited. */
export async function awaitTurn(database: Database, accountId: string): Promise<void> {
  await database.$queryRaw`SELECT 1 FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
}

/**
 * Notes the use of a token that stays the current one.
 *
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function touchFamily(
  database: Database,
  { family: { id, generation }, token, idleExpiresAt }: Presented,
  occasion: Occasion,
): Promise<void> {
  const { count } = await database.refreshFamily.updateMany({
    where: { id, generation, currentHash: sha256(token.secret), endedAt: null },
    data: { ...usedOn(occasion), idleExpiresAt },
  });
  if (count === 0) throw new LostRace(OVERTAKEN);
}

/**
 * Replaces the current secret by its successor; for a retry, checks that its successor still is the current one. A
 * simultaneous request that presented the same secret and was first is no loss: the successor is the same.
 *
 * @param next the successor's payload, made by the engine
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function rotateFamily(
  database: Database,
  presented: Presented & { readonly next: object | undefined },
  occasion: Occasion,
): Promise<void> {
  const { verdict, token, successor, otherSuccessors, idleExpiresAt, next } = presented;
  const { id, generation } = presented.family;
  const used = usedOn(occasion);
  const presentedHash = sha256(token.secret);
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
      rotatedAt: occasion.now,
      payload: next,
      idleExpiresAt,
    },
  });
  if (count === 1) return;
  const found = await database.refreshFamily.findUnique({ where: { id } });
  if (found?.endedAt !== null || found.generation !== generation + 1) throw new LostRace(OVERTAKEN);
  if (isSecret(successor, found.currentHash)) return;
  // While SYMBOLON_SECRET is being changed process by process, another process may derive another successor. The client
  // must ask again, and then gets that one.
  if (otherSuccessors.some((secret) => isSecret(secret, found.currentHash))) {
    throw new StorageUnavailable(new Error('another process derived another successor'));
  }
  throw new LostRace(OVERTAKEN);
}

const OVERTAKEN = 'the refresh token was used up, or its family ended, meanwhile';

function usedOn({ now, origin }: Occasion) {
  const { ip, userAgent } = originColumns(origin);
  return { lastUsedAt: now, lastUsedIp: ip, lastUsedUserAgent: userAgent };
}

/** The earliest expiry of a grant with a family that expires at this time: an hour later. */
export function grantMargin(familyExpiresAt: Date): Date {
  return new Date(familyExpiresAt.getTime() + 3_600_000);
}

/** The expiry that a grant is extended to for such a family: a day later, so that not every family extends it. */
export function grantExpiry(familyExpiresAt: Date): Date {
  return new Date(familyExpiresAt.getTime() + 86_400_000);
}

const AGAIN = 3_600_000; // milliseconds for which the same refusal from the same address is not written again
const REFUSED: EventType = 'refresh.refused';

/** Writes a refusal to the audit. A client that keeps asking does not fill it. */
export async function recordRefusal(
  database: Database,
  { family, reason }: Pick<Refusal, 'family' | 'reason'>,
  { now, origin }: Occasion,
): Promise<void> {
  const { ip, userAgent } = originColumns(origin);
  const since = new Date(now.getTime() - AGAIN);
  await database.$executeRaw`
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent, detail)
    SELECT ${now}, ${REFUSED}, ${family.accountId}, ${family.clientId}, ${family.id}, ${ip}, ${userAgent},
           jsonb_build_object('reason', ${reason}::text)
    WHERE NOT EXISTS (
      SELECT 1 FROM audit_event
      WHERE family_id = ${family.id} AND type = ${REFUSED} AND at > ${since}
        AND ip IS NOT DISTINCT FROM ${ip} AND detail->>'reason' = ${reason})`;
}

export interface FamilyFilter {
  readonly accountId?: string;
  readonly clientId?: string;
}

/** Lists families, the newest first. */
export async function listFamilies(
  prisma: PrismaClient,
  filter: FamilyFilter,
): Promise<RefreshFamily[]> {
  return prisma.refreshFamily.findMany({ where: filter, orderBy: { createdAt: 'desc' } });
}
