// Checks of a password, a passkey and a second factor. A guess is counted before it is judged, and taken back when it
// was right; a refusal is recorded in the audit, and the owner is told by mail of many. The caller, a page or a grant, decides which factors a sign-in needs
// and what it leads to.
import type { Account } from '../generated/client.ts';
import type { AuditEvent } from '../storage/audit.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { accountInput, authenticate, findAccountByEmail } from './accounts.ts';
import { type Guesser, type Try, isClosed, isTold } from './counters.ts';
import { asciiAddress } from './email-address.ts';
import { FactorError, type Method } from './factors.ts';
import { type Judgement, type Limits, TooManyAttempts } from './limits.ts';
import { type PasskeySignIn, verifyPasskey } from './passkeys.ts';
import { createRowLimits } from './row-limits.ts';
import { looksLikeRecoveryCode, useRecoveryCode } from './recovery-codes.ts';
import { verifyTotp } from './totp.ts';
import { tellOfWrongFactor } from './wrong-factor.ts';

export interface CheckParts {
  readonly storage: Storage;
  readonly config: { readonly issuer: string };
  readonly limits: Limits;
}

/** What the audit records of a try. */
export interface Attempt {
  /** The client that the sign-in is for. */
  readonly clientId?: string | undefined;
  /** The grant type; not set for a page. */
  readonly by?: string;
}

export interface PasswordAttempt extends Attempt {
  /** As it was typed. */
  readonly email: string;
  readonly password: string;
  /** The guesser by whom the try is counted. */
  readonly from: Guesser;
}

export interface PasskeyAttempt extends Attempt {
  /** The browser's answer, JSON. */
  readonly response: string;
  /** The interaction or browser session that its challenge was given to. */
  readonly binding: string;
}

export interface SecondFactorAttempt extends Attempt {
  readonly accountId: string;
  /** The methods that are accepted. */
  readonly methods: readonly Method[];
  /** The browser's answer for a passkey, JSON; not set when a code was typed. */
  readonly passkey?: string | undefined;
  /** As in {@link PasskeyAttempt}. */
  readonly binding: string;
  /** A code of an app, or a recovery code. */
  readonly code: string;
  /** The guesser by whom the try is counted. */
  readonly from: Guesser;
}

/**
 * Checks a password, within a unit of work.
 *
 * @returns the account
 * @throws {FactorError} when the address or the password is wrong, {@link TooManyAttempts} when it comes too early
 */
export async function checkPassword(
  { storage: { prisma }, limits }: CheckParts,
  attempt: PasswordAttempt,
): Promise<Account> {
  const { email, password, from } = attempt;
  const whose = async () => (await findAccountByEmail(prisma, email))?.id;
  const guess = { what: 'password', account: email, from } as const;
  const waiter = from.browser === undefined ? { ip: from.ip } : { knownTo: asciiAddress(email) };
  const { found: account, wrongByStrangers } = await judged(limits, guess, attempt, whose, () =>
    authenticate(prisma, email, password, waiter),
  );
  if (!account) {
    const detail = { reason: 'credentials' };
    writeRefusal(attempt, { type: 'sign_in.failed', accountId: await whose(), detail });
    if (isTold(wrongByStrangers)) tellOfGuesses(email, wrongByStrangers);
    throw new FactorError('sign-in.wrong');
  }
  return account;
}

/** Has the owner told, if there is one: that is looked up when the mail is made, since an answer must not tell. */
function tellOfGuesses(typed: string, guesses: number): void {
  const { success, data: to } = accountInput.shape.email.safeParse(typed);
  if (!success) return;
  const unit = currentUnit();
  const { ip = '', userAgent = '' } = unit.origin;
  const at = unit.storage.now().getTime();
  const values = { guesses, isClosed: isClosed(guesses), at, ip, userAgent };
  unit.mail({ to, locale: null, template: 'ask-guessed', values }, { evenIfRefused: true });
}

/**
 * Checks a passkey that is the whole sign-in, within a unit of work. It is not counted: nobody guesses a signature.
 *
 * @throws {FactorError} when it is not accepted
 */
export function checkPasskey(parts: CheckParts, attempt: PasskeyAttempt): Promise<PasskeySignIn> {
  return passkeyOf(parts, attempt, undefined);
}

/**
 * Checks the second factor of an account, within a unit of work. If it is wrong, the owner is told.
 *
 * @returns its `amr` (RFC 8176)
 * @throws {FactorError} when it is wrong, {@link TooManyAttempts} when a code comes too early
 */
export async function checkSecondFactor(
  parts: CheckParts,
  attempt: SecondFactorAttempt,
): Promise<string[]> {
  try {
    return await judgeSecondFactor(parts, attempt);
  } catch (error) {
    const { accountId, from } = attempt;
    if (error instanceof FactorError)
      await tellOfWrongFactor(parts.storage, accountId, from.browser);
    throw error;
  }
}

async function judgeSecondFactor(
  parts: CheckParts,
  attempt: SecondFactorAttempt,
): Promise<string[]> {
  const { accountId, methods, passkey, code, from } = attempt;
  if (passkey !== undefined && methods.includes('passkey'))
    return (await passkeyOf(parts, { ...attempt, response: passkey }, accountId)).amr;

  const method = looksLikeRecoveryCode(code) ? 'recovery_code' : 'totp';
  const what = method === 'totp' ? 'code' : 'recovery_code';
  const guess = { what, account: accountId, from } as const;
  const { found } = await judged(
    parts.limits,
    guess,
    attempt,
    () => accountId,
    async () =>
      (methods.includes(method) && (await isCode(parts, method, accountId, code))) || undefined,
  );
  if (found === undefined) {
    writeRefusal(attempt, { type: 'second_factor.failed', accountId, detail: { method } });
    throw new FactorError(method === 'totp' ? 'factor.code-wrong' : 'factor.recovery-code-wrong');
  }
  return ['otp'];
}

/**
 * Records that a person has signed in, and sends a notice if the browser is new to the account. Both within the unit of
 * work of the sign-in.
 */
export function recordSignIn(signIn: {
  readonly accountId: string;
  readonly clientId?: string | undefined;
  readonly amr: string[];
  readonly isNewBrowser: boolean;
}): void {
  const { accountId, clientId, amr, isNewBrowser } = signIn;
  const unit = currentUnit();
  unit.actsAs({ kind: 'person', id: accountId });
  const occasion = { now: unit.storage.now(), origin: unit.origin };
  if (isNewBrowser) unit.notice({ kind: 'new_device', accountId, ...occasion });
  unit.audit({ type: 'sign_in', accountId, clientId, detail: { amr } });
}

/** @param accountId whose second factor it is; not set: it is the whole sign-in */
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
    // Nobody is kept out by it, but whoever sends nonsense leaves only so many events.
    if (error instanceof FactorError && (await mayBeRecorded(storage))) {
      const type = accountId === undefined ? 'sign_in.failed' : 'second_factor.failed';
      const detail = { method: 'passkey', reason: error.code };
      writeRefusal(attempt, { type, accountId, detail });
    }
    throw error;
  }
}

async function mayBeRecorded(storage: Storage): Promise<boolean> {
  const { ip } = currentUnit().origin;
  return ip === undefined || (await createRowLimits(storage).take('event', ip)) === 0;
}

/** Spends a code. @returns whether it was right */
function isCode(
  { storage }: CheckParts,
  method: 'totp' | 'recovery_code',
  accountId: string,
  code: string,
): Promise<boolean> {
  if (method === 'totp') return verifyTotp({ storage }, accountId, code);
  const origin = { ...currentUnit().origin, actor: { kind: 'person', id: accountId } } as const;
  return useRecoveryCode({ storage, origin }, accountId, code);
}

// Only the first refusal is recorded; the thousand after it would say nothing more.
async function judged<T>(
  limits: Limits,
  guess: Try,
  attempt: Attempt,
  whose: () => string | Promise<string | undefined>,
  judge: () => Promise<T | undefined>,
): Promise<Judgement<T>> {
  try {
    return await limits.judge(guess, judge);
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
