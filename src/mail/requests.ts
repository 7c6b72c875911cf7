// Mail requests: mails that anybody can cause by naming an address, to reset a password, to sign up, or by guessing; and
// the one that is not needed if a second factor follows the password. The request is stored first. Whether the address
// has an account is looked up here, after the answer has left, so that neither the answer nor its time can tell.
import { findAccountByEmail } from '../accounts/accounts.ts';
import { networkOf } from '../accounts/networks.ts';
import { mayTellOfFactor } from '../accounts/wrong-factor.ts';
import { linkExpiry, linkToken, makeLink } from '../accounts/links.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Prisma } from '../generated/client.ts';
import { type Delivery, type MailOf, replaceMail, saveMail } from '../storage/deliveries.ts';
import type { MailRequests, MailTemplates, SignUp } from '../storage/mail-templates.ts';
import type { Storage } from '../storage/storage.ts';

export interface MailRequest {
  readonly email: string;
  /** The language of the request. */
  readonly locale: string;
}

type Database = Prisma.TransactionClient;

/** Stores a request to reset a password. It takes the same time for every address. */
export function askForReset(
  database: Database,
  keyring: Keyring,
  { email, locale }: MailRequest,
  now: Date,
): Promise<void> {
  const values = { asked: now.getTime() };
  const mail = { to: email, locale, template: 'ask-reset', values } as const;
  return saveMail(database, keyring, mail, now, linkExpiry('password_reset', now));
}

/** Stores a request to sign up. It takes the same time for every address. */
export function askForSignUp(
  database: Database,
  keyring: Keyring,
  { email, locale }: MailRequest,
  signUp: SignUp,
  now: Date,
): Promise<void> {
  const values = { asked: now.getTime(), ...signUp };
  return saveMail(database, keyring, { to: email, locale, template: 'ask-sign-up', values }, now);
}

type Parts = Pick<Storage, 'prisma' | 'keyring' | 'pool'>;
type Answer = MailOf<keyof MailTemplates>;

/**
 * The mail to be sent for a delivery. A mail request is replaced by its answer, and the link is made, in one
 * transaction, so that another attempt does not make a link again that was used already.
 *
 * @returns undefined when nothing is to be sent
 */
export async function answerRequest(
  storage: Parts,
  delivery: Delivery<'mail'>,
): Promise<Answer | undefined> {
  if (!isRequest(delivery)) return delivery;
  const { prisma, keyring } = storage;
  return prisma.$transaction(async (database) => {
    const mail =
      delivery.template === 'ask-factor'
        ? await answerFactor(database, storage, delivery)
        : await answerTo(database, keyring, delivery);
    if (mail) await replaceMail(database, keyring, delivery, mail);
    return mail;
  });
}

type Request = MailOf<keyof MailRequests>;

function isRequest<M extends { readonly template: string }>(
  mail: M,
): mail is Extract<M, { readonly template: keyof MailRequests }> {
  return mail.template.startsWith('ask-');
}

function answerTo(
  database: Database,
  keyring: Keyring,
  request: Exclude<Request, { template: 'ask-factor' }>,
): Promise<Answer | undefined> {
  if (request.template === 'ask-reset') return answerReset(database, keyring, request);
  if (request.template === 'ask-sign-up') return answerSignUp(database, keyring, request);
  return answerGuessed(database, request);
}

// Whoever has signed in since, from the same network with the same browser, was slow or began again.
async function answerFactor(
  database: Database,
  storage: Parts,
  { values, attempts }: Extract<Delivery<'mail'>, { template: 'ask-factor' }>,
): Promise<Answer | undefined> {
  const { accountId, at, ip, userAgent } = values;
  const account = await database.account.findUnique({ where: { id: accountId } });
  if (!account || account.lockedAt) return undefined;
  const signIns = await database.auditEvent.findMany({
    where: { accountId, type: 'sign_in', at: { gte: new Date(at) } },
    select: { ip: true, userAgent: true },
  });
  const isSame = (one: (typeof signIns)[number]) =>
    networkOf(one.ip ?? '') === networkOf(ip) && (one.userAgent ?? '') === userAgent;
  if (signIns.some(isSame)) return undefined;
  // A try that failed may have used up the day's mail.
  if (!(await mayTellOfFactor(storage, accountId)) && attempts === 1) return undefined;
  const { email, locale } = account;
  const kind = 'second_factor_missing';
  const notice = { kind, at, ip, userAgent, about: '', account: email } as const;
  return { to: email, locale, template: 'notice', values: notice };
}

async function answerGuessed(
  database: Database,
  { to: typed, values }: MailOf<'ask-guessed'>,
): Promise<Answer | undefined> {
  const account = await findAccountByEmail(database, typed);
  if (!account || account.lockedAt) return undefined;
  const { email, locale } = account;
  return { to: email, locale, template: 'guessed', values: { ...values, account: email } };
}

async function answerReset(
  database: Database,
  keyring: Keyring,
  { to: typed, locale, values }: MailOf<'ask-reset'>,
): Promise<Answer | undefined> {
  const account = await findAccountByEmail(database, typed);
  if (!account || account.lockedAt) return undefined;
  const { email } = account;
  const now = new Date(values.asked);
  const newer = await database.link.findFirst({
    where: { accountId: account.id, purpose: 'password_reset', createdAt: { gt: now } },
  });
  if (newer) return undefined;
  const token = linkToken();
  const link = { purpose: 'password_reset', accountId: account.id, email, now, token } as const;
  await makeLink(database, keyring, link);
  return {
    to: email,
    locale: account.locale ?? locale,
    template: 'password-reset',
    values: { token },
  };
}

async function answerSignUp(
  database: Database,
  keyring: Keyring,
  { to: email, locale, values }: MailOf<'ask-sign-up'>,
): Promise<Answer | undefined> {
  const account = await findAccountByEmail(database, email);
  if (account?.lockedAt) return undefined;
  if (account)
    return { to: email, locale: account.locale ?? locale, template: 'sign-up-taken', values: {} };
  const { name, passwordHash, browser, asked } = values;
  const data = { name, passwordHash, browser, locale };
  const now = new Date(asked);
  const token = await makeLink(database, keyring, { purpose: 'sign_up', email, now, data });
  return { to: email, locale, template: 'sign-up', values: { token } };
}
