// Accounts: adding people and checking their passwords.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { locks } from '../database/locks.ts';
import type { Account, Prisma, PrismaClient } from '../generated/client.ts';
import { type MessageKey, type Values, english, isMessageKey } from '../languages.ts';
import { visibleName } from '../names.ts';
import { isTaken, isUnstorable } from '../storage/errors.ts';
import { addressProblem, asciiAddress, writtenAddress } from './email-address.ts';
import { type Waiter, hashPassword, isWeaker, verifyPassword } from './hashing.ts';
import {
  LONGEST,
  type Owner,
  SHORTEST,
  type Service,
  passwordLength,
  passwordProblem,
} from './password-rules.ts';

// A mistake is reported by the key of its message.
export const accountInput = z.object({
  email: z
    .string()
    .transform(writtenAddress)
    .superRefine((written, context) => {
      const message = addressProblem(written);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    }),
  name: z
    .string()
    .refine((name) => !name.includes('\0'), 'error.unstorable' satisfies MessageKey)
    .transform(visibleName)
    .pipe(z.string().max(200, 'account.name-too-long' satisfies MessageKey))
    .optional(),
  password: z.string(), // see password-rules.ts
});

/** A `sub` that is kept from elsewhere (OIDC Core §2); without what could be taken for a part of a URL or a list. */
export const subInput = z
  .string()
  .regex(/^[!-~]{1,255}$/, 'wants 1 to 255 characters of ASCII, without spaces');

export type AccountInput = z.input<typeof accountInput>;

/**
 * The account cannot be added or changed like this. `field` is the field that is wrong; `code` and `values` are the
 * message that says how to mend it, in any language. `message` is the English text, for the command line.
 */
export class AccountError extends Error {
  readonly field: 'email' | 'name' | 'username' | 'password' | 'account';
  readonly code: MessageKey;
  readonly values: Values;

  constructor(field: AccountError['field'], code: MessageKey, values: Values = {}) {
    super(english().t(code, values));
    this.name = 'AccountError';
    this.field = field;
    this.code = code;
    this.values = values;
  }
}

/** Turns the issues of a field's rules into an error. */
export function accountError(field: AccountError['field'], { issues }: z.ZodError): AccountError {
  const [issue] = issues;
  const { minimum: min, maximum: max } = (issue ?? {}) as { minimum?: number; maximum?: number };
  const values = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  // For values that none of our forms sends, the library has words of its own.
  const code = isMessageKey(issue?.message) ? issue.message : 'common.check-fields';
  return new AccountError(field, code, values);
}

export interface AccountOptions {
  readonly admin: boolean;
  /** Whether this must be the very first account: the set-up link. */
  readonly first?: boolean;
  /** Whether the address is known to be the person's. */
  readonly emailVerified?: boolean;
  readonly locale?: string;
  /** As {@link writtenUsername} returns it. */
  readonly username?: string | null;
  /** The `sub`, if it is kept from elsewhere: {@link subInput}. */
  readonly id?: string | undefined;
}

/** An account to be made: checked, its password hashed. */
export interface NewAccount {
  readonly email: string;
  readonly name: string | null;
  readonly passwordHash: string;
}

/**
 * Adds a person, in the caller's transaction or by itself.
 *
 * @throws {AccountError} when a field is wrong, the address is taken, or a first account exists already
 */
export async function addAccount(
  database: Prisma.TransactionClient,
  input: AccountInput,
  options: AccountOptions & { readonly service?: Service },
): Promise<Account> {
  const { service = { issuer: 'http://localhost', theme: { name: 'Symbolon' } } } = options;
  return createAccount(database, await checkAccount(input, service), options);
}

/** @throws {AccountError} when a field is wrong; whether the address is taken is not looked at */
export async function checkAccount(input: AccountInput, service: Service): Promise<NewAccount> {
  const parsed = accountInput.safeParse(input);
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path[0] as AccountError['field'];
    throw accountError(field, parsed.error);
  }
  const { email, name, password } = parsed.data;
  await assertPassword(password, { email, name }, service);
  return { email, name: name || null, passwordHash: await hashPassword(password) };
}

/**
 * Adds an account that was checked. A `first` one needs a transaction: others wait until it ends.
 *
 * @throws {AccountError} when the address is taken, or a first account exists already
 */
export async function createAccount(
  database: Prisma.TransactionClient,
  account: NewAccount,
  {
    admin,
    first,
    emailVerified = false,
    locale,
    username = null,
    id = randomUUID(),
  }: AccountOptions,
): Promise<Account> {
  const emailAscii = asciiAddress(account.email);
  const more = { admin, emailVerified, username, locale: locale ?? null };
  const data = { id, ...account, emailAscii, ...more };
  if (first) {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.makingFirstAccount})`;
    if ((await database.account.count()) > 0) throw new AccountError('account', 'account.exists');
  }
  try {
    return await database.account.create({ data });
  } catch (error) {
    if (isTaken(error)) throw taken(error);
    if (isUnstorable(error)) throw new AccountError('name', 'error.unstorable');
    throw error;
  }
}

/** Which of an account's names somebody else has. @param error for which `isTaken` is true */
export function taken(error: unknown): AccountError {
  return JSON.stringify((error as { meta?: unknown }).meta ?? {}).includes('username')
    ? new AccountError('username', 'account.username-taken')
    : new AccountError('email', 'account.email-taken');
}

export async function hasAccounts(prisma: PrismaClient): Promise<boolean> {
  return (await prisma.account.findFirst({ select: { id: true } })) !== null;
}

/** The account that has this address, however its domain is written. */
export async function findAccountByEmail(
  database: Prisma.TransactionClient,
  email: string,
): Promise<Account | null> {
  const ascii = asciiAddress(email);
  // A process of a former build writes `email` alone, which is ASCII there: one of the two is out of date then.
  const found = await database.account.findMany({
    where: { OR: [{ emailAscii: ascii }, { email: ascii }] },
  });
  return found.find((one) => asciiAddress(one.email) === ascii) ?? null;
}

/** The account whose `sub` this is, or else whose address. */
export async function findAccountBySubject(
  database: Prisma.TransactionClient,
  subject: string,
): Promise<Account | null> {
  const where = { id: subject };
  return (
    (await database.account.findUnique({ where })) ?? (await findAccountByEmail(database, subject))
  );
}

/**
 * A page of the accounts, by address.
 *
 * @param search what the address or the name contains, in upper or lower case
 * @param group of those who are in it
 * @param after the address that the page before has ended with
 */
export function listAccounts(
  prisma: PrismaClient,
  {
    search,
    group,
    after,
    limit,
  }: {
    search?: string | undefined;
    group?: string | undefined;
    after?: string | undefined;
    limit: number;
  },
): Promise<Account[]> {
  // Prisma passes on what LIKE takes for a pattern.
  const text = (search ?? '').replace(/[\\%_]/g, '\\$&');
  const contains = { contains: text, mode: 'insensitive' } as const;
  return prisma.account.findMany({
    where: {
      ...(after === undefined ? {} : { emailAscii: { gt: asciiAddress(after) } }),
      ...(group === undefined ? {} : { groups: { has: group } }),
      ...(search === undefined
        ? {}
        : {
            OR: [{ email: contains }, { name: contains }, { username: contains }, { id: search }],
          }),
    },
    orderBy: { emailAscii: 'asc' },
    take: limit,
  });
}

// The hash that is verified when no account has the address, so that the answer takes as long as if one had it.
let nobodysHash: Promise<string> | undefined;

function hashOfNobody(): Promise<string> {
  nobodysHash ??= hashPassword('nobody has this password').catch((error: unknown) => {
    nobodysHash = undefined; // too busy now is not too busy for ever
    throw error;
  });
  return nobodysHash;
}

/**
 * Finds the account of an address and a password. Neither the answer nor its time tells whether the address or the
 * password is wrong.
 *
 * @param waiter who waits for it, by default the address of the request that is served
 */
export async function authenticate(
  prisma: PrismaClient,
  email: string,
  password: string,
  waiter?: Waiter,
): Promise<Account | undefined> {
  const account = await findAccountByEmail(prisma, email);
  const stored = account?.passwordHash ?? (await hashOfNobody());
  // Nobody's password is too long: the empty one is verified instead, which takes as long.
  const isTooLong = passwordLength(password) > LONGEST;
  const matches = await verifyPassword(stored, isTooLong ? '' : password, waiter);
  if (!account?.passwordHash || account.lockedAt !== null || !matches) return undefined;
  await raiseHash(prisma, account, password);
  return account;
}

/**
 * Hashes a password that was just verified again if its hash was made with weaker parameters than today's. Only the
 * hash that was verified is replaced: a password that was changed meanwhile stays.
 */
export async function raiseHash(
  prisma: PrismaClient,
  { id, passwordHash }: Pick<Account, 'id' | 'passwordHash'>,
  password: string,
): Promise<void> {
  if (!passwordHash || !isWeaker(passwordHash)) return;
  const raised = await hashPassword(password);
  await prisma.account.updateMany({ where: { id, passwordHash }, data: { passwordHash: raised } });
}

/** @throws {AccountError} when the password breaks a rule */
export async function assertPassword(
  password: string,
  owner: Owner,
  service: Service,
): Promise<void> {
  const problem = await passwordProblem(password, owner, service);
  if (problem) throw new AccountError('password', problem, { min: SHORTEST, max: LONGEST });
}
