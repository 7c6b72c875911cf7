// The methods with which a sign-in goes on. The two functions differ when the account's factors cannot reach the wanted
// level.
import { type Factors, type Method, missingMethods } from '../../accounts/factors.ts';
import type { SignInContext } from './context.ts';

/**
 * The methods that complete a sign-in. If it cannot reach the wanted level, all the account's factors are asked for;
 * whatever wants the level then reports that it was not reached.
 *
 * @returns an empty list when it is complete
 */
export function methodsToComplete(
  { wanted }: Pick<SignInContext, 'wanted'>,
  amr: readonly string[],
  factors: Factors,
): readonly Method[] {
  return missingMethods(amr, factors, wanted) ?? missingMethods(amr, factors) ?? [];
}

/**
 * The methods that the page of the second factor offers and accepts.
 *
 * @returns an empty list when a person is signed in already and the account's factors cannot reach the wanted level:
 * another factor has to be set up
 */
export function methodsToOffer(
  context: Pick<SignInContext, 'wanted' | 'person'>,
  amr: readonly string[],
  factors: Factors,
): readonly Method[] {
  if (context.person) return missingMethods(amr, factors, context.wanted) ?? [];
  return methodsToComplete(context, amr, factors);
}
