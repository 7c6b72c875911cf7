// Reading the audit in its order: what comes after a position has not been read, and nothing comes before it later.
import type { AuditEvent, Prisma, PrismaClient } from '../../generated/client.ts';

/** Which events; what is not set does not matter. */
export interface EventFilter {
  readonly types?: readonly string[] | undefined;
  readonly since?: Date | undefined;
  /** Events before this time. */
  readonly until?: Date | undefined;
  /** The account that it happened to. */
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly familyId?: string | undefined;
  readonly actor?: { readonly kind: string; readonly id?: string | undefined } | undefined;
}

const PAGE = 1_000; // events

/**
 * Events in their order, page by page.
 *
 * @param after the position that was read last
 * @param upTo the last position to be read
 * @param most how many; not set: all
 */
export async function* readEvents(
  prisma: PrismaClient,
  filter: EventFilter,
  { after, upTo, most = Infinity }: { after: bigint; upTo: bigint; most?: number },
): AsyncGenerator<AuditEvent> {
  const span = await spanOf(prisma, filter, { first: after + 1n, last: upTo });
  let read = 0;
  for (let from = span.first; from <= span.last && read < most;) {
    const take = Math.min(PAGE, most - read);
    const events = await prisma.auditEvent.findMany({
      where: { position: { gte: from, lte: span.last }, ...conditions(filter) },
      orderBy: { position: 'asc' },
      take,
    });
    yield* events;
    read += events.length;
    const last = events.at(-1);
    if (!last || events.length < take) return;
    from = last.position + 1n;
  }
}

/** The position after which the last events begin. @param most how many of them */
export async function beforeLast(
  prisma: PrismaClient,
  filter: EventFilter,
  { upTo, most }: { upTo: bigint; most: number },
): Promise<bigint> {
  const events = await prisma.auditEvent.findMany({
    where: { position: { gte: 1n, lte: upTo }, ...conditions(filter) },
    orderBy: { position: 'desc' },
    take: most,
    select: { position: true },
  });
  const first = events.at(-1)?.position;
  return first === undefined ? upTo : first - 1n;
}

/** The positions between which the events of a time are: they are found by the time, and read by the position. */
async function spanOf(
  prisma: PrismaClient,
  { since, until }: EventFilter,
  { first, last }: { first: bigint; last: bigint },
): Promise<{ first: bigint; last: bigint }> {
  if (!since && !until) return { first, last };
  const { _min: least, _max: most } = await prisma.auditEvent.aggregate({
    where: { position: { gte: first, lte: last }, at: ofTime({ since, until }) },
    _min: { position: true },
    _max: { position: true },
  });
  return { first: least.position ?? last + 1n, last: most.position ?? last };
}

function conditions(filter: EventFilter): Prisma.AuditEventWhereInput {
  const { types, since, until, accountId, clientId, familyId, actor } = filter;
  return {
    ...(types ? { type: { in: [...types] } } : {}),
    ...(since || until ? { at: ofTime({ since, until }) } : {}),
    ...(accountId === undefined ? {} : { accountId }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(familyId === undefined ? {} : { familyId }),
    ...(actor ? { actorKind: actor.kind } : {}),
    ...(actor?.id === undefined ? {} : { actorId: actor.id }),
  };
}

function ofTime({ since, until }: Pick<EventFilter, 'since' | 'until'>): Prisma.DateTimeFilter {
  return { ...(since ? { gte: since } : {}), ...(until ? { lt: until } : {}) };
}
