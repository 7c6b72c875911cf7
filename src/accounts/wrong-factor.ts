// The right password with a wrong second factor, or without one: somebody else may know the password, so the owner is told
// by mail. At most once a day, so that whoever knows it cannot fill the owner's mailbox. Two mistakes within an hour in a
// browser that the account knows are the owner's own.
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';

const MISTAKES = { keyPrefix: 'mistake', points: 2, duration: 3600 };
const TOLD = { keyPrefix: 'told', points: 1, duration: 86_400 };

/**
 * Queues the notice, even if the request is refused.
 *
 * @param browser the key of a browser that the account knows
 */
export async function tellOfWrongFactor(
  { pool, keyring, now }: Pick<Storage, 'pool' | 'keyring' | 'now'>,
  accountId: string,
  browser?: string,
): Promise<void> {
  const isOneOf = async (limit: typeof MISTAKES, name: string): Promise<boolean> => {
    const common = { storeClient: pool, storeType: 'pool', tableName: 'attempt' };
    const options = { ...common, tableCreated: true, clearExpiredByTimeout: false, ...limit };
    const key = keyring.macs('attempt', `${limit.keyPrefix} ${name}`)[0].toString('base64url');
    try {
      await new RateLimiterPostgres(options).consume(key);
      return true;
    } catch (error) {
      if (error instanceof RateLimiterRes) return false;
      return answered(() => Promise.reject(error as Error)); // the database cannot answer
    }
  };
  if (browser !== undefined && (await isOneOf(MISTAKES, `${accountId} ${browser}`))) return;
  if (!(await isOneOf(TOLD, accountId))) return;
  const unit = currentUnit();
  const notice = {
    kind: 'second_factor_failed',
    accountId,
    now: now(),
    origin: unit.origin,
  } as const;
  unit.notice(notice, { evenIfRefused: true });
}
