// Limits on guessing client secrets, by client and network: a stranger elsewhere keeps no client out. A secret that is
// right costs no read and no write. So a try is judged unless this process knows that it comes too early, and only wrong
// ones are counted in PostgreSQL, for all processes together: each process learns of it with its next wrong one.
import { Provider } from 'oidc-provider';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { delayAfter } from '../accounts/counters.ts';
import { TooManyAttempts } from '../accounts/limits.ts';
import { networksOf } from '../accounts/networks.ts';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';

const rule = { free: 10, window: 3600, longest: 60 };
const MOST = 10_000; // clients and networks that a process remembers

/** What a process knows of the wrong secrets for one client from one network. Times in milliseconds. */
interface Guesses {
  wrong: number;
  /** The next try is judged then. */
  until: number;
  readonly forgotten: number;
}

/**
 * Judges a client's secret.
 *
 * @param isRight whether the secret is right; called unless the try comes too early
 * @throws {TooManyAttempts} when it does
 */
export type JudgeSecret = (clientId: string, isRight: () => boolean) => Promise<boolean>;

export function limitSecretGuesses({
  pool,
  keyring,
  now,
}: Pick<Storage, 'pool' | 'keyring' | 'now'>): JudgeSecret {
  const known = new Map<string, Guesses>();
  const counter = new RateLimiterPostgres({
    storeClient: pool,
    storeType: 'pool',
    tableName: 'attempt',
    tableCreated: true,
    clearExpiredByTimeout: false, // the sweep does that
    keyPrefix: 'secret',
    points: rule.free,
    duration: rule.window,
  });

  return async (clientId, isRight) => {
    const { ctx } = Provider;
    if (known.size === 0 && isRight()) return true; // nobody has guessed: the usual case
    const keys = networksOf(ctx?.ip ?? '').map((network) => JSON.stringify([clientId, network]));
    const time = now().getTime();
    const wait = Math.max(...keys.map((key) => known.get(key)?.until ?? 0)) - time;
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000);
      ctx?.set('Retry-After', String(seconds));
      throw new TooManyAttempts(seconds, false);
    }
    if (isRight()) return true;
    // At once, so that simultaneous tries of this process are counted together.
    const counted = keys.map((key, width) => {
      const guesses = remembered(key, time);
      const free = rule.free * 2 ** width; // a wider network has twice as many as the one within
      note(guesses, guesses.wrong + 1, { time, free });
      return { key, guesses, free };
    });
    let isFirst = false;
    for (const { key, guesses, free } of counted) {
      const hashed = keyring.macs('attempt', `secret ${key}`)[0].toString('base64url');
      const { consumedPoints } = await answered(() => counter.penalty(hashed, 1));
      note(guesses, consumedPoints, { time, free });
      isFirst ||= consumedPoints === free + 1;
    }
    // Once an hour is enough to tell an operator.
    if (isFirst) currentUnit().audit({ type: 'client.limited', clientId }, { evenIfRefused: true });
    return false;
  };

  function remembered(key: string, time: number): Guesses {
    const before = known.get(key);
    if (before && before.forgotten > time) return before;
    const guesses = { wrong: 0, until: 0, forgotten: time + rule.window * 1000 };
    known.delete(key); // so that it becomes the youngest
    known.set(key, guesses);
    for (const oldest of known.keys()) {
      if (known.size <= MOST) break;
      known.delete(oldest);
    }
    return guesses;
  }
}

function note(
  guesses: Guesses,
  wrong: number,
  { time, free }: { readonly time: number; readonly free: number },
): void {
  guesses.wrong = Math.max(guesses.wrong, wrong);
  const wait = delayAfter(guesses.wrong, { ...rule, free }) * 1000;
  guesses.until = Math.max(guesses.until, time + wait);
}
