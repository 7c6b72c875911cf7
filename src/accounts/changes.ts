// Changes of an account that end its sessions: a new password, a lock, signing out everywhere. Each also voids whatever
// was begun before it, such as links; refresh-token families end as SYMBOLON_END_FAMILIES_ON says. Each change is made
// in the caller's transaction.
import type { Account, Prisma } from '../generated/client.ts';
import { writeEvent } from '../storage/audit.ts';
import { saveNotice } from '../storage/notices.ts';
import { type AccessEnd, type Revocation, endAccess } from '../storage/revocation.ts';
import type { Origin } from '../storage/origin.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { AccountError, assertPassword } from './accounts.ts';
import { withdrawDeletion } from './deletion.ts';
import { type Factors, factorsOf } from './factors.ts';
import { hashPassword, verifyPassword } from './hashing.ts';
import { forgetGuesses } from './limits.ts';
import type { Service } from './password-rules.ts';

export interface ChangeParts {
  readonly storage: Storage;
  readonly config: { readonly endFamiliesOn: readonly string[] };
  readonly origin: Origin;
}

type Database = Prisma.TransactionClient;

/**
 * Checks and hashes a new password of an account.
 *
 * @throws {AccountError} when the password breaks a rule
 */
export async function acceptedPassword(
  { prisma }: Pick<Storage, 'prisma'>,
  service: Service,
  id: string,
  password: string,
): Promise<string> {
  const { email, name } = await prisma.account.findUniqueOrThrow({ where: { id } });
  await assertPassword(password, { email, name }, service);
  return hashPassword(password);
}

/**
 * Refuses a change to the password that the account has already: it would end every sign-in for nothing. Only for whoever
 * has shown the present one: to a link's holder the answer would tell a right guess.
 *
 * @throws {AccountError} when it is the same
 */
export async function assertAnotherPassword(
  { passwordHash }: Pick<Account, 'passwordHash'>,
  password: string,
): Promise<void> {
  if (passwordHash !== null && (await verifyPassword(passwordHash, password)))
    throw new AccountError('password', 'account.password-same');
}

/**
 * Changes an account's password. The person gets a notice by mail.
 *
 * @param passwordHash as {@link acceptedPassword} returns it
 * @param by how it was changed, if not by the person who is signed in
 */
export async function changePassword(
  database: Database,
  parts: ChangeParts,
  id: string,
  passwordHash: string,
  by?: 'reset' | 'command line',
): Promise<AccessEnd> {
  const { storage, origin } = parts;
  const occasion = { now: storage.now(), origin };
  const { email } = await database.account.update({ where: { id }, data: { passwordHash } });
  await forgetGuesses(database, storage.keyring, { password: email }); // they were at another password
  const ended = await end(database, parts, id, 'password_changed');
  const notice = { kind: 'password_changed', accountId: id, ...occasion } as const;
  await saveNotice(database, storage.keyring, notice);
  const detail = by === undefined ? {} : { by };
  await writeEvent(database, { type: 'password.changed', accountId: id, detail }, occasion);
  return ended;
}

/**
 * The time of a sign-in that was verified now, in seconds since the epoch. Sign-ins of the second in which all were
 * ended are over, so a sign-in later in that second counts for the next one.
 */
export function signInTime({ signedOutAt }: Pick<Account, 'signedOutAt'>, now: Date): number {
  const isBehind = signedOutAt !== null && signedOutAt <= now;
  return isBehind ? Math.max(epoch(now), epoch(signedOutAt) + 1) : epoch(now);
}

/**
 * Whether a sign-in ended when all of the account's were ended.
 *
 * @param authTime the time of the sign-in, in seconds since the epoch
 */
export function isSignInOver(authTime: number, signedOutAt: Date | null | undefined): boolean {
  return authTime <= (signedOutAt ? signedOutAt.getTime() / 1000 : 0);
}

/**
 * Locks an account: nobody can sign in with it, and nothing is refreshed. It is not deleted as its person has asked, who
 * could not keep it any more.
 */
export async function lockAccount(
  database: Database,
  parts: ChangeParts,
  id: string,
): Promise<AccessEnd> {
  const now = parts.storage.now();
  await database.account.update({ where: { id }, data: { lockedAt: now } });
  await withdrawDeletion(database, parts, id, 'locked');
  const event = { type: 'account.locked', accountId: id } as const;
  await writeEvent(database, event, { now, origin: parts.origin });
  return end(database, parts, id, 'account_locked');
}

/** Unlocks an account. What its lock has ended does not come back. */
export async function unlockAccount(
  database: Database,
  { storage, origin }: Omit<ChangeParts, 'config'>,
  id: string,
): Promise<void> {
  await database.account.update({ where: { id }, data: { lockedAt: null } });
  const event = { type: 'account.unlocked', accountId: id } as const;
  await writeEvent(database, event, { now: storage.now(), origin });
}

/** Ends every browser session and every family of a person. */
export async function signOutEverywhere(
  database: Database,
  { storage, origin }: Omit<ChangeParts, 'config'>,
  id: string,
  reason: 'revoked_by_user' | 'revoked_by_admin',
): Promise<AccessEnd> {
  const now = storage.now();
  const { keyring } = storage;
  await database.account.update({ where: { id }, data: { signedOutAt: now } });
  const ended = await endAccess(database, id, 'all', { reason, now, origin, keyring });
  await voidWhatWasBegun(database, id);
  const notice = { kind: 'signed_out_everywhere', accountId: id, now, origin } as const;
  await saveNotice(database, storage.keyring, notice);
  const detail = { families: ended.families };
  const event = { type: 'account.signed_out', accountId: id, detail } as const;
  await writeEvent(database, event, { now, origin });
  return ended;
}

/**
 * Removes every factor of an account except its password, for a person who has lost them, and ends its browser
 * sessions.
 *
 * @returns the factors that there were, and what has ended
 */
export async function resetFactors(
  database: Database,
  { storage, origin }: Omit<ChangeParts, 'config'>,
  id: string,
): Promise<AccessEnd & { readonly had: Factors }> {
  const now = storage.now();
  const { keyring } = storage;
  const had = await factorsOf(database, id);
  await database.passkey.deleteMany({ where: { accountId: id } });
  await database.totp.deleteMany({ where: { accountId: id } });
  await database.recoveryCode.deleteMany({ where: { accountId: id } });
  await database.account.update({ where: { id }, data: { signedOutAt: now } });
  const revocation = { reason: 'revoked_by_admin', now, origin, keyring } as const;
  const ended = await endAccess(database, id, 'sessions', revocation);
  await voidWhatWasBegun(database, id);
  const detail = { passkeys: had.passkeys, totp: had.totp };
  await writeEvent(database, { type: 'factors.reset', accountId: id, detail }, { now, origin });
  return { ...ended, had };
}

/**
 * Ends an account's sessions, and what was issued if the settings say so. Applications are told of a lock in any case,
 * of another password when it ends what they were given.
 */
async function end(
  database: Database,
  { storage, config, origin }: ChangeParts,
  id: string,
  reason: Extract<Revocation['reason'], 'password_changed' | 'account_locked'>,
): Promise<AccessEnd> {
  const now = storage.now();
  await database.account.update({ where: { id }, data: { signedOutAt: now } });
  const all = config.endFamiliesOn.includes(reason);
  const revocation = { reason, now, origin, keyring: storage.keyring } as const;
  const tells = all || reason === 'account_locked';
  const ended = await endAccess(database, id, all ? 'all' : 'sessions', revocation, tells);
  await voidWhatWasBegun(database, id);
  return ended;
}

/** Voids links and an app whose first code is missing: an intruder may have begun them. */
async function voidWhatWasBegun(database: Database, accountId: string): Promise<void> {
  await database.link.deleteMany({ where: { accountId } });
  await database.totp.deleteMany({ where: { accountId, confirmedAt: null } });
}
