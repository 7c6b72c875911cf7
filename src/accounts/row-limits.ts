// Limits on what requests of nobody in particular leave in the database, by the network that they come from: so many
// rows within so many seconds. Counted in PostgreSQL for all processes together; keys hold no address.
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { TooManyAttempts } from './limits.ts';
import { networksOf } from './networks.ts';

const kinds = {
  /** What is short-lived. */
  row: { points: 600, duration: 60 },
  /** The same of a browser that an account knows: whoever is at its address takes nothing from it. */
  known: { points: 60, duration: 60 },
  /** What is fetched for a client that nobody vouches for. */
  fetch: { points: 60, duration: 60 },
  /** A client that registers itself stays for longer. */
  registration: { points: 100, duration: 3600 },
  /** All that is kept about a person, for themselves: by the account. */
  export: { points: 10, duration: 3600 },
  /** An event of the audit about nobody who is known. */
  event: { points: 20, duration: 3600 },
};

export type RowKind = keyof typeof kinds;

/** Too much came from a network; nobody has guessed. */
export class TooManyRequests extends TooManyAttempts {
  /** Nobody is sent to an application with it. */
  override readonly allow_redirect = false;

  /** @param seconds after which more may come */
  constructor(seconds: number) {
    super(seconds, false);
  }
}

export interface RowLimits {
  /**
   * Counts what is about to be written.
   *
   * @param from an IP address; of `known` the browser's key, of `export` the account's id
   * @param points for how many rows it counts
   * @returns in how many seconds it may be written, 0 for now
   */
  take(kind: RowKind, from: string, points?: number): Promise<number>;
}

export function createRowLimits({ pool, keyring }: Pick<Storage, 'pool' | 'keyring'>): RowLimits {
  // A wider network may leave twice as many as the one within.
  const limiters = (kind: RowKind) =>
    [1, 2, 4].map((times) => {
      const points = times * kinds[kind].points;
      return new RateLimiterPostgres({
        storeClient: pool,
        storeType: 'pool',
        tableName: 'attempt',
        tableCreated: true,
        clearExpiredByTimeout: false, // the sweep does that
        keyPrefix: kind,
        // What is refused costs no write, once this process knows of it.
        inMemoryBlockOnConsumed: points + 1,
        points,
        duration: kinds[kind].duration,
      });
    });
  const byKind = {
    row: limiters('row'),
    known: limiters('known'),
    fetch: limiters('fetch'),
    registration: limiters('registration'),
    export: limiters('export'),
    event: limiters('event'),
  };
  return {
    async take(kind, from, points = 1) {
      // The narrowest first: whoever has had too much there takes nothing from others in a wider one.
      for (const [width, network] of networksOf(from).entries()) {
        const key = keyring.macs('attempt', `${kind} ${network}`)[0].toString('base64url');
        try {
          await byKind[kind][width]?.consume(key, points);
        } catch (refusal) {
          if (refusal instanceof RateLimiterRes)
            return Math.max(1, Math.ceil(refusal.msBeforeNext / 1000));
          return answered(() => Promise.reject(refusal as Error)); // the database cannot answer
        }
      }
      return 0;
    },
  };
}
