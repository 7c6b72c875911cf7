// Who may use an application: everybody, or the members of the groups in its `allowed_groups`. Read with the account
// and the client, so that no check costs a read; what ends is ended when a person leaves, or the application changes.
import { errors } from 'oidc-provider';
import { locks } from '../database/locks.ts';
import { Prisma } from '../generated/client.ts';
import { describeRefusal } from './families/reasons.ts';
import { answered } from './errors.ts';
import { type AccessEnd, type Telling, revokeAccess } from './revocation.ts';
import type { Storage } from './storage.ts';
import { currentUnit } from './unit-of-work.ts';

type Database = Prisma.TransactionClient;

/** Whether a person may use an application. @param groups the person's */
export function mayUse(client: object, groups: readonly string[]): boolean {
  const { allowed_groups: allowed } = client as { allowed_groups?: readonly string[] };
  return allowed === undefined || allowed.some((group) => groups.includes(group));
}

/** @throws {errors.InvalidGrant} when a person may not use an application */
export function assertMayUse(client: object, groups: readonly string[]): void {
  if (mayUse(client, groups)) return;
  const why = describeRefusal('access_withdrawn');
  // The engine's own description tells nothing.
  throw Object.assign(new errors.InvalidGrant(why), { error_description: why });
}

const AGAIN = 3_600_000; // milliseconds until the same refusal is recorded again

/**
 * Records, with the request's commit and once an hour, that a person may not use an application.
 *
 * @param by how it was tried, if not in a browser
 */
export async function noteRefusedAccess(
  { prisma, now }: Pick<Storage, 'prisma' | 'now'>,
  { accountId, clientId, by }: { accountId: string; clientId: string; by?: string },
): Promise<void> {
  const event = { type: 'access.refused', accountId, clientId } as const;
  const at = { gt: new Date(now().getTime() - AGAIN) };
  const before = await answered(() => prisma.auditEvent.findFirst({ where: { ...event, at } }));
  if (before) return;
  const detail = by === undefined ? {} : { by };
  currentUnit().audit({ ...event, detail }, { evenIfRefused: true });
}

/**
 * Makes changes of who may use what follow each other, until the transaction ends. Of two at once, each would else leave
 * alone what is allowed by what the other takes away.
 */
export async function awaitAccessChanges(database: Database): Promise<void> {
  await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.changingAccess})`;
}

/**
 * Ends what people may not use any more, and has the applications told. The change that it follows from is in the same
 * transaction, after {@link awaitAccessChanges}.
 *
 * @param whose only these people's, or only this application's
 */
export async function withdrawAccess(
  database: Database,
  whose: { readonly accountIds: readonly string[] } | { readonly clientId: string },
  occasion: Omit<Telling, 'reason'>,
): Promise<AccessEnd> {
  const where =
    'clientId' in whose
      ? Prisma.sql`client_id = ${whose.clientId}`
      : Prisma.sql`account_id = ANY (${whose.accountIds})`;
  const found = await database.$queryRaw<{ accountIds: string[]; clientId: string }[]>`
    SELECT client_id AS "clientId", array_agg(account_id) AS "accountIds"
    FROM (SELECT account_id, client_id FROM "grant" WHERE ${where}
          UNION SELECT account_id, client_id FROM refresh_family WHERE ${where} AND ended_at IS NULL) held
    JOIN client c ON c.id = client_id JOIN account a ON a.id = account_id
    WHERE c.metadata ? 'allowed_groups' AND NOT (c.metadata->'allowed_groups' ?| a.groups)
    GROUP BY client_id ORDER BY client_id`;
  const ended = { families: 0, told: [] as string[] };
  for (const access of found) {
    const { families, told } = await revokeAccess(database, access, {
      ...occasion,
      reason: 'access_withdrawn',
    });
    ended.families += families;
    ended.told.push(...told);
  }
  return ended;
}

/**
 * How many refresh-token families would end.
 *
 * @param change an application's groups change to `allowed`, none being everybody; or a group is removed
 */
export async function countWithdrawn(
  database: Database,
  change:
    { readonly clientId: string; readonly allowed: readonly string[] } | { readonly group: string },
): Promise<number> {
  if ('allowed' in change && change.allowed.length === 0) return 0;
  const where =
    'group' in change
      ? Prisma.sql`a.groups @> ARRAY[${change.group}] AND c.metadata ? 'allowed_groups'
          AND NOT (c.metadata->'allowed_groups' ?| array_remove(a.groups, ${change.group}))`
      : Prisma.sql`f.client_id = ${change.clientId} AND NOT (a.groups && ${change.allowed})`;
  const [{ count } = { count: 0 }] = await database.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int FROM refresh_family f
    JOIN client c ON c.id = f.client_id JOIN account a ON a.id = f.account_id
    WHERE f.ended_at IS NULL AND ${where}`;
  return count;
}
