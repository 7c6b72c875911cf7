// Limits on mails that anybody can have sent: per network address that asks, and per e-mail address so that nobody's
// mailbox is flooded. Each purpose is counted by itself: a stranger's sign-ups keep nobody from resetting a password.
// Counted in PostgreSQL for all processes together; keys hold no address.
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { asciiAddress } from './email-address.ts';
import type { LinkPurpose } from './links.ts';
import { networkOf } from './networks.ts';

/** Seconds after which anyone who has asked for too many may ask again. */
export const MAIL_LIMIT_DURATION = 3600;
const PER_IP = 30;
const PER_EMAIL = 3;

/** What a mail is for: a link, or a request that waits at /approve. */
export type MailPurpose = Exclude<LinkPurpose, 'invitation'> | 'approval';

export interface MailLimits {
  /** Whether one more mail may be asked for from this network address. */
  readonly fromIp: (ip: string) => Promise<boolean>;
  /** Whether one more mail may be sent to this address for this purpose. */
  readonly toEmail: (purpose: MailPurpose, email: string) => Promise<boolean>;
}

export function createMailLimits({ pool, keyring }: Pick<Storage, 'pool' | 'keyring'>): MailLimits {
  const limiter = (keyPrefix: string, points: number) =>
    new RateLimiterPostgres({
      storeClient: pool,
      storeType: 'pool',
      tableName: 'attempt',
      tableCreated: true,
      clearExpiredByTimeout: false, // the sweep does that
      keyPrefix,
      points,
      duration: MAIL_LIMIT_DURATION,
    });
  const ips = limiter('mail-ip', PER_IP);
  const emails = limiter('mail-to', PER_EMAIL);
  const key = (text: string) => keyring.macs('attempt', text)[0].toString('base64url');
  return {
    fromIp: (ip) => consume(ips, key(`mail-ip ${networkOf(ip)}`)),
    toEmail: (purpose, email) => consume(emails, key(`mail-to ${purpose} ${asciiAddress(email)}`)),
  };
}

async function consume(limiter: RateLimiterPostgres, key: string): Promise<boolean> {
  try {
    await limiter.consume(key);
    return true;
  } catch (error) {
    if (error instanceof RateLimiterRes) return false;
    return answered(() => Promise.reject(error as Error)); // the database cannot answer
  }
}
