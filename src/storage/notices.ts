// Notices: mails that tell a person what has happened to the account, so that somebody else's doing is noticed. Each
// is written in the transaction of what it tells of.
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { saveMail } from './deliveries.ts';
import type { NoticeKind } from './mail-templates.ts';
import type { Occasion } from './origin.ts';

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
  const { email, locale } = account;
  await saveMail(database, keyring, { to: to ?? email, locale, template: 'notice', values }, now);
}
