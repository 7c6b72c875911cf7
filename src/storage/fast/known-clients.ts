// A cache of clients as they were last read: a client is parsed, and its secret unsealed, once until its row changes.
import type { Row } from './statements.ts';

/** The same object until the row changes; clients.ts relies on that. */
export interface ClientRead {
  readonly id: string;
  readonly metadata: object;
  readonly secret: Uint8Array | null;
}

const MOST_CLIENTS = 1000;

export class KnownClients {
  readonly #known = new Map<string, { readonly text: string; readonly client: ClientRead }>();

  /** @param as the prefix of the client's columns in the row */
  pick(row: Row, id: string, as: 'client' | 'presenter'): ClientRead | undefined {
    const text = row[`${as}.metadata`] as string | null;
    if (text === null) return undefined;
    const secret = row[`${as}.secret`] as Uint8Array | null;
    const before = this.#known.get(id);
    if (before?.text === text && isSame(before.client.secret, secret)) return before.client;
    const found = { id, metadata: JSON.parse(text) as object, secret };
    this.#known.delete(id); // so that it becomes the youngest
    this.#known.set(id, { text, client: found });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_CLIENTS) break;
      this.#known.delete(oldest);
    }
    return found;
  }
}

/** Whether two byte strings are equal, or both null. */
export function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}
