// Seals of the audit: what was committed gets, once a minute, a checkpoint over the events since the last, which carries
// the hash of the one before. The hashes are keyed by a secret of the installation, so that whoever can write into the
// database, and nothing else, can make none. No request waits for it.
import { createHash, createHmac } from 'node:crypto';
import type { AuditCheckpoint, AuditEvent, Prisma, PrismaClient } from '../../generated/client.ts';
import { installationSecret } from '../../keys/installation-secrets.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { type Repeated, repeat } from '../../operations/repeat.ts';
import { awaitTurn, placeEvents } from './order.ts';

const EVERY = 60_000; // milliseconds
const MOST = 10_000; // events in a checkpoint

export interface SealParts {
  readonly prisma: PrismaClient;
  readonly keyring: Keyring;
  readonly now: () => Date;
}

/** Seals every minute, until stopped. @param onSealed is told every checkpoint: its hash belongs to where nobody changes it */
export function startSealing(
  parts: SealParts,
  onSealed: (checkpoint: AuditCheckpoint) => void,
  report: { readonly onError: (error: unknown) => void; readonly onDone?: () => void },
): ReturnType<Repeated['start']> {
  const work = async (signal: AbortSignal) => {
    for (const checkpoint of await sealEvents(parts, EVERY / 2, signal)) onSealed(checkpoint);
  };
  return repeat(work, { every: EVERY, ...report }).start();
}

/**
 * Seals what is committed and not sealed yet.
 *
 * @param pause milliseconds: nothing is done when another process has sealed since
 * @returns the new checkpoints
 */
export async function sealEvents(
  { prisma, keyring, now }: SealParts,
  pause = 0,
  signal?: AbortSignal,
): Promise<AuditCheckpoint[]> {
  const upTo = await placeEvents(prisma);
  const key = await installationSecret(prisma, keyring, 'audit');
  const made: AuditCheckpoint[] = [];
  while (!signal?.aborted) {
    const checkpoint = await prisma.$transaction(async (database) => {
      await awaitTurn(database);
      const head = await database.auditHead.findUniqueOrThrow({ where: { id: 1 } });
      const isMine = head.number === (made.at(-1)?.number ?? head.number);
      const isSoon = (head.sealedAt?.getTime() ?? 0) > now().getTime() - pause;
      if (head.sealed >= upTo || !isMine || (made.length === 0 && pause > 0 && isSoon))
        return undefined;
      const events = await database.auditEvent.findMany({
        where: { position: { gt: head.sealed, lte: upTo } },
        orderBy: { position: 'asc' },
        take: MOST,
      });
      const last = events.at(-1);
      if (!last) return undefined; // somebody has removed them: the next seal shows the gap
      const times = events.map(({ at }) => at.getTime());
      const sealed = {
        number: head.number + 1n,
        at: now(),
        first: head.sealed + 1n,
        last: last.position,
        youngest: new Date(times.reduce((a, b) => Math.max(a, b), head.youngest?.getTime() ?? 0)),
        before: head.youngest,
        digest: digestOf(key, events),
        previous: head.hash,
      };
      const hash = hashOf(key, sealed);
      const { number, at: sealedAt, youngest } = sealed;
      await database.auditHead.update({
        where: { id: 1 },
        data: { number, sealed: sealed.last, hash, sealedAt, youngest },
      });
      return database.auditCheckpoint.create({ data: { ...sealed, hash } });
    });
    if (!checkpoint) break;
    made.push(checkpoint);
  }
  return made;
}

/**
 * Begins the seals anew, since the key of those that there are is lost. What is there is sealed again, as it is now.
 *
 * @returns how many seals there were
 */
export async function beginSealsAnew(database: Prisma.TransactionClient): Promise<number> {
  await awaitTurn(database);
  const { count } = await database.auditCheckpoint.deleteMany();
  const { position } = await database.auditHead.findUniqueOrThrow({ where: { id: 1 } });
  const { _min: first } = await database.auditEvent.aggregate({
    where: { position: { gt: 0n } },
    _min: { position: true },
  });
  const sealed = first.position === null ? position : first.position - 1n;
  const none = { number: 0n, hash: '', sealedAt: null, youngest: null };
  await database.auditHead.update({ where: { id: 1 }, data: { ...none, sealed } });
  return count;
}

/** The hash of a checkpoint. */
export function hashOf(key: Buffer, checkpoint: Omit<AuditCheckpoint, 'hash'>): string {
  const { number, at, first, last, youngest, before, digest, previous } = checkpoint;
  const members = [number, at, first, last, youngest, before, digest, previous];
  return createHmac('sha256', key).update(canonical(members)).digest('base64url');
}

/** SHA-256 of events, in their order. */
export function digestOf(key: Buffer, events: readonly AuditEvent[]): string {
  const hash = createHash('sha256');
  for (const event of events) {
    const { position, id, at, type, accountId, clientId, familyId } = event;
    const { actorKind, actorId, requestId, erased } = event;
    const { kept } = split(event);
    const about = [accountId, clientId, familyId, actorKind, actorId, requestId, kept];
    const personal = isErased(event) ? erased : personalHash(key, event);
    hash.update(`${canonical([position, id, at, type, ...about, personal])}\n`);
  }
  return hash.digest('base64url');
}

/**
 * Takes a person's data out of the audit, for whom the account is removed: addresses, browsers, names, what was changed
 * from what to what. That something happened stays, and so do the seals, which hold a keyed hash of these data.
 */
export async function erasePerson(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  accountId: string,
): Promise<void> {
  const key = await installationSecret(database, keyring, 'audit');
  const events = await database.auditEvent.findMany({
    where: { OR: [{ accountId }, { actorKind: 'person', actorId: accountId }], erased: null },
  });
  // One statement: of ten thousand, each would outlast the transaction.
  const ids = events.map(({ id }) => id);
  const kept = events.map((event) => JSON.stringify(split(event).kept));
  const erased = events.map((event) => personalHash(key, event));
  await database.$executeRaw`
    UPDATE audit_event SET ip = NULL, user_agent = NULL, detail = one.kept::jsonb, erased = one.erased
    FROM unnest(${ids}::bigint[], ${kept}::text[], ${erased}::text[]) AS one (id, kept, erased)
    WHERE audit_event.id = one.id`;
}

// Somebody may have put other data where the person's were.
function isErased(event: AuditEvent): boolean {
  const { erased, ip, userAgent } = event;
  const isEmpty = Object.keys(split(event).personal).length === 0;
  return erased !== null && ip === null && userAgent === null && isEmpty;
}

function personalHash(key: Buffer, event: AuditEvent): string {
  const { id, ip, userAgent } = event;
  const members = [id, ip, userAgent, split(event).personal];
  return createHmac('sha256', key).update(canonical(members)).digest('base64url');
}

// The members of an event's detail that may hold a person's data. Another one would break the seals that there are.
const ofPersons = new Set(['name', 'changed']);

function split({ detail }: AuditEvent): { personal: object; kept: object } {
  const members = Object.entries(detail as object);
  const select = (isPersonal: boolean) =>
    Object.fromEntries(members.filter(([name]) => ofPersons.has(name) === isPersonal)) as object;
  return { personal: select(true), kept: select(false) };
}

/** JSON with sorted members: a value has one form. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    const members = Object.entries(member) as [string, unknown][];
    return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
