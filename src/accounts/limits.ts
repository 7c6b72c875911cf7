// Limits on guessing. Whoever guesses waits longer with every guess, and is never locked out. Guesses at a password are
// counted by network address, alone and together with the account, so that a stranger's guesses slow nobody else; a
// browser that has signed in to the account before is counted by itself. Guesses at a second factor's six digits are
// counted by the account: whoever gets that far has its password. A try is counted before it is judged, in PostgreSQL,
// so that simultaneous tries and all processes count together; a success takes it back.
import { errors } from 'oidc-provider';
import type { Pool } from 'pg';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Keyring } from '../keys/keyring.ts';
import { answered } from '../storage/errors.ts';
import { asciiAddress } from './email-address.ts';
import { networkOf } from './networks.ts';

interface Rule {
  /** Guesses within the window that cause no wait. */
  readonly free: number;
  /** Seconds after the first guess when all are forgotten. */
  readonly window: number;
  /** The longest wait, in seconds. */
  readonly longest: number;
}

const HOUR = 3600;
const DAY = 86_400;

const rules = {
  password: { free: 5, window: DAY, longest: 900 },
  // An office or a whole town may share one address.
  address: { free: 50, window: HOUR, longest: 60 },
  code: { free: 5, window: DAY, longest: HOUR },
  recovery_code: { free: 5, window: DAY, longest: 900 },
  user_code: { free: 10, window: HOUR, longest: 60 },
  setup: { free: 10, window: HOUR, longest: 60 },
} satisfies Record<string, Rule>;

/** A try: what is being guessed at, and by whom. */
export type Try = Guess | { readonly what: 'user_code' | 'setup'; readonly from: Guesser };

interface Guess {
  readonly what: 'password' | 'code' | 'recovery_code';
  /** The account; for a password the e-mail address as it was typed, whether or not there is such an account. */
  readonly account: string;
  readonly from: Guesser;
}

/** Who guesses. */
export interface Guesser {
  readonly ip: string;
  /** A browser that has signed in to this account before (pages/sign-in/known-browser.ts). */
  readonly browser?: string | undefined;
  /** An authenticated client that passes on what people typed. */
  readonly clientId?: string;
}

export interface Limits {
  /**
   * Counts a try, before it is judged.
   *
   * @returns a function to be called when the try was right, which takes it back
   * @throws {TooManyAttempts} when it comes too early; then it must not be judged
   */
  count(attempt: Try): Promise<() => Promise<void>>;
}

/** There were too many guesses: the next one has to wait. */
export class TooManyAttempts extends errors.CustomOIDCProviderError {
  /** In seconds. */
  readonly retryAfter: number;
  /** Whether this is the first refusal since a try was judged. */
  readonly isFirst: boolean;

  constructor(retryAfter: number, isFirst: boolean) {
    super('too_many_attempts', `too many attempts; try again in ${retryAfter} seconds`);
    this.retryAfter = retryAfter;
    this.isFirst = isFirst;
    this.status = this.statusCode = 429;
    this.expose = true;
  }
}

/** The wait before the next guess, in seconds; it doubles with each guess. */
export function delayAfter(guesses: number, { free, longest }: Rule): number {
  return guesses <= free ? 0 : Math.min(longest, 2 ** Math.min(30, guesses - free));
}

export function createLimits({ pool, keyring }: { pool: Pool; keyring: Keyring }): Limits {
  const common = { storeClient: pool, storeType: 'pool', tableName: 'attempt', tableCreated: true };
  const options = { ...common, clearExpiredByTimeout: false };
  // One limiter counts the guesses, the other is the gate that the next one waits at.
  const guesses = new RateLimiterPostgres({ ...options, keyPrefix: 'n', points: 1, duration: DAY });
  const gate = new RateLimiterPostgres({ ...options, keyPrefix: 'w', points: 1, duration: 1 });

  return {
    async count(attempt) {
      const taken: (() => Promise<void>)[] = [];
      for (const { rule, key, isOwn } of countersOf(attempt)) {
        try {
          taken.push(await countOne(rules[rule], `${rule}:${hashed(key)}`, isOwn));
        } catch (error) {
          // A try that is not judged is not counted anywhere.
          if (error instanceof TooManyAttempts) for (const takeBack of taken) await takeBack();
          throw error;
        }
      }
      return async () => {
        for (const takeBack of taken) await takeBack();
      };
    },
  };

  async function countOne(rule: Rule, key: string, isOwn: boolean): Promise<() => Promise<void>> {
    const { consumedPoints: count } = await answered(() =>
      guesses.penalty(key, 1, { customDuration: rule.window }),
    );
    const delay = delayAfter(count, rule);
    if (delay > 0) await pass(key, delay);
    return async () => {
      await answered(async () => {
        if (delay > 0) await gate.delete(key);
        // A success clears the person's own guesses, but not those of others at the same address.
        if (isOwn) await guesses.delete(key);
        else await guesses.reward(key, 1, { customDuration: rule.window });
      });
    };
  }

  // One try passes, and closes the gate behind it.
  async function pass(key: string, delay: number): Promise<void> {
    try {
      await gate.consume(key, 1, { customDuration: delay });
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes))
        return answered(() => Promise.reject(refusal as Error));
      await answered(() => guesses.reward(key));
      throw new TooManyAttempts(
        Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)),
        refusal.consumedPoints === 2,
      );
    }
  }

  // Neither e-mail nor network addresses are stored.
  function hashed(key: readonly string[]): string {
    return keyring.macs('attempt', JSON.stringify(key))[0].toString('base64url');
  }
}

interface Counter {
  readonly rule: keyof typeof rules;
  readonly key: readonly string[];
  /** Whether it counts the tries of one person only. */
  readonly isOwn: boolean;
}

function countersOf(attempt: Try): Counter[] {
  const { from } = attempt;
  const place = networkOf(from.ip);
  if (!('account' in attempt)) return [{ rule: attempt.what, key: [place], isOwn: false }];
  const { what } = attempt;
  const account = asciiAddress(attempt.account);
  if (from.browser !== undefined)
    return [{ rule: what, key: [account, 'browser', from.browser], isOwn: true }];
  if (what === 'code') return [{ rule: what, key: [account], isOwn: true }];
  const own: Counter = { rule: what, key: [account, place, from.clientId ?? ''], isOwn: true };
  // A client passes on what many people typed: its address says nothing about them.
  if (from.clientId !== undefined) return [own];
  return [{ rule: 'address', key: [place], isOwn: false }, own];
}
