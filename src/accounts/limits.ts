// Limits on guessing. Who guesses waits longer with every guess, and is never locked out: a password is counted by the
// address that it comes from, alone and together with the account, so that a stranger's guesses slow nobody else; a
// browser that has signed the account in before is counted by itself. A second factor's six digits are counted by the
// account: whoever gets so far has its password. A try is counted before it is judged, in PostgreSQL, so that many at
// once and many processes count as one; a success takes it back.
import ipaddr from 'ipaddr.js';
import { errors } from 'oidc-provider';
import type { Pool } from 'pg';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Keyring } from '../keys/keyring.ts';
import { answered } from '../storage/errors.ts';

interface Rule {
  /** Guesses that nobody waits for, within the window. */
  readonly free: number;
  /** Seconds after which the first guess is forgotten, and all with it. */
  readonly window: number;
  /** The longest time that somebody waits, in seconds. */
  readonly longest: number;
}

const HOUR = 3600;
const DAY = 86_400;

const rules = {
  password: { free: 5, window: DAY, longest: 900 },
  // An office, or a whole town behind one address.
  address: { free: 50, window: HOUR, longest: 60 },
  code: { free: 5, window: DAY, longest: HOUR },
  recovery_code: { free: 5, window: DAY, longest: 900 },
  user_code: { free: 10, window: HOUR, longest: 60 },
  setup: { free: 10, window: HOUR, longest: 60 },
} satisfies Record<string, Rule>;

/** What is being guessed at, and by whom. */
export type Try = Guess | { readonly what: 'user_code' | 'setup'; readonly from: Guesser };

interface Guess {
  readonly what: 'password' | 'code' | 'recovery_code';
  /** The account. For a password the address as it was typed: whether there is such an account makes no difference. */
  readonly account: string;
  readonly from: Guesser;
}

/** Who guesses. */
export interface Guesser {
  readonly ip: string;
  /** A browser that has signed this account in before (pages/sign-in/known-browser.ts). */
  readonly browser?: string | undefined;
  /** A client that passes on what people typed, from wherever it runs, and has authenticated. */
  readonly clientId?: string;
}

export interface Limits {
  /**
   * Counts a try, before it is judged.
   *
   * @returns what is called when it was right
   * @throws {TooManyAttempts} when it comes too early: then it is not judged
   */
  count(attempt: Try): Promise<() => Promise<void>>;
}

/** Somebody has guessed too often and has to wait. */
export class TooManyAttempts extends errors.CustomOIDCProviderError {
  /** In seconds. */
  readonly retryAfter: number;
  /** Whether this is the first that was refused since the last one that was judged. */
  readonly isFirst: boolean;

  constructor(retryAfter: number, isFirst: boolean) {
    super('too_many_attempts', `too many attempts; try again in ${retryAfter} seconds`);
    this.retryAfter = retryAfter;
    this.isFirst = isFirst;
    this.status = this.statusCode = 429;
    this.expose = true;
  }
}

/** How long the next guess waits after so many. In seconds; doubled with each. */
export function delayAfter(guesses: number, { free, longest }: Rule): number {
  return guesses <= free ? 0 : Math.min(longest, 2 ** Math.min(30, guesses - free));
}

export function createLimits({ pool, keyring }: { pool: Pool; keyring: Keyring }): Limits {
  const common = { storeClient: pool, storeType: 'pool', tableName: 'attempt', tableCreated: true };
  const options = { ...common, clearExpiredByTimeout: false };
  // How many guesses there were, and whether the next one may come already.
  const guesses = new RateLimiterPostgres({ ...options, keyPrefix: 'n', points: 1, duration: DAY });
  const gate = new RateLimiterPostgres({ ...options, keyPrefix: 'w', points: 1, duration: 1 });

  return {
    async count(attempt) {
      const taken: (() => Promise<void>)[] = [];
      for (const { rule, key, isOwn } of countersOf(attempt)) {
        try {
          taken.push(await countOne(rules[rule], `${rule}:${hashed(key)}`, isOwn));
        } catch (error) {
          // What is not judged is not counted by any of them.
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
        // Who was right has no guesses behind them; others at the same address may have.
        if (isOwn) await guesses.delete(key);
        else await guesses.reward(key, 1, { customDuration: rule.window });
      });
    };
  }

  // One passes, and closes the gate behind.
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

  // No address of a person, of mail or of the network, is kept.
  function hashed(key: readonly string[]): string {
    return keyring.macs('attempt', JSON.stringify(key))[0].toString('base64url');
  }
}

interface Counter {
  readonly rule: keyof typeof rules;
  readonly key: readonly string[];
  /** Whether it counts one person's tries, and nobody else's. */
  readonly isOwn: boolean;
}

function countersOf(attempt: Try): Counter[] {
  const { from } = attempt;
  const place = networkOf(from.ip);
  if (!('account' in attempt)) return [{ rule: attempt.what, key: [place], isOwn: false }];
  const { what } = attempt;
  const account = attempt.account.trim().toLowerCase();
  if (from.browser !== undefined)
    return [{ rule: what, key: [account, 'browser', from.browser], isOwn: true }];
  if (what === 'code') return [{ rule: what, key: [account], isOwn: true }];
  const own: Counter = { rule: what, key: [account, place, from.clientId ?? ''], isOwn: true };
  // A client passes on what many people typed: its address says nothing of them.
  if (from.clientId !== undefined) return [own];
  return [{ rule: 'address', key: [place], isOwn: false }, own];
}

/** The network that an address belongs to: itself, or for IPv6 its /64, which is one household's. */
export function networkOf(ip: string): string {
  if (!ipaddr.isValid(ip)) return ip;
  const address = ipaddr.process(ip); // IPv4 that is written as IPv6 is IPv4
  if (address.kind() === 'ipv4') return address.toString();
  return `${address
    .toByteArray()
    .slice(0, 8)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}/64`;
}
