// Factors: what an account can be signed in to with, and what a sign-in is worth. How somebody signed in is `amr`
// (RFC 8176), and follows from what was verified here; its level is `acr`, and follows from `amr` alone.
import type { Prisma, PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type MessageKey, english } from '../languages.ts';
import { writeEvent } from '../storage/audit.ts';
import { saveNotice } from '../storage/notices.ts';
import type { Origin } from '../storage/origin.ts';

/** The values of `acr`, the lowest first; `phr` is phishing-resistant (OpenID EAP ACR Values). */
export const levels = ['1fa', '2fa', 'phr'] as const;
export type Level = (typeof levels)[number];

/** With what a second factor is proved. */
export type Method = 'passkey' | 'totp' | 'recovery_code';

/** The factors of an account. A password and one of the others are two. */
export interface Factors {
  readonly password: boolean;
  readonly passkeys: number;
  readonly totp: boolean;
  /** How many are left. They are for who has lost the second factor, and are none by themselves. */
  readonly recoveryCodes: number;
}

/** What somebody may do about a factor went wrong. The code is the key of the message that says how to mend it. */
export class FactorError extends Error {
  readonly code: Extract<MessageKey, `factor.${string}`> | 'sign-in.wrong';

  constructor(code: FactorError['code'], options?: ErrorOptions) {
    super(english().t(code), options);
    this.name = 'FactorError';
    this.code = code;
  }
}

/** What changes factors and writes down that they did. */
export interface FactorParts {
  readonly storage: {
    readonly prisma: PrismaClient;
    readonly keyring: Keyring;
    readonly now: () => Date;
  };
  readonly origin: Origin;
}

/** What changes about a person's factors, as the audit says it and as the person is told. */
const changes = {
  'passkey.added': 'passkey_added',
  'passkey.removed': 'passkey_removed',
  'totp.added': 'totp_added',
  'totp.removed': 'totp_removed',
  'recovery_codes.made': 'recovery_codes_made',
} as const;

/**
 * Writes down a change of somebody's factors, and tells the person.
 *
 * @param database the transaction of the change
 * @param name of the passkey
 */
export async function recordChange(
  database: Prisma.TransactionClient,
  { storage, origin }: FactorParts,
  change: { type: keyof typeof changes; accountId: string; name?: string },
): Promise<void> {
  const { type, accountId, name } = change;
  const occasion = { now: storage.now(), origin };
  const about = name === undefined ? {} : { detail: { name } };
  await writeEvent(database, { type, accountId, ...about }, occasion);
  await saveNotice(database, storage.keyring, {
    kind: changes[type],
    accountId,
    ...occasion,
    ...(name === undefined ? {} : { subject: name }),
  });
}

export async function factorsOf(
  prisma: Prisma.TransactionClient,
  accountId: string,
): Promise<Factors> {
  const [account, passkeys, totp, recoveryCodes] = await Promise.all([
    prisma.account.findUnique({ where: { id: accountId }, select: { passwordHash: true } }),
    prisma.passkey.count({ where: { accountId } }),
    prisma.totp.count({ where: { accountId, confirmedAt: { not: null } } }),
    prisma.recoveryCode.count({ where: { accountId, usedAt: null } }),
  ]);
  return { password: Boolean(account?.passwordHash), passkeys, totp: totp > 0, recoveryCodes };
}

export function hasSecondFactor({ passkeys, totp }: Factors): boolean {
  return passkeys > 0 || totp;
}

/** The level of a sign-in. @returns nothing for none */
export function levelOf(amr: readonly string[] | undefined): Level | undefined {
  if (!amr || amr.length === 0) return undefined;
  if (!amr.includes('mfa')) return '1fa';
  return amr.includes('hwk') || amr.includes('swk') ? 'phr' : '2fa';
}

export function isLevel(value: unknown): value is Level {
  return levels.some((level) => level === value);
}

/** Whether a level is enough where another is wanted. */
export function suffices(level: Level | undefined, wanted: Level): boolean {
  return level !== undefined && levels.indexOf(level) >= levels.indexOf(wanted);
}

/** The lowest level that fulfils one of those that were asked for; nothing when none of them is one of ours. */
export function lowestOf(values: readonly unknown[]): Level | undefined {
  return levels.find((level) => values.includes(level));
}

/**
 * What is told as `acr`: of the levels that were asked for, in their order, the first that is reached; else the level
 * itself. A relying party that asks for `2fa` looks for `2fa`, and not for what is better (OIDC Core §5.5.1.1).
 */
export function acrFor(
  amr: readonly string[] | undefined,
  asked: readonly unknown[],
): Level | undefined {
  const level = levelOf(amr);
  return asked.find((value): value is Level => isLevel(value) && suffices(level, value)) ?? level;
}

/** The methods of one sign-in that went on: what was verified before and what was verified now. */
export function united(before: readonly string[], now: readonly string[]): string[] {
  const all = new Set([...before, ...now]);
  const possession = ['otp', 'hwk', 'swk'].some((method) => all.has(method));
  if (all.has('pwd') && possession) all.add('mfa');
  return ['pwd', 'otp', 'hwk', 'swk', 'mfa'].filter((method) => all.has(method));
}

/** The highest level that an account's factors lead to. */
export function highestLevel(factors: Factors): Level {
  if (factors.passkeys > 0) return 'phr';
  return factors.totp ? '2fa' : '1fa';
}

/**
 * With which methods a sign-in gets on: to the level that is wanted, or, once a person has set up a second factor, to
 * two factors in any case.
 *
 * @returns none when nothing is missing; `undefined` when the account's factors do not lead there
 */
export function missingMethods(
  amr: readonly string[],
  factors: Factors,
  wanted: Level = '1fa',
): readonly Method[] | undefined {
  const level = levelOf(amr);
  const target = hasSecondFactor(factors) && wanted === '1fa' ? '2fa' : wanted;
  if (suffices(level, target)) return [];
  const methods: Method[] = [];
  if (factors.passkeys > 0) methods.push('passkey');
  if (target !== 'phr') {
    if (factors.totp) methods.push('totp');
    if (hasSecondFactor(factors) && factors.recoveryCodes > 0) methods.push('recovery_code');
  }
  return methods.length > 0 ? methods : undefined;
}
