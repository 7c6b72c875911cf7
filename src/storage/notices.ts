// Notices: mails that tell a person what has happened to the account, so that somebody else's doing is noticed. Each
// is written in the transaction of what it tells of.
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { saveMail } from './deliveries.ts';
import type { Occasion } from './origin.ts';

export type NoticeKind =
  | 'new_device' // a sign-in from a browser that had not signed in this account before
  | 'password_changed'
  | 'email_changed' // told to the former address
  | 'passkey_added'
  | 'passkey_removed'
  | 'totp_added'
  | 'totp_removed'
  | 'recovery_codes_made'
  | 'reuse' // a used-up refresh token was presented, and its family ended
  | 'signed_out_everywhere';

export interface Notice extends Occasion {
  readonly kind: NoticeKind;
  readonly accountId: string;
  /** What it is about: an application's or a passkey's name. */
  readonly subject?: string;
  /** Where it is sent when not to the account's address: the one before. */
  readonly to?: string;
}

/** Tells a person; one whose account is locked or gone is told nothing. */
export async function saveNotice(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { kind, accountId, now, origin, subject, to }: Notice,
): Promise<void> {
  const account = await database.account.findUnique({
    where: { id: accountId },
    select: { email: true, locale: true, lockedAt: true },
  });
  if (!account || account.lockedAt) return;
  const values = {
    kind,
    at: now.getTime(),
    ip: origin.ip ?? '',
    userAgent: origin.userAgent ?? '',
    about: subject ?? '',
    account: account.email,
  };
  const mail = { to: to ?? account.email, locale: account.locale, template: 'notice', values };
  await saveMail(database, keyring, mail, now);
}
