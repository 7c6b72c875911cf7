// What somebody signs in with, checked: a password, a passkey, a second factor. A guess is counted before it is judged
// and taken back when it was right; what is refused is written down with the refusal. Which factors a sign-in needs is
// decided by whoever asks, a page or a grant; so is what it leads to.
import type { Account } from '../generated/client.ts';
import type { AuditEvent } from '../storage/audit.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { authenticate, findAccountByEmail } from './accounts.ts';
import { FactorError, type Method } from './factors.ts';
import { type Guesser, type Limits, TooManyAttempts, type Try } from './limits.ts';
import { type PasskeySignIn, verifyPasskey } from './passkeys.ts';
import { looksLikeRecoveryCode, useRecoveryCode } from './recovery-codes.ts';
import { verifyTotp } from './totp.ts';

export interface CheckParts {
  readonly storage: Storage;
  readonly config: { readonly issuer: string };
  readonly limits: Limits;
}

/** What the audit tells of a try. */
export interface Attempt {
  /** The client that the sign-in is for. */
  readonly clientId?: string | undefined;
  /** The grant that it came by; not set: a page. */
  readonly by?: string;
}

export interface PasswordAttempt extends Attempt {
  /** As it was typed. */
  readonly email: string;
  readonly password: string;
  /** Whom the guess is counted by. */
  readonly from: Guesser;
}

export interface PasskeyAttempt extends Attempt {
  /** What the browser answered: JSON. */
  readonly response: string;
  /** The interaction, or the browser's session, that its challenge was given to. */
  readonly binding: string;
}

export interface SecondFactorAttempt extends Attempt {
  readonly accountId: string;
  /** Those that are accepted. */
  readonly methods: readonly Method[];
  /** What the browser answered for a passkey: JSON. Not set: the code counts. */
  readonly passkey?: string | undefined;
  /** See {@link PasskeyAttempt}. */
  readonly binding: string;
  /** Of an app, or a recovery code. */
  readonly code: string;
  /** Whom the guess is counted by. */
  readonly from: Guesser;
}

/**
 * Checks a password, within a unit of work.
 *
 * @returns whose it is
 * @throws {FactorError} when the address or the password is wrong, {@link TooManyAttempts} when it comes too early
 */
export async function checkPassword(
  { storage: { prisma }, limits }: CheckParts,
  attempt: PasswordAttempt,
): Promise<Account> {
  const { email, password, from } = attempt;
  const whose = async () => (await findAccountByEmail(prisma, email))?.id;
  const guess = { what: 'password', account: email, from } as const;
  const wasRight = await counted(limits, guess, attempt, whose);
  const account = await authenticate(prisma, email, password);
  if (!account) {
    const detail = { reason: 'credentials' };
    writeRefusal(attempt, { type: 'sign_in.failed', accountId: await whose(), detail });
    throw new FactorError('sign-in.wrong');
  }
  await wasRight();
  return account;
}

/**
 * Checks a passkey that is to be the whole sign-in, within a unit of work. It is not counted: nobody guesses a
 * signature.
 *
 * @throws {FactorError} when it is not accepted
 */
export function checkPasskey(parts: CheckParts, attempt: PasskeyAttempt): Promise<PasskeySignIn> {
  return passkeyOf(parts, attempt, undefined);
}

/**
 * Checks the second factor of an account, within a unit of work.
 *
 * @returns what it is worth (`amr`, RFC 8176)
 * @throws {FactorError} when it is wrong, {@link TooManyAttempts} when a code comes too early
 */
export async function checkSecondFactor(
  parts: CheckParts,
  attempt: SecondFactorAttempt,
): Promise<string[]> {
  const { accountId, methods, passkey, code, from } = attempt;
  if (passkey !== undefined && methods.includes('passkey'))
    return (await passkeyOf(parts, { ...attempt, response: passkey }, accountId)).amr;

  const method = looksLikeRecoveryCode(code) ? 'recovery_code' : 'totp';
  const what = method === 'totp' ? 'code' : 'recovery_code';
  const guess = { what, account: accountId, from } as const;
  const wasRight = await counted(parts.limits, guess, attempt, () => accountId);
  if (!methods.includes(method) || !(await isCode(parts, method, accountId, code))) {
    writeRefusal(attempt, { type: 'second_factor.failed', accountId, detail: { method } });
    throw new FactorError(method === 'totp' ? 'factor.code-wrong' : 'factor.recovery-code-wrong');
  }
  await wasRight();
  return ['otp'];
}

/**
 * Writes down that somebody has signed in, and tells the person of a browser that had not signed the account in before;
 * both within a unit of work, with what the sign-in leads to.
 */
export function recordSignIn(signIn: {
  readonly accountId: string;
  readonly clientId?: string | undefined;
  readonly amr: string[];
  readonly isNewBrowser: boolean;
}): void {
  const { accountId, clientId, amr, isNewBrowser } = signIn;
  const unit = currentUnit();
  const occasion = { now: unit.storage.now(), origin: unit.origin };
  if (isNewBrowser) unit.notice({ kind: 'new_device', accountId, ...occasion });
  unit.audit({ type: 'sign_in', accountId, clientId, detail: { amr } });
}

/** @param accountId whose second factor it is to be; not set: it is the only one */
async function passkeyOf(
  { storage, config }: CheckParts,
  attempt: PasskeyAttempt,
  accountId: string | undefined,
): Promise<PasskeySignIn> {
  const { binding } = attempt;
  const response = parsed(attempt.response);
  try {
    return await verifyPasskey({ storage, config }, { binding, response, accountId });
  } catch (error) {
    if (error instanceof FactorError) {
      const type = accountId === undefined ? 'sign_in.failed' : 'second_factor.failed';
      const detail = { method: 'passkey', reason: error.code };
      writeRefusal(attempt, { type, accountId, detail });
    }
    throw error;
  }
}

/** Takes a code. @returns whether it was right */
function isCode(
  { storage }: CheckParts,
  method: 'totp' | 'recovery_code',
  accountId: string,
  code: string,
): Promise<boolean> {
  if (method === 'totp') return verifyTotp({ storage }, accountId, code);
  return useRecoveryCode({ storage, origin: currentUnit().origin }, accountId, code);
}

// The first that is refused is written down; the thousand after it tell nothing more.
async function counted(
  limits: Limits,
  guess: Try,
  attempt: Attempt,
  whose: () => string | Promise<string | undefined>,
): Promise<() => Promise<void>> {
  try {
    return await limits.count(guess);
  } catch (error) {
    if (error instanceof TooManyAttempts && error.isFirst)
      writeRefusal(attempt, { type: 'sign_in.limited', accountId: await whose() });
    throw error;
  }
}

function writeRefusal({ clientId, by }: Attempt, event: AuditEvent): void {
  const detail = by === undefined ? event.detail : { ...event.detail, by };
  currentUnit().audit({ ...event, clientId, detail }, { evenIfRefused: true });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
