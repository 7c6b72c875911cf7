// What the relying party knows of its refresh-token family: every token it was given, oldest first. Keeping
// used-up tokens is what a thief does, not a relying party; here they are kept to be replayed.
import type { Answer } from './provider-client.ts';

export interface Generation {
  /** 0 is the token of the sign-in; every rotation adds one. */
  readonly number: number;
  readonly token: string;
  readonly at: Date;
  /** How many answers have carried this token. */
  answers: number;
}

export interface Family {
  /** Never empty. The last is the current one. */
  readonly generations: Generation[];
  /** The provider has refused a token of this family; with `replayed`, because that one was used up. */
  ended?: { readonly refusal: Answer; readonly replayed: Generation | undefined };
}

/** `<family id>.<secret>`; a provider whose tokens look otherwise has no family id to show. */
export interface TokenHalves {
  readonly familyId: string | undefined;
  readonly secret: string;
}

export function newFamily(token: string, now: Date): Family {
  return { generations: [{ number: 0, token, at: now, answers: 1 }] };
}

export function current(family: Family): Generation {
  return family.generations.at(-1) as Generation;
}

/** The token just replaced, which the provider honours within the retry window. */
export function previous(family: Family): Generation | undefined {
  return family.generations.at(-2);
}

/** The youngest token that is two or more rotations old: no retry window covers it. */
export function usedUp(family: Family): Generation | undefined {
  return family.generations.at(-3);
}

/** Takes in the token of an answer; one that is known already adds nothing. */
export function receive(family: Family, token: string, now: Date): Generation {
  const known = family.generations.find((generation) => generation.token === token);
  if (known) {
    known.answers += 1;
    return known;
  }
  const generation = { number: current(family).number + 1, token, at: now, answers: 1 };
  family.generations.push(generation);
  if (family.generations.length > 200) family.generations.shift();
  return generation;
}

export function halves(token: string): TokenHalves {
  const dot = token.indexOf('.');
  if (dot < 0) return { familyId: undefined, secret: token };
  return { familyId: token.slice(0, dot), secret: token.slice(dot + 1) };
}
