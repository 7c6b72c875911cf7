// E-mail addresses of accounts: confirming and changing them. A change is confirmed by a link sent to the new address;
// the former address gets a notice, and links that were sent there are void.
import type { Account, Prisma } from '../generated/client.ts';
import { writeEvent } from '../storage/audit.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import { saveMail } from '../storage/deliveries.ts';
import { isTaken } from '../storage/errors.ts';
import { saveNotice } from '../storage/notices.ts';
import type { Origin } from '../storage/origin.ts';
import type { Storage } from '../storage/storage.ts';
import { AccountError, accountError, accountInput, taken } from './accounts.ts';
import { asciiAddress } from './email-address.ts';
import { linkExpiry, makeLink, spendLink } from './links.ts';

type Database = Prisma.TransactionClient;

/** Sends the person a link that confirms the account's address. */
export async function askForVerification(
  database: Database,
  { keyring, now: clock }: Storage,
  { id: accountId, email, locale }: Account,
): Promise<void> {
  const now = clock();
  const link = { purpose: 'verification', accountId, email, now } as const;
  const token = await makeLink(database, keyring, link);
  const mail = { to: email, locale, template: 'verification', values: { token } } as const;
  await saveMail(database, keyring, mail, now, linkExpiry('verification', now));
}

/**
 * Sends a link to an address that is to become the account's. Only whoever opens that link learns whether somebody else
 * has the address already.
 *
 * @throws {AccountError} when it is no e-mail address
 */
export async function askForEmailChange(
  database: Database,
  { keyring, now: clock }: Storage,
  { id: accountId, email: former, locale }: Account,
  wanted: string,
): Promise<void> {
  const parsed = accountInput.shape.email.safeParse(wanted);
  if (!parsed.success) throw accountError('email', parsed.error);
  const { data: email } = parsed;
  const now = clock();
  const link = { purpose: 'email_change', accountId, email, now } as const;
  const token = await makeLink(database, keyring, link);
  const values = { token, former };
  const mail = { to: email, locale, template: 'email-change', values } as const;
  await saveMail(database, keyring, mail, now, linkExpiry('email_change', now));
}

/**
 * Spends a link that confirms an address or a change. A link is void if the account is locked, or if all its sign-ins
 * were ended after the link was made.
 *
 * @param by the account that is signed in where the link was opened: only the account's own person confirms a change,
 * or a stranger's account could be given to the owner of the address
 * @returns the account as it is now; undefined when the link does not work
 * @throws {AccountError} when somebody else has the address by now
 */
export async function confirmAddress(
  database: Database,
  { keyring, now: clock }: Storage,
  token: unknown,
  origin: Origin,
  by: string | undefined,
): Promise<Account | undefined> {
  const now = clock();
  const link = await spendLink(database, ['verification', 'email_change'], token, now);
  const { accountId, email } = link ?? {};
  if (!link || !accountId || !email) return undefined;
  const account = await database.account.findUniqueOrThrow({ where: { id: accountId } });
  const isOver = account.signedOutAt !== null && account.signedOutAt >= link.createdAt;
  if (account.lockedAt !== null || isOver) return undefined;
  const isSame = asciiAddress(account.email) === asciiAddress(email);
  if (link.purpose === 'verification' && !isSame) return undefined;
  if (link.purpose === 'email_change' && by !== accountId)
    throw new AccountError('account', 'verify.other-account');
  // Whoever has the link reads the person's mail.
  const occasion = {
    now,
    origin: { ...origin, actor: { kind: 'person', id: accountId } },
  } as const;
  const changed = await database.account
    .update({
      where: { id: accountId },
      data: { email, emailAscii: asciiAddress(email), emailVerified: true },
    })
    .catch((error: unknown) => {
      if (isTaken(error)) throw new AccountError('email', 'account.email-taken');
      throw error;
    });
  if (account.email !== email) {
    await voidLinks(database, accountId);
    const notice = { kind: 'email_changed', accountId, ...occasion, to: account.email } as const;
    await saveNotice(database, keyring, notice);
  }
  const isOwn = by === accountId && account.email !== email;
  const facts = (one: Account) => ({ email: one.email, email_verified: one.emailVerified });
  const how = isOwn ? 'email_change' : 'link';
  const detail = { by: how, email_verified: true, ...whatChanged(facts(account), facts(changed)) };
  await writeEvent(database, { type: 'account.changed', accountId, detail }, occasion);
  return changed;
}

async function voidLinks(database: Database, accountId: string): Promise<void> {
  await database.link.deleteMany({ where: { accountId } });
}

/**
 * Gives an account another address, on the word of an operator: it counts as verified. Links to the former one are void,
 * and that is told of it.
 *
 * @throws {AccountError} when it is no address, or somebody else has it
 */
export async function changeAddress(
  database: Database,
  { storage, origin }: { readonly storage: Storage; readonly origin: Origin },
  account: Pick<Account, 'id' | 'email'>,
  wanted: string,
): Promise<void> {
  const parsed = accountInput.shape.email.safeParse(wanted);
  if (!parsed.success) throw accountError('email', parsed.error);
  const { data: email } = parsed;
  const { id: accountId, email: former } = account;
  const data = { email, emailAscii: asciiAddress(email), emailVerified: true };
  await database.account.update({ where: { id: accountId }, data }).catch((error: unknown) => {
    throw isTaken(error) ? taken(error) : error;
  });
  if (former === email) return;
  await voidLinks(database, accountId);
  const kind = { kind: 'email_changed', accountId, to: former } as const;
  await saveNotice(database, storage.keyring, { ...kind, now: storage.now(), origin });
}
