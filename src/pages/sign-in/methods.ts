// With which methods a sign-in gets on. The two questions differ where the account's factors do not lead to the level
// that is wanted.
import { type Factors, type Method, missingMethods } from '../../accounts/factors.ts';
import type { SignInContext } from './context.ts';

/**
 * With which methods a sign-in is completed. One that cannot reach the level that is wanted is asked for all that the
 * account has; whoever wants the level tells that it was not reached.
 *
 * @returns none when it is complete
 */
export function methodsToComplete(
  { wanted }: Pick<SignInContext, 'wanted'>,
  amr: readonly string[],
  factors: Factors,
): readonly Method[] {
  return missingMethods(amr, factors, wanted) ?? missingMethods(amr, factors) ?? [];
}

/**
 * Which methods the page of the second factor offers, and accepts.
 *
 * @returns none when somebody is signed in already and nothing of the account leads to what is wanted: another factor
 * has to be set up
 */
export function methodsToOffer(
  context: Pick<SignInContext, 'wanted' | 'person'>,
  amr: readonly string[],
  factors: Factors,
): readonly Method[] {
  if (context.person) return missingMethods(amr, factors, context.wanted) ?? [];
  return methodsToComplete(context, amr, factors);
}
