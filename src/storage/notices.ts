// Notices: mails that tell a person what has happened to the account, so that somebody else's doing is noticed. Each
// is written in the transaction of what it tells of.
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { saveMail } from './deliveries.ts';
import type { NoticeKind } from './mail-templates.ts';
import type { Origin } from './revocation.ts';

export interface Notice {
  readonly kind: NoticeKind;
  readonly accountId: string;
  readonly now: Date;
  readonly origin: Origin;
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

/** Where a request came from. @param source the request, or the command line as `{}` */
export function originOf(source: { ip?: string; get?(header: string): string }): Origin {
  const userAgent = source.get?.('user-agent').slice(0, 500);
  return { ip: source.ip, userAgent: userAgent || undefined };
}
