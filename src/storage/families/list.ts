// Lists of families, for whoever has to explain or end them.
import type { Prisma, RefreshFamily } from '../../generated/client.ts';
import { type EndReason, aliveAtTime } from '../revocation.ts';

/** Which families are meant; all, without any member. */
export interface FamilyFilter {
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  /** Those that ended for this reason. */
  readonly reason?: EndReason | undefined;
  /** Those that were used, started or ended at this time or later. */
  readonly since?: Date | undefined;
  /** Those that were last used before this time. */
  readonly usedBefore?: Date | undefined;
  /** Those that were started after this time. */
  readonly issuedAfter?: Date | undefined;
  /** Only those that are alive at this time. */
  readonly aliveAt?: Date | undefined;
}

/**
 * Lists families, the newest first.
 *
 * @param page at most so many, after the family with this id
 */
export async function listFamilies(
  prisma: Prisma.TransactionClient,
  filter: FamilyFilter,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<RefreshFamily[]> {
  return prisma.refreshFamily.findMany({
    where: whereOf(filter),
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit,
    ...(after === undefined ? {} : { cursor: { id: after }, skip: 1 }),
  });
}

function whereOf(filter: FamilyFilter): Prisma.RefreshFamilyWhereInput {
  const { accountId, clientId, reason, since, usedBefore, issuedAfter, aliveAt } = filter;
  const all: Prisma.RefreshFamilyWhereInput[] = [];
  if (accountId !== undefined) all.push({ accountId });
  if (clientId !== undefined) all.push({ clientId });
  if (reason !== undefined) all.push({ endReason: reason });
  if (since)
    all.push({
      OR: [
        { createdAt: { gte: since } },
        { lastUsedAt: { gte: since } },
        { endedAt: { gte: since } },
      ],
    });
  if (usedBefore) all.push({ lastUsedAt: { lt: usedBefore } });
  if (issuedAfter) all.push({ createdAt: { gt: issuedAfter } });
  if (aliveAt) all.push(aliveAtTime(aliveAt));
  return { AND: all };
}
