// Notices: mails that tell a person what happened to the account, so that an intruder is noticed. Each is committed
// with the change that it tells of.
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { saveMail } from './deliveries.ts';
import type { NoticeKind } from './mail-templates.ts';
import type { Occasion } from './origin.ts';

export interface Notice extends Occasion {
  readonly kind: NoticeKind;
  readonly accountId: string;
  /** The name of the application or passkey that it is about. */
  readonly subject?: string;
  /** Where that application is at home, if nobody here vouches for it. */
  readonly stranger?: string | undefined;
  /** When what it tells of will be. */
  readonly until?: Date;
  /** The address that it is sent to, if not the account's: the previous one. */
  readonly to?: string;
}

/** Queues a notice. Nothing is sent for an account that is locked or gone. */
export async function saveNotice(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { kind, accountId, now, origin, subject, stranger, to, until }: Notice,
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
    until: until?.getTime(),
    stranger,
  };
  const { email, locale } = account;
  await saveMail(database, keyring, { to: to ?? email, locale, template: 'notice', values }, now);
}
