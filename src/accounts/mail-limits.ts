// Limits on mails that anybody can have sent: per network that asks, and per e-mail address so that nobody's mailbox is
// flooded. Each purpose is counted by itself: a stranger's sign-ups keep nobody from resetting a password. Whoever is
// known - a browser that the account knows, a person who is signed in - is counted apart from strangers, who can use up
// nothing of theirs. Counted in PostgreSQL for all processes together; keys hold no address.
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { answered } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { asciiAddress } from './email-address.ts';
import { type LinkPurpose, linkLife } from './links.ts';
import { networksOf, widestNetworkOf } from './networks.ts';

/**
 * Seconds after which anyone who has asked for too many may ask again. A link to reset a password lives as long: while no
 * more are sent, the newest one in the mailbox still works.
 */
export const MAIL_LIMIT_DURATION = linkLife.password_reset;
const PER_NETWORK = 30;
const PER_EMAIL = 3;
/** Of all who ask together, where each is counted alone. */
const PER_EMAIL_OF_ALL = 12;

/** What a mail is for: a link, or a request that waits at /approve. */
export type MailPurpose = Exclude<LinkPurpose, 'invitation'> | 'approval';

/** Who asks: a stranger by the address, or whoever is known by a key of their own. */
export interface Asker {
  readonly ip: string;
  readonly known?: string | undefined;
}

export interface MailLimits {
  /** Whether one more mail may be asked for. */
  readonly from: (asker: Asker) => Promise<boolean>;
  /** Whether one more mail may be sent to this address for this purpose. @param known as in {@link Asker} */
  readonly toEmail: (purpose: MailPurpose, email: string, known?: string) => Promise<boolean>;
  /**
   * The same for an address that nobody has yet: each who names it is counted alone, so that no few strangers keep its
   * owner from it, and all together may send four times as many.
   */
  readonly toNewEmail: (purpose: MailPurpose, email: string, asker: Asker) => Promise<boolean>;
  /** Forgets what strangers have asked for: the person has used a link, and others do not work any more. */
  readonly forget: (purpose: MailPurpose, email: string) => Promise<void>;
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
  // A wider network may ask for twice as many as the one within.
  const askers = [1, 2, 4].map((times) => limiter('mail-ip', times * PER_NETWORK));
  const emails = limiter('mail-to', PER_EMAIL);
  const newEmails = limiter('mail-to-new', PER_EMAIL_OF_ALL);
  const key = (text: string) => keyring.macs('attempt', text)[0].toString('base64url');
  const emailKey = (purpose: MailPurpose, email: string, known?: string) =>
    key(`mail-to ${purpose} ${asciiAddress(email)}${known === undefined ? '' : ` ${known}`}`);
  return {
    async from({ ip, known }) {
      const names = known === undefined ? networksOf(ip) : [`known ${known}`];
      for (const [width, name] of names.entries()) {
        const asker = askers[width];
        if (asker && !(await consume(asker, key(`mail-ip ${name}`)))) return false;
      }
      return true;
    },
    toEmail: (purpose, email, known) => consume(emails, emailKey(purpose, email, known)),
    async toNewEmail(purpose, email, { ip, known }) {
      const asker = known ?? `from ${widestNetworkOf(ip)}`;
      return (
        (await consume(emails, emailKey(purpose, email, asker))) &&
        (await consume(newEmails, emailKey(purpose, email)))
      );
    },
    async forget(purpose, email) {
      await answered(() => emails.delete(emailKey(purpose, email)));
    },
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
