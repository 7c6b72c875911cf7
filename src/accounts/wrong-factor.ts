// The right password with a wrong second factor, or without one: somebody else may know the password, so the owner is told
// by mail. At most once a day, so that whoever knows it cannot fill the owner's mailbox. Two mistakes within an hour in a
// browser that the account knows are the owner's own. Who stops after the password gets time to go on, then the
// owner is told.
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Account } from '../generated/client.ts';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { widestNetworkOf } from './networks.ts';

const MISTAKES = { keyPrefix: 'mistake', points: 2, duration: 3600 };
const TOLD = { keyPrefix: 'told', points: 1, duration: 86_400 };
const WAITING = { keyPrefix: 'waiting', points: 10, duration: 1200 }; // passwords of one network for one account

type Parts = Pick<Storage, 'pool' | 'keyring' | 'now'>;

/**
 * Queues the notice, even if the request is refused.
 *
 * @param browser the key of a browser that the account knows
 */
export async function tellOfWrongFactor(
  parts: Parts,
  accountId: string,
  browser?: string,
): Promise<void> {
  const isMistake =
    browser !== undefined && (await isOneOf(parts, MISTAKES, `${accountId} ${browser}`));
  if (isMistake || !(await mayTellOfFactor(parts, accountId))) return;
  const unit = currentUnit();
  const kind = 'second_factor_failed';
  const notice = { kind, accountId, now: parts.now(), origin: unit.origin } as const;
  unit.notice(notice, { evenIfRefused: true });
}

/**
 * Records the right password from a browser that the account does not know, when a second factor is missing still, and
 * queues the question whether one has followed (mail/requests.ts): a row in the database, which outlives this process.
 *
 * @param life how long the second factor may take, in seconds. The owner is told after twice that: who was too slow has
 *   time to begin again
 */
export async function awaitFactor(
  parts: Parts,
  { id: accountId, email: to, locale }: Account,
  life: number,
  clientId?: string,
): Promise<void> {
  const unit = currentUnit();
  const { ip = '', userAgent = '' } = unit.origin;
  if (!(await isOneOf(parts, WAITING, `${accountId} ${widestNetworkOf(ip)}`))) return;
  unit.audit({ type: 'password.verified', accountId, clientId });
  const at = parts.now().getTime();
  const values = { accountId, at, ip, userAgent };
  unit.mail({ to, locale, template: 'ask-factor', values, dueAt: at + 2000 * life });
}

/** Takes the day's turn to tell an account's owner. @returns whether there was one left */
export function mayTellOfFactor(
  parts: Pick<Storage, 'pool' | 'keyring'>,
  accountId: string,
): Promise<boolean> {
  return isOneOf(parts, TOLD, accountId);
}

async function isOneOf(
  { pool, keyring }: Pick<Storage, 'pool' | 'keyring'>,
  limit: typeof MISTAKES,
  name: string,
): Promise<boolean> {
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
}
