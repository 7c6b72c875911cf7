// Factors: what a person can sign in with, and what a sign-in is worth. `amr` (RFC 8176) says which methods were
// verified; the level, `acr`, follows from `amr` alone.
import type { Prisma, PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { type MessageKey, english } from '../languages.ts';
import { writeEvent } from '../storage/audit.ts';
import { saveNotice } from '../storage/notices.ts';
import type { Origin } from '../storage/origin.ts';

/** The values of `acr`, the lowest first; `phr` is phishing-resistant (OpenID EAP ACR Values). */
export const levels = ['1fa', '2fa', 'phr'] as const;
export type Level = (typeof levels)[number];

/** The methods that prove a second factor. */
export type Method = 'passkey' | 'totp' | 'recovery_code';

/** The factors of an account. A password and one other are two factors. */
export interface Factors {
  readonly password: boolean;
  readonly passkeys: number;
  readonly totp: boolean;
  /** How many are left. They are for a person who has lost the second factor, and are no factor of their own. */
  readonly recoveryCodes: number;
}

/** A check or change of a factor failed. The code is the key of the message that says how to mend it. */
export class FactorError extends Error {
  readonly code: Extract<MessageKey, `factor.${string}`> | 'sign-in.wrong';

  constructor(code: FactorError['code'], options?: ErrorOptions) {
    super(english().t(code), options);
    this.name = 'FactorError';
    this.code = code;
  }
}

/** What code that changes factors and records it depends on. */
export interface FactorParts {
  readonly storage: {
    readonly prisma: PrismaClient;
    readonly keyring: Keyring;
    readonly now: () => Date;
  };
  readonly origin: Origin;
}

/** The changes of a person's factors: the event of the audit, and the notice to the person. */
const changes = {
  'passkey.added': 'passkey_added',
  'passkey.removed': 'passkey_removed',
  'totp.added': 'totp_added',
  'totp.removed': 'totp_removed',
  'recovery_codes.made': 'recovery_codes_made',
} as const;

/**
 * Records a change of a person's factors, and sends the notice.
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

/** Whether there is a second factor besides the password; recovery codes alone are none. */
export function hasSecondFactor({ passkeys, totp }: Factors): boolean {
  return passkeys > 0 || totp;
}

/** The level of a sign-in. @returns undefined when it reaches none */
export function levelOf(amr: readonly string[] | undefined): Level | undefined {
  if (!amr || amr.length === 0) return undefined;
  if (!amr.includes('mfa')) return '1fa';
  return amr.includes('hwk') || amr.includes('swk') ? 'phr' : '2fa';
}

export function isLevel(value: unknown): value is Level {
  return levels.some((level) => level === value);
}

/** Whether a level is at least the wanted one. */
export function suffices(level: Level | undefined, wanted: Level): boolean {
  return level !== undefined && levels.indexOf(level) >= levels.indexOf(wanted);
}

/** The lowest of the requested levels. @returns undefined when none of them is one of ours */
export function lowestOf(values: readonly unknown[]): Level | undefined {
  return levels.find((level) => values.includes(level));
}

/**
 * The `acr` of a sign-in: the first of the requested levels that is reached, else the sign-in's own level. A relying
 * party that asks for `2fa` looks for `2fa`, not for something better (OIDC Core §5.5.1.1).
 */
export function acrFor(
  amr: readonly string[] | undefined,
  asked: readonly unknown[],
): Level | undefined {
  const level = levelOf(amr);
  return asked.find((value): value is Level => isLevel(value) && suffices(level, value)) ?? level;
}

/** The `amr` of a sign-in that got another factor: what was verified before and now. */
export function united(before: readonly string[], now: readonly string[]): string[] {
  const all = new Set([...before, ...now]);
  const possession = ['otp', 'hwk', 'swk'].some((method) => all.has(method));
  if (all.has('pwd') && possession) all.add('mfa');
  return ['pwd', 'otp', 'hwk', 'swk', 'mfa'].filter((method) => all.has(method));
}

/** The highest level that an account's factors can reach. */
export function highestLevel(factors: Factors): Level {
  if (factors.passkeys > 0) return 'phr';
  return factors.totp ? '2fa' : '1fa';
}

/**
 * The methods with which a sign-in gets to the wanted level; in any case to two factors, once the person has set up a
 * second one.
 *
 * @returns an empty list when nothing is missing; undefined when the account's factors cannot reach the level
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
