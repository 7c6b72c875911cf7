// Commits what a request has to write: an ordinary write in one statement, anything else in one transaction. Locks are
// taken in one order - accounts, grants, artifacts, the refresh family - so that requests cannot deadlock each other.
import { type AdapterPayload, errors } from 'oidc-provider';
import type { Prisma } from '../generated/client.ts';
import { artifactId, findArtifact, lineOf, saveArtifact } from './artifacts.ts';
import { endOtherInteraction, useInvitation } from './bounded.ts';
import { writeEvents } from './audit.ts';
import { changeRegisteredClient, insertClient, lockClient } from './clients.ts';
import { saveDeliveries, saveLogouts, saveMail } from './deliveries.ts';
import { LostRace, answered, isGone, unlessUnavailable } from './errors.ts';
import { describeRefusal } from './families/reasons.ts';
import {
  awaitTurn,
  findFamily,
  recordRefusal,
  rotateFamily,
  startFamily,
  touchFamily,
} from './families/row.ts';
import { type FamilyUse, lifeEnd } from './families/verdict.ts';
import { saveGrant } from './grants.ts';
import { saveNotice } from './notices.ts';
import { doOrdinary } from './ordinary.ts';
import type { Occasion } from './origin.ts';
import { endLine, revokeClient, revokeGrant } from './revocation.ts';
import type { Storage } from './storage.ts';
import {
  type ClientWrite,
  type Save,
  type Spending,
  type Standing,
  type Writes,
  isEmpty,
} from './writes.ts';

type Database = Prisma.TransactionClient;

// Requests that a person answers on a device of their own.
const answeredOnce = new Set(['DeviceCode', 'BackchannelAuthenticationRequest']);

/**
 * Writes everything or nothing.
 *
 * @throws {LostRace} when another request was first; then only the consequences of that were written
 * @throws {StorageUnavailable} when the database cannot answer
 */
export async function commit(storage: Storage, writes: Writes, occasion: Occasion): Promise<void> {
  if (isEmpty(writes)) return;
  if (await answered(() => doOrdinary(storage, writes, occasion))) return;
  try {
    await inTransaction(storage, (database) => write(database, storage, writes, occasion));
  } catch (error) {
    if (error instanceof LostRace) await recordLoss(storage, error, writes.family, occasion);
    throw error;
  }
}

/** Runs a transaction. @throws what the work throws; {@link LostRace}, {@link StorageUnavailable} */
export async function inTransaction<T>(
  { prisma }: Pick<Storage, 'prisma'>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  // An error of the work itself does not mean that the database failed.
  let refusal: { readonly reason: unknown } | undefined;
  const run = (database: Database) =>
    unlessUnavailable(() => work(database)).catch((reason: unknown) => {
      refusal = { reason };
      throw reason;
    });
  try {
    return await answered(() => prisma.$transaction(run));
  } catch (error) {
    const reason = refusal ? refusal.reason : error;
    throw isGone(reason) ? new LostRace('the grant was revoked meanwhile') : reason;
  }
}

/** Writes every kind of write, in the order of locks. */
export async function write(
  database: Database,
  { keyring }: Storage,
  writes: Writes,
  occasion: Occasion,
): Promise<void> {
  const { saves, spendings, removals, grantEnds, lineEnds, family, client, ...telling } = writes;
  const { standings, messages, logouts, mails, notices, events, ...forgotten } = telling;
  assertNone(forgotten);
  const { now } = occasion;
  const revocation = { ...occasion, keyring };

  if (family?.kind === 'started' && family.maxFamilies !== undefined)
    await awaitTurn(database, family.payload.accountId ?? '');
  for (const standing of standings) await assertUnchanged(database, standing);
  for (const { id, reason } of [...grantEnds].sort(byId))
    await revokeGrant(database, id, { reason, ...revocation });
  for (const { reason, ...line } of lineEnds)
    await endLine(database, line, { reason, ...revocation });
  if (client) await writeClient(database, keyring, client, occasion);
  for (const save of [...saves].sort((a, b) => lockOrder(a) - lockOrder(b))) {
    if (save.wasFound) await assertStillThere(database, keyring, save);
    if (save.model === 'Interaction') await endOtherInteraction(database, keyring, save);
    if (save.model === 'Grant') await saveGrant(database, save, occasion.origin);
    else await saveArtifact(database, keyring, save, lineIn(writes));
  }
  for (const spending of spendings) await spend(database, spending, now);
  if (family?.kind === 'started') await startFamily(database, family, occasion);
  for (const { model, id, wasFound } of removals) {
    const { count } = await database.artifact.deleteMany({ where: { id: artifactId(model, id) } });
    // A sign-in gives the session another id. A session that was ended meanwhile must not come back.
    const isReplaced = model === 'Session' && saves.some((save) => save.model === 'Session');
    if (count === 0 && isReplaced && wasFound) throw sessionEnded();
  }
  if (family?.kind === 'spent') await rotateFamily(database, family, occasion);
  if (family?.kind === 'presented') await touchFamily(database, family, occasion);
  if (family?.kind === 'refused') await recordRefusal(database, family, occasion);
  await saveDeliveries(database, keyring, messages, now);
  await saveLogouts(database, keyring, logouts, now);
  for (const mail of mails) await saveMail(database, keyring, mail, now);
  for (const notice of notices) await saveNotice(database, keyring, notice);
  await writeEvents(database, events, occasion);
}

// Every kind was taken by name above: a new kind does not compile until it is written there.
function assertNone(forgotten: Record<string, never>): void {
  const [kind] = Object.keys(forgotten);
  if (kind !== undefined) throw new Error(`nothing writes ${kind}`);
}

/** Writes the consequences of a lost race: what was used twice ends its line, a refused refresh is recorded. */
async function recordLoss(
  { prisma, keyring }: Storage,
  lost: LostRace,
  family: FamilyUse | undefined,
  occasion: Occasion,
): Promise<void> {
  const { reuse } = lost;
  if (reuse && reuse.ends !== 'nothing') {
    const { line, ends } = reuse;
    const revocation = { reason: 'reuse', ...occasion, keyring } as const;
    await answered(() =>
      prisma.$transaction((database) =>
        ends === 'grant' && line.grantId !== null
          ? revokeGrant(database, line.grantId, revocation)
          : endLine(database, line, revocation),
      ),
    );
  }
  if (family?.kind !== 'presented' && family?.kind !== 'spent') return;
  await answered(async () => {
    const found = await findFamily(prisma, family.family.id);
    if (!found) return;
    // The family is alive: somebody else used the token, and then its successor, while this request ran.
    const reason = lifeEnd(found, occasion.now) ?? 'rotated_beyond_window';
    lost.error_description = describeRefusal(reason);
    await recordRefusal(prisma, { family: found, reason }, occasion);
  });
}

async function writeClient(
  database: Database,
  keyring: Storage['keyring'],
  client: ClientWrite,
  occasion: Occasion,
): Promise<void> {
  switch (client.kind) {
    case 'new':
      if (client.invitation !== undefined)
        await useInvitation(database, keyring, client.invitation);
      return insertClient(database, keyring, client.metadata);
    case 'changed':
      return changeRegisteredClient(database, keyring, client.before, client.metadata);
    case 'removed':
      await lockClient(database, keyring, client.id);
      await revokeClient(database, client.id, { reason: 'client_removed', ...occasion });
      await database.client.deleteMany({ where: { id: client.id } });
  }
}

/** Whoever locks, signs out or removes the person, from a group too, meanwhile comes before, and then nothing is issued, or ends it too. */
async function assertUnchanged(database: Database, standing: Standing): Promise<void> {
  const { id } = standing;
  await database.$queryRaw`SELECT 1 FROM account WHERE id = ${id} FOR SHARE`;
  const found = await database.account.findUnique({
    where: { id },
    select: { lockedAt: true, signedOutAt: true, groups: true },
  });
  if (
    found?.lockedAt === null &&
    found.signedOutAt?.getTime() === standing.signedOutAt?.getTime() &&
    standing.groups.every((group) => found.groups.includes(group))
  )
    return;
  throw new LostRace('the person was locked, signed out, removed or left a group meanwhile');
}

/** A record that this request read and changes must not have ended meanwhile: writing it would bring it back. */
async function assertStillThere(
  database: Database,
  keyring: Storage['keyring'],
  save: Save,
): Promise<void> {
  if (save.model === 'Session') {
    const id = artifactId(save.model, save.id);
    const rows = await database.$queryRaw<unknown[]>`
      SELECT 1 FROM artifact WHERE id = ${id} FOR NO KEY UPDATE`;
    if (rows.length === 0) throw sessionEnded();
  }
  if (answeredOnce.has(save.model)) await assertUnanswered(database, keyring, save);
  if (save.model === 'Grant') {
    const rows = await database.$queryRaw<unknown[]>`
      SELECT 1 FROM "grant" WHERE id = ${save.id} FOR NO KEY UPDATE`;
    if (rows.length === 0) throw new LostRace('the grant was revoked meanwhile');
  }
}

/**
 * A request that waits for a person's answer is answered once, by a person who is still signed in. Locks make two
 * answers at once follow each other, and a sign-out everywhere come before or after.
 */
async function assertUnanswered(
  database: Database,
  keyring: Storage['keyring'],
  save: Save,
): Promise<void> {
  const id = artifactId(save.model, save.id);
  await database.$queryRaw`SELECT 1 FROM artifact WHERE id = ${id} FOR UPDATE`;
  const current = await findArtifact(database, keyring, save.model, save.id);
  if (!current || current['consumed'] !== undefined || isAnswered(current)) {
    throw new errors.InvalidRequest('this was answered already, or it is too late');
  }
  const { accountId, authTime } = save.payload as { accountId?: string; authTime?: number };
  if (accountId === undefined || authTime === undefined || !isAnswered(save.payload)) return;
  const [account] = await database.$queryRaw<{ over: boolean }[]>`
    SELECT locked_at IS NOT NULL OR coalesce(signed_out_at >= to_timestamp(${authTime}), false) AS over
    FROM account WHERE id = ${accountId} FOR SHARE`;
  if (account?.over !== false) throw sessionEnded();
}

// A person has answered: with a grant or a refusal.
function isAnswered({ grantId, error }: AdapterPayload): boolean {
  return grantId !== undefined || error !== undefined;
}

async function spend(
  database: Database,
  { model, id, grantId }: Spending,
  now: Date,
): Promise<void> {
  if (grantId !== undefined)
    await database.$queryRaw`SELECT 1 FROM "grant" WHERE id = ${grantId} FOR KEY SHARE`;
  const { count } = await database.artifact.updateMany({
    where: { id: artifactId(model, id), consumedAt: null },
    data: { consumedAt: now },
  });
  // If two requests spend one code at once, the second finds it spent (RFC 6749 §4.1.2).
  if (count > 0) return;
  if (model === 'PushedAuthorizationRequest') {
    throw new errors.InvalidRequestUri('request_uri was already used');
  }
  const line = { id: lineOf(model, id), grantId: grantId ?? null };
  throw new LostRace(`${model} was already used`, { line, ends: 'family' });
}

function sessionEnded(): errors.SessionNotFound {
  return new errors.SessionNotFound('session ended meanwhile');
}

/** The line that an access token belongs to: of the family that is used, or of the code that is spent. */
function lineIn({ family, spendings: [spent] }: Writes): string | undefined {
  if (family?.kind === 'started' || family?.kind === 'drawn') return family.token.familyId;
  return family?.family.id ?? (spent && lineOf(spent.model, spent.id));
}

// Grants first, then records that refer to a grant, then the rest.
function lockOrder({ model, payload }: Save): number {
  if (model === 'Grant') return 0;
  return payload.grantId === undefined ? 2 : 1;
}

function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1;
}
