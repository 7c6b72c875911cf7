// People: adding them and checking their passwords.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { locks } from '../database/locks.ts';
import type { Account, Prisma, PrismaClient } from '../generated/client.ts';
import { type MessageKey, type Values, english, isMessageKey } from '../languages.ts';
import { isTaken } from '../storage/errors.ts';
import { hashPassword, isWeaker, verifyPassword } from './hashing.ts';
import {
  LONGEST,
  type Owner,
  SHORTEST,
  passwordLength,
  passwordProblem,
} from './password-rules.ts';

// What is wrong is told by the key of its message.
export const accountInput = z.object({
  email: z
    .string()
    .trim()
    .toLowerCase()
    .pipe(
      z
        .email('account.email-invalid' satisfies MessageKey)
        .max(254, 'account.email-too-long' satisfies MessageKey),
    ),
  name: z
    .string()
    .trim()
    .max(200, 'account.name-too-long' satisfies MessageKey)
    .optional(),
  password: z.string(), // see password-rules.ts
});

export type AccountInput = z.input<typeof accountInput>;

/**
 * The account cannot be added or changed so. `field` is what is wrong; `code` and `values` are the message that says
 * how to mend it, in the language of whoever reads it. `message` is the English one, for the command line.
 */
export class AccountError extends Error {
  readonly field: 'email' | 'name' | 'password' | 'account';
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

/** What a field's rules found, as an error. */
export function accountError(field: AccountError['field'], { issues }: z.ZodError): AccountError {
  const [issue] = issues;
  const { minimum: min, maximum: max } = (issue ?? {}) as { minimum?: number; maximum?: number };
  const values = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  // What no form of ours sends the library tells in words of its own.
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
}

/** An account to be made, checked and with its password hashed. */
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
  options: AccountOptions,
): Promise<Account> {
  return createAccount(database, await checkAccount(input), options);
}

/** @throws {AccountError} when a field is wrong; whether the address is taken is not looked at */
export async function checkAccount(input: AccountInput): Promise<NewAccount> {
  const parsed = accountInput.safeParse(input);
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path[0] as AccountError['field'];
    throw accountError(field, parsed.error);
  }
  const { email, name, password } = parsed.data;
  await assertPassword(password, { email, name });
  return { email, name: name || null, passwordHash: await hashPassword(password) };
}

/**
 * The same of an account that is checked. A `first` one needs a transaction: others wait until it is over.
 *
 * @throws {AccountError} when the address is taken, or a first account exists already
 */
export async function createAccount(
  database: Prisma.TransactionClient,
  account: NewAccount,
  { admin, first, emailVerified = false, locale }: AccountOptions,
): Promise<Account> {
  const data = { id: randomUUID(), ...account, admin, emailVerified, locale: locale ?? null };
  if (first) {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.makingFirstAccount})`;
    if ((await database.account.count()) > 0) throw new AccountError('account', 'account.exists');
  }
  try {
    return await database.account.create({ data });
  } catch (error) {
    if (isTaken(error)) throw new AccountError('email', 'account.email-taken');
    throw error;
  }
}

export async function hasAccounts(prisma: PrismaClient): Promise<boolean> {
  return (await prisma.account.findFirst({ select: { id: true } })) !== null;
}

export function findAccountByEmail(
  database: Prisma.TransactionClient,
  email: string,
): Promise<Account | null> {
  return database.account.findUnique({ where: { email: email.trim().toLowerCase() } });
}

export function listAccounts(prisma: PrismaClient): Promise<Account[]> {
  return prisma.account.findMany({ orderBy: { createdAt: 'asc' } });
}

// Verified when no account has the address, so that the answer takes as long as for one that exists.
let nobodysHash: Promise<string> | undefined;

function hashOfNobody(): Promise<string> {
  nobodysHash ??= hashPassword('nobody has this password').catch((error: unknown) => {
    nobodysHash = undefined; // too busy now is not too busy for ever
    throw error;
  });
  return nobodysHash;
}

/**
 * Finds the account that an address and a password belong to. Whether the address or the password is wrong can
 * be told neither from the answer nor from its time.
 */
export async function authenticate(
  prisma: PrismaClient,
  email: string,
  password: string,
): Promise<Account | undefined> {
  const account = await findAccountByEmail(prisma, email);
  const stored = account?.passwordHash ?? (await hashOfNobody());
  // What is too long for a password is nobody's, as the empty one is; that, too, takes as long.
  const isTooLong = passwordLength(password) > LONGEST;
  const matches = await verifyPassword(stored, isTooLong ? '' : password);
  if (!account?.passwordHash || account.lockedAt !== null || !matches) return undefined;
  await raiseHash(prisma, account, password);
  return account;
}

/**
 * Hashes a password that was just right once more, when it was hashed with less than passwords are hashed with now.
 * Only what was verified is replaced: a password that was changed meanwhile stays.
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

/** @throws {AccountError} when a person cannot have this password */
export async function assertPassword(password: string, owner: Owner): Promise<void> {
  const problem = await passwordProblem(password, owner);
  if (problem) throw new AccountError('password', problem, { min: SHORTEST, max: LONGEST });
}
