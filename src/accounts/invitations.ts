// Invitations of people who have no account yet: a link under which the account is made (pages/sign-up.ts).
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

export interface Invited {
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
  const token = await makeLink(database, keyring, { ...link, ...(name ? { data: { name } } : {}) });
  const values = { token, life: seconds };
  const mail = { to: email, locale: locale ?? null, template: 'invitation', values } as const;
  if (isMailed) await saveMail(database, keyring, mail, now, expiresAt);
  return { url: linkUrl(config.issuer, 'invitation', token), expiresAt, isMailed };
}
