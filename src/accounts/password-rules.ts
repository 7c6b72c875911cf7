// Rules for passwords (NIST SP 800-63B-4 §3.1.1.2): 8 to 256 characters of any kind; none that is guessed early, which is
// more than a list of the commonest: those with the usual decorations, repetitions, sequences, rows of a keyboard; none
// that is made of the person's or the provider's own names. A password is normalised first, in form C: devices type the
// same password as different code points, and form KC would fold characters that people chose to be different (RFC 8265
// §4.2).
import type { ZxcvbnFactory } from '@zxcvbn-ts/core';

export const SHORTEST = 8;
export const LONGEST = 256;

const PRODUCT = 'Symbolon';
const GUESSES_OF_EIGHT = 1e8; // of eight characters without any pattern, as the library estimates them
const GUESSES_OF_COMMON = 50_000; // about the length of the list of common passwords
const DECORATIONS = 6; // digits and signs around a common password, like "!2026!"
const LOOKED_AT = 32; // characters whose guesses are estimated: the time grows with more than their number

/** The person whom the password is for, as far as known. */
export interface Owner {
  readonly email: string;
  readonly name?: string | null | undefined;
}

/** The provider that the password is for. */
export interface Service {
  readonly issuer: string;
  readonly theme: { readonly name: string };
}

/** What is wrong with a password, by the key of its message. */
export type PasswordProblem =
  | 'account.password-too-short'
  | 'account.password-too-long'
  | 'account.password-common'
  | 'account.password-personal';

/** A password as it is hashed and compared. */
export function normalizedPassword(password: string): string {
  return password.normalize('NFC');
}

/** The length of a password in code points. */
export function passwordLength(password: string): number {
  return charactersIn(normalizedPassword(password));
}

/** The rule that a password breaks. @returns undefined when it breaks none */
export async function passwordProblem(
  password: string,
  owner: Owner,
  service: Service,
): Promise<PasswordProblem | undefined> {
  const length = passwordLength(password);
  if (length < SHORTEST) return 'account.password-too-short';
  if (length > LONGEST) return 'account.password-too-long';
  const names = namesOf(owner, service);
  const plain = undecorated(password);
  if (isMadeOf(password, names) || isMadeOf(plain, names)) return 'account.password-personal';
  const guesser = await loadedGuesser();
  const isCommon = isGuessable(password, names, guesser) || isCommonest(plain, names, guesser);
  return isCommon ? 'account.password-common' : undefined;
}

/**
 * A password as it is judged besides: "p a s s w o r d" is guessed with "password". Characters that look alike are folded
 * here (form KC), white space is left out, and signs unless they are most of it.
 */
function undecorated(password: string): string {
  const closed = password.normalize('NFKC').replace(/\s/gu, '');
  const letters = closed.replace(/[\p{P}\p{S}]/gu, '');
  return charactersIn(letters) * 2 >= charactersIn(closed) ? letters : closed;
}

/** The names of a person and of the provider, whole and by their words, in lower case; the longest first. */
function namesOf({ email, name }: Owner, { issuer, theme }: Service): string[] {
  const { hostname } = new URL(issuer);
  const whole = [PRODUCT, theme.name, hostname, name ?? '', email, email.replace(/@.*/, '')];
  const words = whole.flatMap((one) => [...one.split(/\s+/), ...one.split(/[^\p{L}\p{N}]+/u)]);
  const names = new Set([...whole, ...words].map(folded));
  return [...names]
    .filter((one) => charactersIn(one) >= 3)
    .sort((one, other) => other.length - one.length);
}

/** Whether at least half of a password is made of these names. */
function isMadeOf(password: string, names: readonly string[]): boolean {
  let rest = folded(password);
  for (const name of names) rest = rest.replaceAll(name, '');
  const length = charactersIn(folded(password));
  return length > 0 && charactersIn(rest) * 2 <= length;
}

/** Whether a password is guessed before one of eight random characters, or is a common one with decorations. */
function isGuessable(password: string, names: string[], guesser: ZxcvbnFactory): boolean {
  const looked = lookedAt(password);
  if (guesser.check(looked, names).guesses < GUESSES_OF_EIGHT) return true;
  const [core = ''] = /\p{L}(?:.*\p{L})?/u.exec(looked) ?? [];
  const decorations = charactersIn(looked) - charactersIn(core);
  return decorations <= DECORATIONS && guesser.check(core, names).guesses < GUESSES_OF_COMMON;
}

/** Whether it is one of the common passwords, or made like them. */
function isCommonest(password: string, names: string[], guesser: ZxcvbnFactory): boolean {
  return guesser.check(lookedAt(password), names).guesses < GUESSES_OF_COMMON;
}

function lookedAt(password: string): string {
  return Array.from(folded(password)).slice(0, LOOKED_AT).join('');
}

// Each code point counts as one.
function charactersIn(text: string): number {
  return Array.from(text).length;
}

function folded(text: string): string {
  return normalizedPassword(text).toLowerCase();
}

let guesser: Promise<ZxcvbnFactory> | undefined;

// Loaded once, when a password is first set; a failure is not cached.
function loadedGuesser(): Promise<ZxcvbnFactory> {
  guesser ??= loadGuesser().catch((error: unknown) => {
    guesser = undefined;
    throw error;
  });
  return guesser;
}

async function loadGuesser(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory }, { dictionary, adjacencyGraphs }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ]);
  const ours = [...wordsForPassword, ...keyboardRows.flatMap(partsOf)];
  return new ZxcvbnFactory({ dictionary: { ...dictionary, ours }, graphs: adjacencyGraphs });
}

// What the library does not know: "password" in languages of the pages, the pass phrase that everybody has read, and
// keyboards of other scripts.
const wordsForPassword =
  'kennwort contraseña пароль パスワード كلمةالسر كلمةالمرور correcthorsebatterystaple'.split(' ');
const keyboardRows =
  'йцукенгшщзхъ фывапролджэ ячсмитьбю ضصثقفغعهخحجد شسيبلاتنمكط ئءؤرلاىةوزظ ςερτυθιοπ ασδφγηξκλ ζχψωβνμ'.split(
    ' ',
  );

/** The parts of a row that have four characters or more. */
function partsOf(row: string): string[] {
  const parts: string[] = [];
  for (let start = 0; start + 4 <= row.length; start++)
    for (let end = start + 4; end <= row.length; end++) parts.push(row.slice(start, end));
  return parts;
}
