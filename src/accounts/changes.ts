// Changes of an account that end what it had: a new password, a lock, signing out everywhere. Browser sessions end
// with each, and what was begun before it is void; refresh-token families end as SYMBOLON_END_FAMILIES_ON says. Each
// change is one transaction.
import type { Account, Prisma } from '../generated/client.ts';
import { saveNotice } from '../storage/notices.ts';
import { type Ending, type Origin, endSessions, revokeAccount } from '../storage/revocation.ts';
import { type Storage, epoch } from '../storage/unit-of-work.ts';
import { assertPassword } from './accounts.ts';
import { type Factors, factorsOf } from './factors.ts';
import { hashPassword } from './hashing.ts';

export interface ChangeParts {
  readonly storage: Storage;
  readonly config: { readonly endFamiliesOn: readonly string[] };
  readonly origin: Origin;
}

type Database = Prisma.TransactionClient;

/**
 * Gives an account another password. The person is told by mail.
 *
 * @param within what belongs to it, in its transaction: the link that allows it is spent; what it throws undoes all
 * @returns how many refresh-token families ended
 * @throws {AccountError} when the password is not acceptable
 */
export async function changePassword(
  parts: ChangeParts,
  id: string,
  password: string,
  within?: (database: Database) => Promise<void>,
): Promise<number> {
  const { storage, origin } = parts;
  const { email, name } = await storage.prisma.account.findUniqueOrThrow({ where: { id } });
  await assertPassword(password, { email, name });
  const passwordHash = await hashPassword(password);
  return change(parts, id, 'password_changed', async (database) => {
    await within?.(database);
    await database.account.update({ where: { id }, data: { passwordHash } });
    const notice = { kind: 'password_changed', accountId: id, now: storage.now(), origin } as const;
    await saveNotice(database, storage.keyring, notice);
  });
}

/**
 * The time of a sign-in that was verified now, in seconds. Sign-ins are kept in whole seconds, and those of the second in
 * which all were ended are over: one that comes later in it counts for the next.
 */
export function signInTime({ signedOutAt }: Pick<Account, 'signedOutAt'>, now: Date): number {
  const isBehind = signedOutAt !== null && signedOutAt <= now;
  return isBehind ? Math.max(epoch(now), epoch(signedOutAt) + 1) : epoch(now);
}

/** Locks an account: nobody signs in with it, and nothing is refreshed. @returns see {@link changePassword} */
export function lockAccount(parts: ChangeParts, id: string): Promise<number> {
  return change(parts, id, 'account_locked', (database) =>
    database.account.update({ where: { id }, data: { lockedAt: parts.storage.now() } }),
  );
}

export async function unlockAccount(
  { storage }: Pick<ChangeParts, 'storage'>,
  id: string,
): Promise<void> {
  await storage.prisma.account.update({ where: { id }, data: { lockedAt: null } });
}

/** Ends every browser session and every family of a person. @returns how many families ended */
export function signOutEverywhere(
  { storage, origin }: Omit<ChangeParts, 'config'>,
  id: string,
  reason: 'revoked_by_user' | 'revoked_by_admin',
): Promise<number> {
  const now = storage.now();
  return storage.prisma.$transaction(async (database) => {
    await database.account.update({ where: { id }, data: { signedOutAt: now } });
    const ended = await revokeAccount(database, id, { reason, now, origin });
    await endSessions(database, id);
    await voidWhatWasBegun(database, id);
    const notice = { kind: 'signed_out_everywhere', accountId: id, now, origin } as const;
    await saveNotice(database, storage.keyring, notice);
    return ended;
  });
}

/**
 * Takes every factor from an account but its password, for who has lost them all, and ends its browser sessions.
 *
 * @returns what there was
 */
export function resetFactors(
  { storage, origin }: Omit<ChangeParts, 'config'>,
  id: string,
): Promise<Factors> {
  const now = storage.now();
  return storage.prisma.$transaction(async (database) => {
    const had = await factorsOf(database, id);
    await database.passkey.deleteMany({ where: { accountId: id } });
    await database.totp.deleteMany({ where: { accountId: id } });
    await database.recoveryCode.deleteMany({ where: { accountId: id } });
    await database.account.update({ where: { id }, data: { signedOutAt: now } });
    await endSessions(database, id);
    await voidWhatWasBegun(database, id);
    await database.auditEvent.create({
      data: {
        at: now,
        type: 'factors.reset',
        accountId: id,
        ip: origin.ip ?? null,
        userAgent: origin.userAgent ?? null,
        detail: { passkeys: had.passkeys, totp: had.totp },
      },
    });
    return had;
  });
}

function change(
  { storage, config, origin }: ChangeParts,
  id: string,
  reason: Extract<Ending['reason'], 'password_changed' | 'account_locked'>,
  apply: (database: Database) => Promise<unknown>,
): Promise<number> {
  const now = storage.now();
  return storage.prisma.$transaction(async (database) => {
    await apply(database);
    await database.account.update({ where: { id }, data: { signedOutAt: now } });
    // In the order of locks that units of work keep: grants, then the rest.
    const ends = config.endFamiliesOn.includes(reason);
    const ended = ends ? await revokeAccount(database, id, { reason, now, origin }) : 0;
    await endSessions(database, id);
    await voidWhatWasBegun(database, id);
    return ended;
  });
}

/** Somebody else may have begun it: an address to be confirmed, an app for codes that waits for its first one. */
async function voidWhatWasBegun(database: Database, accountId: string): Promise<void> {
  await database.link.deleteMany({ where: { accountId } });
  await database.totp.deleteMany({ where: { accountId, confirmedAt: null } });
}
