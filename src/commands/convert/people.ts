// What the readers share about people: only who can be imported is written.
import { foreignHash } from '../../accounts/foreign-hashes.ts';
import { groupNameProblem } from '../../accounts/groups.ts';
import { readPerson } from '../../accounts/import.ts';
import { writtenUsername } from '../../accounts/username.ts';
import type { ClaimsConfig } from '../../config/claims.ts';

type Say = (remark: string) => void;

/** The username, if it will do here and is not the address. @param say why not */
export function usernameIn(
  given: string | undefined,
  email: string | undefined,
  say: Say,
): { username?: string } {
  if (given === undefined || given.toLowerCase() === email?.toLowerCase()) return {};
  try {
    const username = writtenUsername(given);
    return username === null ? {} : { username };
  } catch {
    say('the username is not taken: here it has letters from a to z, digits and . _ -');
    return {};
  }
}

/** The hash of a password, if it is one that can be compared here. @param say why not */
export function hashIn(hash: string | undefined, say: Say): { password_hash?: string } {
  try {
    return hash === undefined ? {} : { password_hash: foreignHash(hash) };
  } catch (error) {
    say(`the password is not taken: ${(error as Error).message}`);
    return {};
  }
}

/** The groups that can be called so here. @param say why others cannot */
export function groupsIn(names: readonly string[], say: Say): string[] {
  return names.filter((name) => {
    const problem = groupNameProblem(name);
    if (problem !== undefined) say(`the group is not taken. ${problem}`);
    return problem === undefined;
  });
}

/** A person as a line for the import. @param say why not @returns undefined when the import would not take it */
export function importable<P extends { readonly email: string | undefined }>(
  person: P,
  claims: ClaimsConfig,
  say: Say,
): P | undefined {
  const read =
    person.email === undefined ? 'there is no e-mail address' : readPerson(person, claims);
  if (typeof read !== 'string') return person;
  say(`not taken, since ${read}`);
  return undefined;
}
