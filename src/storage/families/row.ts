// The refresh-token family's row: started with a code, rotated by one compare-and-set. Each write is
// a few statements inside the caller's transaction.
import type { Prisma, PrismaClient, RefreshFamily } from '../../generated/client.ts';
import { sha256 } from '../../keys/keyring.ts';
import { type EventType, writeEvent } from '../audit.ts';
import { LostRace, StorageUnavailable } from '../errors.ts';
import { type Occasion, eventColumns, originColumns } from '../origin.ts';
import { aliveAtTime, endLine } from '../revocation.ts';
import { type Retries, type RetryLimits, withRetry } from './retries.ts';
import { isSecret } from './token.ts';
import { type Presented, type Refusal, type Start, reuseEnds } from './verdict.ts';

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
      salt: new Uint8Array(token.salt),
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
    where: { accountId, clientId, ...aliveAtTime(now) },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    select: { id: true, grantId: true },
  });
  const older = tooMany.filter(({ id }) => id !== token.familyId).slice(maxFamilies - 1);
  for (const line of older) await endLine(database, line, { reason: 'limit', ...occasion });
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
  presented: Presented,
  occasion: Occasion,
): Promise<void> {
  const { token, generation, idleExpiresAt } = presented;
  const found = await lockedFamily(database, presented);
  const state = stateOf(found, presented);
  if (state !== 'current' && state !== 'behind') throw new LostRace(OVERTAKEN);
  const caughtUp = { generation, currentHash: sha256(token.secret), previousHash: null };
  await database.refreshFamily.update({
    where: { id: found.id },
    data: { ...usedOn(occasion), idleExpiresAt, ...(state === 'behind' && caughtUp) },
  });
  if (state === 'behind') await tellCaughtUp(database, found, generation, occasion);
}

/**
 * Replaces the presented token by its successor; for a retry, checks that its successor still is the current one. A
 * simultaneous request that presented the same token and was first is no loss: the successor is the same. A row that
 * has forgotten the token catches up with it.
 *
 * @param next the successor's payload, made by the engine
 * @throws {LostRace} when the family ended or went on meanwhile
 */
export async function rotateFamily(
  database: Database,
  presented: Presented & { readonly next: object | undefined },
  occasion: Occasion,
): Promise<void> {
  const { verdict, token, generation, successor, otherSuccessors, rules } = presented;
  const { idleExpiresAt, next } = presented;
  const found = await lockedFamily(database, presented);
  const state = stateOf(found, presented);
  if (state === 'spent') {
    if (!isSecret(successor, found.currentHash)) {
      // While SYMBOLON_SECRET is being changed process by process, another process may derive another successor. The
      // client must ask again, and then gets that one.
      if (otherSuccessors.some((secret) => isSecret(secret, found.currentHash)))
        throw new StorageUnavailable(new Error('another process derived another successor'));
      throw new LostRace(OVERTAKEN);
    }
    // Without a window the second of two at once is as any later one.
    if (rules.retryWindow === 0)
      throw new LostRace(OVERTAKEN, { line: found, ends: reuseEnds(rules) });
    await noteRetry(database, found, rules.retryLimits, occasion);
    return;
  }
  if (state === 'overtaken') throw new LostRace(OVERTAKEN);
  // The successor was answered before, and forgotten since this request read the row. Asked again, it is caught up with.
  if (verdict === 'retry') throw new StorageUnavailable(new Error('the database has forgotten'));
  if (!next) throw new Error('the engine spent a refresh token and issued none');
  await database.refreshFamily.update({
    where: { id: found.id },
    data: {
      ...usedOn(occasion),
      generation: generation + 1,
      currentHash: sha256(successor),
      previousHash: sha256(token.secret),
      rotatedAt: occasion.now,
      payload: next,
      idleExpiresAt,
    },
  });
  if (state === 'behind') await tellCaughtUp(database, found, generation, occasion);
}

/** Counts a retry. One from another device and another address than the first answer is told to the person. */
async function noteRetry(
  database: Database,
  found: RefreshFamily,
  limits: RetryLimits,
  occasion: Occasion,
): Promise<void> {
  const { id, accountId, clientId, rotatedAt, lastUsedIp, lastUsedUserAgent } = found;
  const before = found.retries as Retries;
  const retries = withRetry(found, occasion, limits);
  await database.refreshFamily.update({ where: { id }, data: { retries } });
  const isTold =
    new Date(before.at ?? 0) >= (rotatedAt ?? new Date()) &&
    before.ip === retries.ip &&
    before.user_agent === retries.user_agent;
  if (isTold || retries.ip === lastUsedIp || retries.user_agent === lastUsedUserAgent) return;
  const event = { type: 'refresh.retried_elsewhere', accountId, clientId, familyId: id } as const;
  await writeEvent(database, event, occasion);
}

/** Locks the family's row: requests that present its tokens follow each other. */
async function lockedFamily(database: Database, { family: { id } }: Presented) {
  await database.$queryRaw`SELECT 1 FROM refresh_family WHERE id = ${id} FOR NO KEY UPDATE`;
  const found = await database.refreshFamily.findUnique({ where: { id } });
  if (found?.endedAt !== null) throw new LostRace(OVERTAKEN);
  return found;
}

/**
 * Where the row is, seen from the presented token: `current` at it, `behind` it, having forgotten it, `spent` at its
 * successor or another, `overtaken` further on.
 */
function stateOf(
  { generation: at, currentHash }: RefreshFamily,
  { token, generation }: Presented,
): 'current' | 'behind' | 'spent' | 'overtaken' {
  if (isSecret(token.secret, currentHash)) return 'current';
  if (at < generation) return 'behind';
  return at === generation + 1 ? 'spent' : 'overtaken';
}

async function tellCaughtUp(
  database: Database,
  { id, accountId, clientId, generation: from }: RefreshFamily,
  to: number,
  occasion: Occasion,
): Promise<void> {
  const event = { type: 'family.caught_up', accountId, clientId, familyId: id } as const;
  await writeEvent(database, { ...event, detail: { from, to } }, occasion);
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

/**
 * Writes the refusal of a family's own token to the audit. A client that keeps asking does not fill it. Of a person whose
 * account is gone no address and no browser is kept; the lock makes a removal come before or after.
 */
export async function recordRefusal(
  database: Database,
  { family, reason }: Pick<Refusal, 'family' | 'reason'>,
  { now, origin }: Occasion,
): Promise<void> {
  const { ip, userAgent, actorKind, actorId, requestId } = eventColumns(origin);
  const since = new Date(now.getTime() - AGAIN);
  await database.$executeRaw`
    WITH person AS MATERIALIZED (SELECT 1 FROM account WHERE id = ${family.accountId} FOR KEY SHARE),
    origin AS (
      SELECT CASE WHEN EXISTS (SELECT FROM person) THEN ${ip}::text END AS ip,
             CASE WHEN EXISTS (SELECT FROM person) THEN ${userAgent}::text END AS user_agent)
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent, actor_kind, actor_id,
                             request_id, detail)
    SELECT ${now}, ${REFUSED}, ${family.accountId}, ${family.clientId}, ${family.id}, origin.ip, origin.user_agent,
           ${actorKind}, ${actorId}, ${requestId}, jsonb_build_object('reason', ${reason}::text)
    FROM origin
    WHERE NOT EXISTS (
      SELECT 1 FROM audit_event before
      WHERE before.family_id = ${family.id} AND before.type = ${REFUSED} AND before.at > ${since}
        AND before.ip IS NOT DISTINCT FROM origin.ip AND before.detail->>'reason' = ${reason})`;
}
