// A member of the engine's classes on which Symbolon relies although the engine does not promise it; and how it is
// looked for when a provider is built, so that an engine that has changed says so at the start.
import type { Provider } from 'oidc-provider';

export interface Seam {
  /** As one writes it: `Session.prototype.persist`. */
  readonly name: string;
  /** What it is in the engine that is known; `free`: the engine has none. */
  readonly kind: 'method' | 'getter' | 'free';
  /** For people; a row of docs/architecture.md. */
  readonly why: string;
}

/** @param adapt what relies on the member @throws {Error} when the member is not what is known of it */
export function assertKnown(provider: Provider, { name, kind }: Seam, adapt: string): void {
  const member = memberOf(provider, name);
  if (kind === 'free' && member)
    throw new Error(`the engine has a ${name} of its own by now: adapt ${adapt}`);
  if (kind === 'method' && typeof member?.value !== 'function')
    throw new Error(`the engine has no method ${name} any more: adapt ${adapt}`);
  if (kind === 'getter' && !member?.get)
    throw new Error(`the engine has no getter ${name} any more: adapt ${adapt}`);
}

/**
 * A member as it was declared, by its class or by one that it extends: getters cannot be asked for without a request.
 */
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
