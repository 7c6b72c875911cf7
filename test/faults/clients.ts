// Honest clients of a provider of several processes whose database fails: each holds one refresh token, refreshes
// without pause at whichever process, now and then at two at once, and asks again with the same token when it is told
// that the database cannot answer.
import { familyIdOf, refreshAt } from '../support/token-endpoint.ts';

/** A number from 0 to below 1; the same ones for the same seed (mulberry32). */
export function randomBy(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The number of a token's generation. */
export const generationOf = (token: string): number => Number(token.split('.')[1]);

export class HonestClient {
  readonly id: string;
  /** Every token that it was given; the last is what it holds. */
  readonly tokens: string[];
  /** What no client should be told. */
  readonly faults: string[] = [];

  constructor(token: string) {
    this.id = familyIdOf(token);
    this.tokens = [token];
  }

  get held(): string {
    return this.tokens.at(-1) ?? '';
  }

  /** Presents what it holds at all of these processes at once. @returns whether it was answered */
  async refresh(urls: readonly string[]): Promise<boolean> {
    const answers = await Promise.all(urls.map((url) => refreshAt(url, this.held)));
    for (const { status, body } of answers)
      if (status !== 200 && status !== 503)
        this.faults.push(
          `${this.id}.${generationOf(this.held)}: ${body.error_description ?? status}`,
        );
    const given = answers.filter(({ status }) => status === 200);
    const [next, ...others] = new Set(given.map(({ body }) => body.refresh_token ?? ''));
    if (others.length > 0) this.faults.push(`${this.id}.${generationOf(this.held)}: it forked`);
    if (next !== undefined) this.tokens.push(next);
    return next !== undefined;
  }
}
