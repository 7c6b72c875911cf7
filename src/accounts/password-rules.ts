// What a password may be (NIST SP 800-63B §3.1.1.2): 8 to 256 characters of any kind, none of the commonest, not the
// person's own name or address. It is normalised first, in form C: the same password is typed as other code points on
// other devices, and form KC would fold characters that people chose to be different (RFC 8265 §4.2).
export const SHORTEST = 8;
export const LONGEST = 256;

/** Who the password is for, as far as it is known. */
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

/** How long a password is: in characters, of which each code point is one. */
export function passwordLength(password: string): number {
  return charactersIn(normalizedPassword(password));
}

/** Why a password cannot be a person's. @returns nothing when it can */
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

/** Whether half of a password or more is made of the person's name and address. */
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

// Loaded when a password is first set, and once; a failure is not kept.
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
