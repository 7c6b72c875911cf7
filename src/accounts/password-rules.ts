// Rules for passwords (NIST SP 800-63B §3.1.1.2): 8 to 256 characters of any kind, none of the commonest, not the
// person's own name or address. A password is normalised first, in form C: devices type the same password as different
// code points, and form KC would fold characters that people chose to be different (RFC 8265 §4.2).
export const SHORTEST = 8;
export const LONGEST = 256;

/** The person whom the password is for, as far as known. */
export interface Owner {
  readonly email: string;
  readonly name?: string | null | undefined;
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
): Promise<PasswordProblem | undefined> {
  const length = passwordLength(password);
  if (length < SHORTEST) return 'account.password-too-short';
  if (length > LONGEST) return 'account.password-too-long';
  if ((await commonest()).has(folded(password))) return 'account.password-common';
  return isPersonal(password, owner) ? 'account.password-personal' : undefined;
}

/** Whether at least half of a password is made of the person's name and address. */
function isPersonal(password: string, { email, name }: Owner): boolean {
  const words = new Set(
    [
      ...`${name ?? ''} ${email} ${email.replace(/@.*/, '')}`.split(/\s+/),
      ...wordsOf(`${name ?? ''} ${email}`),
    ]
      .map(folded)
      .filter((word) => charactersIn(word) >= 3),
  );
  let rest = folded(password);
  for (const word of [...words].sort((a, b) => b.length - a.length))
    rest = rest.replaceAll(word, '');
  return charactersIn(rest) * 2 <= charactersIn(folded(password));
}

// Each code point counts as one.
function charactersIn(text: string): number {
  return Array.from(text).length;
}

function wordsOf(text: string): string[] {
  return text.split(/[^\p{L}\p{N}]+/u);
}

function folded(text: string): string {
  return normalizedPassword(text).toLowerCase();
}

let common: Promise<ReadonlySet<string>> | undefined;

// Loaded once, when a password is first set; a failure is not cached.
function commonest(): Promise<ReadonlySet<string>> {
  common ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) =>
      new Set(dictionary['passwords-common'].filter((word) => word.length >= SHORTEST)),
    (error: unknown) => {
      common = undefined;
      throw error;
    },
  );
  return common;
}
