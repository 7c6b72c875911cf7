// Limits on guessing (counters.ts has the rules). Whoever guesses waits longer with every guess, and after ninety in a
// row no stranger's guess at the account is judged any more; its owner goes past that with a browser that the account
// knows, or by a link in a mail. A try is counted before it is judged, in PostgreSQL, so that simultaneous tries and all
// processes count together; a success takes it back.
import { errors } from 'oidc-provider';
import type { Pool } from 'pg';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { answered } from '../storage/errors.ts';
import {
  type Counter,
  type Try,
  accountCounter,
  browserCounter,
  delayAfter,
  strangersCounters,
} from './counters.ts';

const HOUR = 3600;

export interface Limits {
  /**
   * Counts a try, judges it, and takes it back if it was right or could not be judged.
   *
   * @param judge returns undefined when the try was wrong
   * @returns what was found, or how many in a row strangers have guessed wrong at the account
   * @throws {TooManyAttempts} when the try comes too early; then it is not judged
   */
  judge<T>(attempt: Try, judge: () => Promise<T | undefined>): Promise<Judgement<T>>;
}

export interface Judgement<T> {
  readonly found: T | undefined;
  /** 0 for a known browser, or when nothing is guessed that is an account's. */
  readonly wrongByStrangers: number;
}

/** There were too many guesses: the next one has to wait. */
export class TooManyAttempts extends errors.CustomOIDCProviderError {
  /** In seconds; undefined when waiting does not help: no stranger's guess is judged until the owner has succeeded. */
  readonly retryAfter: number | undefined;
  /** Whether this is the first refusal since a try was judged; of those that last, the first in an hour. */
  readonly isFirst: boolean;

  constructor(retryAfter: number | undefined, isFirst: boolean) {
    super(
      'too_many_attempts',
      retryAfter === undefined
        ? 'too many wrong ones in a row; no more are accepted until the owner of the account has signed in with a browser that is known, or has chosen another password'
        : `too many attempts; try again in ${retryAfter} seconds`,
    );
    this.retryAfter = retryAfter;
    this.isFirst = isFirst;
    this.status = this.statusCode = 429;
    this.expose = true;
  }
}

interface Counted {
  readonly guesses: number;
  /** @param isSuccess whether the try was right, not just not judged */
  takeBack(isSuccess: boolean): Promise<void>;
}

export function createLimits({ pool, keyring }: { pool: Pool; keyring: Keyring }): Limits {
  // The gate that the next guess waits at.
  const gate = new RateLimiterPostgres({
    storeClient: pool,
    storeType: 'pool',
    tableName: 'attempt',
    tableCreated: true,
    clearExpiredByTimeout: false, // the sweep does that
    keyPrefix: 'w',
    points: 1,
    duration: 1,
  });

  return {
    async judge(attempt, judge) {
      const { counted, wrongByStrangers } = await count(attempt);
      let found;
      try {
        found = await judge();
      } catch (error) {
        await takeBack(counted, false); // it was not judged
        throw error;
      }
      if (found === undefined) return { found, wrongByStrangers };
      await takeBack(counted, true);
      for (const one of endedBy(attempt)) await forget(one);
      return { found, wrongByStrangers: 0 };
    },
  };

  async function count(attempt: Try): Promise<{ counted: Counted[]; wrongByStrangers: number }> {
    const known = browserCounter(attempt);
    const own = known && (await countOne(known));
    if (own) return { counted: [own], wrongByStrangers: 0 };
    // A browser that has guessed too often is a stranger, too.
    const counted: Counted[] = [];
    let wrongByStrangers = 0;
    try {
      for (const counter of strangersCounters(attempt)) {
        const one = (await countOne(counter)) ?? (await refuse(counter));
        counted.push(one);
        if (counter.isOfAccount) wrongByStrangers = one.guesses;
      }
    } catch (error) {
      await takeBack(counted, false); // a try that is not judged is not counted anywhere
      throw error;
    }
    return { counted, wrongByStrangers };
  }

  /** @returns undefined when no more are judged @throws {TooManyAttempts} when it comes too early */
  async function countOne(counter: Counter): Promise<Counted | undefined> {
    const { rule, isOwn } = counter;
    const key = keyOf(keyring, counter);
    const guesses = await add(counter);
    if (guesses === undefined) return undefined;
    const delay = delayAfter(guesses, rule);
    if (delay > 0) await pass(key, delay);
    return {
      guesses,
      async takeBack(isSuccess) {
        await answered(async () => {
          if (delay > 0) await gate.delete(key);
          // A success clears the person's own guesses, but not those of others at the same address.
          if (isSuccess && isOwn) await forget(counter);
          else await subtract(key);
        });
      },
    };
  }

  /** Counts one guess more, in one statement. @returns how many there are; undefined when there are too many already */
  async function add(counter: Counter): Promise<number | undefined> {
    const { window, most } = counter.rule;
    const now = Date.now();
    const life = Math.ceil((window * 1000) / (most ?? 1)); // of each guess
    const { rows } = await answered(() =>
      pool.query<{ points: number }>({
        name: 'count guess',
        text: `INSERT INTO attempt (key, points, expire) VALUES ($1, 1, $2)
          ON CONFLICT (key) DO UPDATE SET
            points = CASE WHEN attempt.expire <= $3 THEN 1 ELSE attempt.points + 1 END,
            expire = CASE WHEN attempt.expire <= $3 THEN $2
              WHEN $4::int IS NULL THEN attempt.expire
              ELSE $3 + $5::bigint * (attempt.points + 1) END
          WHERE attempt.expire <= $3 OR $4::int IS NULL OR attempt.points < $4::int
          RETURNING points`,
        values: [`n:${keyOf(keyring, counter)}`, now + life, now, most ?? null, life],
      }),
    );
    return rows[0]?.points;
  }

  async function subtract(key: string): Promise<void> {
    await pool.query({
      name: 'take guess back',
      // A try that was not judged leaves no row. Of tries that end at once each looks at what the other has left: the lock
      // waits, and reads the row anew. (MERGE does the same in one step, and PostgreSQL 14 has none.)
      text: `WITH held AS MATERIALIZED (SELECT key, points FROM attempt WHERE key = $1 FOR UPDATE),
          gone AS (DELETE FROM attempt USING held WHERE attempt.key = held.key AND held.points <= 1)
        UPDATE attempt SET points = attempt.points - 1
        FROM held WHERE attempt.key = held.key AND held.points > 1`,
      values: [`n:${key}`],
    });
  }

  async function forget(counter: Counter): Promise<void> {
    await answered(() =>
      pool.query({
        name: 'forget guesses',
        text: 'DELETE FROM attempt WHERE key = ANY ($1)',
        values: [rowsOf(keyring, counter)],
      }),
    );
  }

  // One try passes, and closes the gate behind it.
  async function pass(key: string, delay: number): Promise<void> {
    try {
      await gate.consume(key, 1, { customDuration: delay });
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes))
        return answered(() => Promise.reject(refusal as Error));
      await answered(() => subtract(key));
      throw new TooManyAttempts(
        Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)),
        refusal.consumedPoints === 2,
      );
    }
  }

  async function refuse(counter: Counter): Promise<never> {
    const key = keyOf(keyring, counter);
    const { consumedPoints } = await answered(() => gate.penalty(key, 1, { customDuration: HOUR }));
    throw new TooManyAttempts(undefined, consumedPoints === 1);
  }
}

/** The counters that a known browser's success forgets besides its own: the row of strangers' wrong guesses ends with it. */
function endedBy(attempt: Try): Counter[] {
  const known = browserCounter(attempt);
  if (!known || !('account' in attempt)) return [];
  return [known, ...accountCounter(attempt.what, attempt.account)];
}

export interface Guessed {
  /** The account's address: its password is another one, or an administrator says so. */
  readonly password?: string;
  /** A browser that the account knows, whose guesses at the password are forgotten as well. */
  readonly browser?: string;
  /** The account's id: it has another app for codes, or an administrator says so. */
  readonly code?: string;
}

/** Forgets how often strangers have guessed at an account, in the caller's transaction. */
export async function forgetGuesses(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { password, browser, code }: Guessed,
): Promise<void> {
  const counters = [
    ...(password === undefined ? [] : accountCounter('password', password)),
    ...(code === undefined ? [] : accountCounter('code', code)),
  ];
  const own =
    password === undefined
      ? undefined
      : browserCounter({ what: 'password', account: password, from: { ip: '', browser } });
  const keys = (own ? [...counters, own] : counters).flatMap((one) => rowsOf(keyring, one));
  await database.attempt.deleteMany({ where: { key: { in: keys } } });
}

async function takeBack(counted: readonly Counted[], isSuccess: boolean): Promise<void> {
  for (const one of counted) await one.takeBack(isSuccess);
}

/** The rows of a counter: how many guesses, and the gate. */
function rowsOf(keyring: Keyring, counter: Counter): string[] {
  const key = keyOf(keyring, counter);
  return [`n:${key}`, `w:${key}`];
}

// Neither e-mail nor network addresses are stored.
function keyOf(keyring: Keyring, { name, key }: Counter): string {
  return `${name}:${keyring.macs('attempt', JSON.stringify(key))[0].toString('base64url')}`;
}
