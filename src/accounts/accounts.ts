// People: adding them and checking their passwords.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Account, PrismaClient } from '../generated/client.ts';
import { isTaken } from '../storage/errors.ts';
import { hashPassword, verifyPassword } from './hashing.ts';

const MAKING_FIRST = 5_991_003; // an advisory lock: the first administrator is made once

export const accountInput = z.object({
  email: z
    .string()
    .trim()
    .toLowerCase()
    .pipe(z.email('This is not an e-mail address.').max(254, 'This e-mail address is too long.')),
  name: z.string().trim().max(200, 'A name has at most 200 characters.').optional(),
  password: z
    .string()
    .min(8, 'A password has at least 8 characters.')
    .max(256, 'A password has at most 256 characters.'),
});

export type AccountInput = z.input<typeof accountInput>;

/** The account cannot be added; `field` is what is wrong, the message says how to mend it. */
export class AccountError extends Error {
  readonly field: 'email' | 'name' | 'password' | 'account';

  constructor(field: AccountError['field'], message: string) {
    super(message);
    this.name = 'AccountError';
    this.field = field;
  }
}

export interface AccountOptions {
  readonly admin: boolean;
  /** Whether this must be the very first account: the set-up link. */
  readonly first?: boolean;
}

/**
 * Adds a person.
 *
 * @throws {AccountError} when a field is wrong, the address is taken, or a first account exists already
 */
export async function addAccount(
  prisma: PrismaClient,
  input: AccountInput,
  options: AccountOptions,
): Promise<Account> {
  const parsed = accountInput.safeParse(input);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AccountError(
      (issue?.path[0] ?? 'account') as AccountError['field'],
      issue?.message ?? 'Invalid account.',
    );
  }
  const { email, name, password } = parsed.data;
  const passwordHash = await hashPassword(password);
  const data = { id: randomUUID(), email, name: name || null, passwordHash, admin: options.admin };
  try {
    if (!options.first) return await prisma.account.create({ data });
    return await prisma.$transaction(async (database) => {
      await database.$executeRaw`SELECT pg_advisory_xact_lock(${MAKING_FIRST})`;
      if ((await database.account.count()) > 0)
        throw new AccountError('account', 'An account exists already.');
      return database.account.create({ data });
    });
  } catch (error) {
    if (isTaken(error))
      throw new AccountError('email', 'There is an account with this e-mail address already.');
    throw error;
  }
}

export async function hasAccounts(prisma: PrismaClient): Promise<boolean> {
  return (await prisma.account.findFirst({ select: { id: true } })) !== null;
}

export function findAccountByEmail(prisma: PrismaClient, email: string): Promise<Account | null> {
  return prisma.account.findUnique({ where: { email: email.trim().toLowerCase() } });
}

export function listAccounts(prisma: PrismaClient): Promise<Account[]> {
  return prisma.account.findMany({ orderBy: { createdAt: 'asc' } });
}

// Verified when no account has the address, so that the answer takes as long as for one that exists.
let nobodysHash: Promise<string> | undefined;

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
  const stored =
    account?.passwordHash ?? (await (nobodysHash ??= hashPassword('nobody has this password')));
  const matches = await verifyPassword(stored, password.slice(0, 256));
  return account?.passwordHash && account.lockedAt === null && matches ? account : undefined;
}
