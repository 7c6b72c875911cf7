// Until when a family stays alive by its person's choice: a new end of the consent, within what the client's policy
// permits (draft-ietf-oauth-refresh-token-expiration-03 §9).
import type { Prisma, RefreshFamily } from '../../generated/client.ts';
import { writeEvent } from '../audit.ts';
import type { Occasion } from '../origin.ts';
import { aliveAtTime } from '../revocation.ts';
import { epoch } from '../storage.ts';
import { latestEnd } from './verdict.ts';

/**
 * The latest end that a person may choose: what the policy of the client permits now, but nothing that was allowed is
 * taken away by asking.
 *
 * @param absoluteTtl seconds for which a family of this client lives at most, by its policy as it is now
 */
export function latestChoice(
  family: Pick<RefreshFamily, 'createdAt' | 'absoluteExpiresAt' | 'consentExpiresAt'>,
  absoluteTtl: number,
): Date {
  const { createdAt, absoluteExpiresAt } = family;
  const permitted = Math.min(absoluteExpiresAt.getTime(), createdAt.getTime() + absoluteTtl * 1000);
  return new Date(Math.max(permitted, latestEnd(family).getTime()));
}

/** Which family, of whom, and what is chosen. */
export interface ChosenEnd {
  readonly id: string;
  readonly accountId: string;
  /** Seconds from now; undefined: as long as the client's policy permits. */
  readonly seconds: number | undefined;
  /** As for {@link latestChoice}. */
  readonly absoluteTtl: number;
}

/**
 * Moves the end of a living family, and that of the consent which it came from: another sign-in in the same browser goes
 * by it too. A refresh at the same time waits or is waited for, and leaves the end as it is chosen.
 *
 * @returns the end; undefined when the person has no such family that is alive
 */
export async function chooseEnd(
  database: Prisma.TransactionClient,
  { id, accountId, seconds, absoluteTtl }: ChosenEnd,
  occasion: Occasion,
): Promise<Date | undefined> {
  const { now } = occasion;
  const where = { id, accountId, ...aliveAtTime(now) };
  const seen = await database.refreshFamily.findFirst({ where, select: { grantId: true } });
  if (!seen) return undefined;
  // Grants are locked before families.
  await database.$queryRaw`SELECT 1 FROM "grant" WHERE id = ${seen.grantId} FOR NO KEY UPDATE`;
  await database.$queryRaw`SELECT 1 FROM refresh_family WHERE id = ${id} FOR NO KEY UPDATE`;
  const family = await database.refreshFamily.findFirst({ where });
  if (!family) return undefined;
  const limit = latestChoice(family, absoluteTtl);
  const wanted = seconds === undefined ? limit : new Date(now.getTime() + seconds * 1000);
  const end = wanted < limit ? wanted : limit;
  const consentExpiresAt = end < family.absoluteExpiresAt ? end : null;
  await database.refreshFamily.update({ where: { id }, data: { consentExpiresAt } });
  const member = consentExpiresAt ? { consentExpiresAt: epoch(consentExpiresAt) } : {};
  await database.$executeRaw`
    UPDATE "grant" SET payload = (payload - 'consentExpiresAt') || ${member}::jsonb WHERE id = ${family.grantId}`;
  const { clientId } = family;
  const detail = { from: latestEnd(family).toISOString(), to: end.toISOString() };
  const event = { type: 'family.end_chosen', accountId, clientId, familyId: id, detail } as const;
  await writeEvent(database, event, occasion);
  return end;
}
