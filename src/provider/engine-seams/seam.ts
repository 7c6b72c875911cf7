// A member of the engine's classes that Symbolon relies on although the engine does not promise it. It is checked when
// a provider is built, so that a changed engine is noticed at the start.
import type { Provider } from 'oidc-provider';

export interface Seam {
  /** As in code: `Session.prototype.persist`. */
  readonly name: string;
  /** Its kind in the known engine; `free`: the engine has no such member. */
  readonly kind: 'method' | 'getter' | 'free';
  /** The reason in words; a row of docs/architecture.md. */
  readonly why: string;
}

/** @param adapt what relies on the member @throws {Error} when the member is not of the known kind */
export function assertKnown(provider: Provider, { name, kind }: Seam, adapt: string): void {
  const member = memberOf(provider, name);
  if (kind === 'free' && member)
    throw new Error(`the engine has a ${name} of its own by now: adapt ${adapt}`);
  if (kind === 'method' && typeof member?.value !== 'function')
    throw new Error(`the engine has no method ${name} any more: adapt ${adapt}`);
  if (kind === 'getter' && !member?.get)
    throw new Error(`the engine has no getter ${name} any more: adapt ${adapt}`);
}

/** The property descriptor of a member, from its class or a superclass: getters cannot be called without a request. */
export function memberOf(provider: Provider, name: string): PropertyDescriptor | undefined {
  const [root = '', ...path] = name.split('.');
  const member = path.pop() ?? '';
  let owner = (root === 'Provider' ? provider.constructor : Reflect.get(provider, root)) as unknown;
  for (const key of path) owner = isObject(owner) ? Reflect.get(owner, key) : undefined;
  for (; isObject(owner); owner = Object.getPrototypeOf(owner)) {
    const found = Object.getOwnPropertyDescriptor(owner, member);
    if (found) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
