// What a change has changed, as events tell it.
import { isDeepStrictEqual } from 'node:util';

/**
 * The members that differ, each with its value before and after; not set is null.
 *
 * @param names of the members that are compared; by default all, but secrets
 * @returns what `detail` says
 */
export function whatChanged(
  before: object,
  after: object,
  names = [...Object.keys(before), ...Object.keys(after)].filter((name) => !secret.has(name)),
): { changed: Record<string, { from: Value; to: Value }> } {
  const valueOf = (all: object, name: string) =>
    ((all as Record<string, unknown>)[name] ?? null) as Value;
  const differing = [...new Set(names)]
    .map((name) => [name, { from: valueOf(before, name), to: valueOf(after, name) }] as const)
    .filter(([, { from, to }]) => !isDeepStrictEqual(from, to));
  return { changed: Object.fromEntries(differing) };
}

type Value = string | number | boolean | null;

const secret = new Set(['client_secret', 'registration_access_token', 'passwordHash']);
