// Invitations of people who have no account yet: a link under which the account is made (pages/sign-up.ts). The operator
// gets one link, the mail another: only whoever has the mailed one has shown that the address is theirs.
import type { Config } from '../config/config.ts';
import type { Prisma } from '../generated/client.ts';
import { saveMail } from '../storage/deliveries.ts';
import type { Storage } from '../storage/storage.ts';
import { AccountError, accountError, accountInput, findAccountByEmail } from './accounts.ts';
import { linkUrl, makeLink } from './links.ts';

export interface Invitation {
  readonly email: string;
  readonly name?: string | undefined;
  /** How long the invitation is valid. */
  readonly seconds: number;
  /** The language of the mail, if known. */
  readonly locale?: string;
}

/** What is kept with the link of an invitation. */
export interface InvitationData {
  readonly name?: string | undefined;
  /** Whether it travels by mail alone; then its use verifies the address. */
  readonly isMailed: boolean;
}

export interface Invited {
  /** The operator's link. */
  readonly url: string;
  readonly expiresAt: Date;
  readonly isMailed: boolean;
}

/** @throws {AccountError} when there is an account already, or the settings allow no invitations */
export async function invite(
  database: Prisma.TransactionClient,
  { config, storage }: { config: Config; storage: Storage },
  { email: given, name, seconds, locale }: Invitation,
): Promise<Invited> {
  const { keyring, now: clock } = storage;
  if (config.signUp === 'closed') throw new AccountError('account', 'account.invitations-off');
  const parsed = accountInput.shape.email.safeParse(given);
  if (!parsed.success) throw accountError('email', parsed.error);
  const { data: email } = parsed;
  if (await findAccountByEmail(database, email))
    throw new AccountError('email', 'account.email-taken');
  const now = clock();
  const expiresAt = new Date(now.getTime() + seconds * 1000);
  const isMailed = config.mail.mode !== 'off';
  const link = { purpose: 'invitation', email, now, expiresAt } as const;
  const make = (data: InvitationData) =>
    makeLink(database, keyring, { ...link, data, isFurther: data.isMailed });
  const token = await make({ name, isMailed: false });
  if (isMailed) {
    const values = { token: await make({ name, isMailed: true }), life: seconds };
    const mail = { to: email, locale: locale ?? null, template: 'invitation', values } as const;
    await saveMail(database, keyring, mail, now, expiresAt);
  }
  return { url: linkUrl(config.baseUrl, 'invitation', token), expiresAt, isMailed };
}
