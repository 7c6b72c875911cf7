// Groups: who is in them. Applications may be for some groups only, so whoever leaves one loses, in the same
// transaction, what they may not use any more.
import type { Group, Prisma, PrismaClient } from '../generated/client.ts';
import { awaitAccessChanges, withdrawAccess } from '../storage/access.ts';
import { writeEvent, writeEvents } from '../storage/audit.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import { isTaken } from '../storage/errors.ts';
import type { AccessEnd } from '../storage/revocation.ts';
import type { ChangeParts } from './changes.ts';

type Database = Prisma.TransactionClient;
type Parts = Omit<ChangeParts, 'config'>;

/** A group cannot be made or changed like this; the message says why, in English, for an administrator. */
export class GroupError extends Error {
  override readonly name = 'GroupError';
}

// What a claim's value and a command line can have without being taken for something else.
const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N} ._:/@+-]{0,98}[\p{L}\p{N}._:/@+-])?$/u;

/** What is wrong with a group's name. @returns undefined when nothing is */
export function groupNameProblem(name: string): string | undefined {
  if (NAME.test(name)) return undefined;
  return `A group’s name has 1 to 100 letters, digits, spaces and . _ : / @ + -, and begins with a letter or a digit; "${name}" does not.`;
}

/** Makes a group. @throws {GroupError} when the name will not do, or there is one of that name */
export async function addGroup(
  database: Database,
  { storage, origin }: Parts,
  { name, description }: { readonly name: string; readonly description?: string | undefined },
): Promise<void> {
  const problem = groupNameProblem(name);
  if (problem !== undefined) throw new GroupError(problem);
  try {
    await database.group.create({ data: { name, description: description ?? null } });
  } catch (error) {
    if (isTaken(error)) throw new GroupError(`There is a group "${name}" already.`);
    throw error;
  }
  const event = { type: 'group.added', detail: { name } } as const;
  await writeEvent(database, event, { now: storage.now(), origin });
}

/** Changes what a group is for. @throws {GroupError} when there is none */
export async function describeGroup(
  database: Database,
  { storage, origin }: Parts,
  { name, description }: { readonly name: string; readonly description: string | null },
): Promise<void> {
  const before = await existingGroup(database, name);
  await database.group.update({ where: { name }, data: { description } });
  const detail = { name, ...whatChanged(before, { ...before, description }, ['description']) };
  const event = { type: 'group.changed', detail } as const;
  await writeEvent(database, event, { now: storage.now(), origin });
}

/**
 * Removes a group; everybody in it leaves.
 *
 * @returns how many have left, and what has ended with that
 * @throws {GroupError} when there is none
 */
export async function removeGroup(
  database: Database,
  parts: Parts,
  name: string,
): Promise<AccessEnd & { readonly members: number }> {
  const { storage, origin } = parts;
  await awaitAccessChanges(database);
  const { count } = await database.group.deleteMany({ where: { name } });
  if (count === 0) throw none(name);
  const left = await database.$queryRaw<{ id: string }[]>`
    SELECT id FROM account WHERE groups @> ARRAY[${name}] ORDER BY id FOR UPDATE`;
  const ended = await leave(database, parts, { name, accountIds: left.map(({ id }) => id) });
  const event = { type: 'group.removed', detail: { name, members: left.length } } as const;
  await writeEvent(database, event, { now: storage.now(), origin });
  return { ...ended, members: left.length };
}

/** Puts a person into groups. Those that they are in already stay. @throws {GroupError} when there is no such group */
export async function joinGroups(
  database: Database,
  { storage, origin }: Parts,
  accountId: string,
  names: readonly string[],
): Promise<void> {
  await awaitAccessChanges(database); // a group that is being removed has nobody in it afterwards
  await assertGroups(database, names);
  const { groups } = await locked(database, accountId);
  const joined = [...new Set(names)].filter((name) => !groups.includes(name));
  await setGroups(database, accountId, [...groups, ...joined].sort());
  const events = joined.map(
    (name) => ({ type: 'group.joined', accountId, detail: { name } }) as const,
  );
  await writeEvents(database, events, { now: storage.now(), origin });
}

/**
 * Takes a person out of a group. What they may not use any more ends, and the applications are told.
 *
 * @throws {GroupError} when they are not in it
 */
export async function leaveGroup(
  database: Database,
  parts: Parts,
  accountId: string,
  name: string,
): Promise<AccessEnd> {
  await awaitAccessChanges(database);
  const { groups } = await locked(database, accountId);
  if (!groups.includes(name)) throw new GroupError(`The person is not in the group "${name}".`);
  return leave(database, parts, { name, accountIds: [accountId] });
}

/** The groups by name, each with how many people are in it. */
export async function listGroups(
  prisma: PrismaClient,
): Promise<(Group & { readonly members: number })[]> {
  const groups = await prisma.group.findMany({ orderBy: { name: 'asc' } });
  const counts = await prisma.$queryRaw<{ name: string; members: number }[]>`
    SELECT one.name, count(*)::int AS members FROM account, unnest(groups) AS one (name)
    GROUP BY one.name`;
  const members = new Map(counts.map((one) => [one.name, one.members]));
  return groups.map((group) => ({ ...group, members: members.get(group.name) ?? 0 }));
}

/** @throws {GroupError} when there is none of that name */
export async function existingGroup(database: Database, name: string): Promise<Group> {
  const group = await database.group.findUnique({ where: { name } });
  if (!group) throw none(name);
  return group;
}

/** @throws {GroupError} naming the first group that there is not */
export async function assertGroups(database: Database, names: readonly string[]): Promise<void> {
  const found = await database.group.findMany({ where: { name: { in: [...names] } } });
  const missing = names.find((name) => !found.some((group) => group.name === name));
  if (missing !== undefined) throw none(missing);
}

function none(name: string): GroupError {
  return new GroupError(`There is no group "${name}": symbolon group add makes one.`);
}

/** Locks the account. What is being issued for it either was committed before, or finds the person without the group. */
async function locked(database: Database, id: string): Promise<{ groups: string[] }> {
  await database.$queryRaw`SELECT 1 FROM account WHERE id = ${id} FOR UPDATE`;
  return database.account.findUniqueOrThrow({ where: { id }, select: { groups: true } });
}

// Not by Prisma's update: what is known of the person has not changed, of which `updated_at` tells applications.
async function setGroups(database: Database, id: string, groups: readonly string[]): Promise<void> {
  await database.$executeRaw`UPDATE account SET groups = ${groups}::text[] WHERE id = ${id}`;
}

async function leave(
  database: Database,
  { storage, origin }: Parts,
  { name, accountIds }: { readonly name: string; readonly accountIds: readonly string[] },
): Promise<AccessEnd> {
  const occasion = { now: storage.now(), origin };
  await database.$executeRaw`
    UPDATE account SET groups = array_remove(groups, ${name}) WHERE id = ANY (${accountIds})`;
  const events = accountIds.map(
    (accountId) => ({ type: 'group.left', accountId, detail: { name } }) as const,
  );
  await writeEvents(database, events, occasion);
  return withdrawAccess(database, { accountIds }, { ...occasion, keyring: storage.keyring });
}
