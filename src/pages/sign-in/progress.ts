// The factors verified so far in a sign-in that needs another one, sealed in a cookie. The cookie is valid for the same
// sign-in only, for ten minutes, and not after the account's sign-ins were ended. It signs nobody in.
import type { Context } from 'koa';
import { isSignInOver, signInTime } from '../../accounts/changes.ts';
import { united } from '../../accounts/factors.ts';
import type { Account } from '../../generated/client.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { type Storage, epoch } from '../../storage/storage.ts';
import { type Cookies, FACTOR_LIFE } from '../cookies.ts';
import type { SignInContext, VerifiedFactors } from './context.ts';

type ProgressContext = Pick<SignInContext, 'subject' | 'action'>;

export interface Progress {
  readonly keep: (ctx: Context, context: ProgressContext, verified: VerifiedFactors) => void;
  readonly forget: (ctx: Context, context: ProgressContext) => void;
  /** @returns undefined when nothing was verified, or it does not count any more */
  readonly find: (ctx: Context, context: ProgressContext) => Promise<VerifiedFactors | undefined>;
}

/** What the cookie holds. */
interface SealedProgress {
  readonly accountId: string;
  readonly amr: string[];
  readonly authTime?: number | undefined;
  /** The time of the verification, in seconds since the epoch. */
  readonly since: number;
}

interface Parts {
  readonly storage: Pick<Storage, 'prisma' | 'keyring' | 'now'>;
  readonly cookies: Pick<Cookies, 'factor'>;
}

export function createProgress({ storage, cookies }: Parts): Progress {
  const { prisma, keyring, now } = storage;
  return {
    keep(ctx, context, { account, amr, authTime }) {
      const kept = { accountId: account.id, amr, authTime, since: signInTime(account, now()) };
      cookies.factor(context.action).set(ctx, seal(keyring, context, kept));
    },
    forget(ctx, context) {
      cookies.factor(context.action).clear(ctx);
    },
    async find(ctx, context) {
      const cookie = cookies.factor(context.action).get(ctx);
      const kept = cookie === undefined ? undefined : unseal(keyring, context, cookie);
      if (!kept || isTooOld(kept, now())) return undefined;
      const account = await prisma.account.findUnique({ where: { id: kept.accountId } });
      if (!account || hasEnded(kept, account)) return undefined;
      return { account, amr: kept.amr, authTime: kept.authTime };
    },
  };
}

/**
 * Adds a verified factor. A sign-in is as old as its first factor (OIDC Core §2, auth_time): whoever finds a browser
 * left open does not make the sign-in new with the second one. A passkey with user verification is a whole sign-in of
 * its own.
 *
 * @param amr the methods verified now
 */
export function raised(before: VerifiedFactors, amr: string[]): VerifiedFactors {
  const { account, authTime } = before;
  const isWhole = authTime !== undefined && amr.includes('mfa');
  return isWhole ? { account, amr } : { account, amr: united(before.amr, amr), authTime };
}

function isTooOld({ since }: SealedProgress, now: Date): boolean {
  return since + FACTOR_LIFE <= epoch(now);
}

/** A lock, a new password and signing out everywhere end sign-ins that were begun before. */
function hasEnded({ since }: SealedProgress, { lockedAt, signedOutAt }: Account): boolean {
  return lockedAt !== null || isSignInOver(since, signedOutAt);
}

function seal(keyring: Keyring, context: ProgressContext, kept: SealedProgress): string {
  return Buffer.from(keyring.seal(sealContext(context), JSON.stringify(kept))).toString(
    'base64url',
  );
}

/** @returns undefined for a cookie of another sign-in, or a forged one */
function unseal(
  keyring: Keyring,
  context: ProgressContext,
  cookie: string,
): SealedProgress | undefined {
  try {
    const sealed = Buffer.from(cookie, 'base64url');
    return JSON.parse(keyring.unseal(sealContext(context), sealed)) as SealedProgress;
  } catch {
    return undefined;
  }
}

function sealContext({ subject }: ProgressContext): string {
  return `progress ${subject}`;
}
