// The context of a sign-in, given by whatever asks for it: an authorization request (interactions.ts) or a page of our
// own (own-sign-in.ts).
import type { Context } from 'koa';
import type { Level } from '../../accounts/factors.ts';
import type { Account } from '../../generated/client.ts';
import type { SignedIn } from '../browser-session.ts';
import type { ClientView } from '../client-view.ts';

export interface SignInContext {
  /** What the sign-in belongs to: its forms, challenges and verified factors are valid for nothing else. */
  readonly subject: string;
  /** The path below which the sign-in's routes are, and their query: '' or like '?to=…'. */
  readonly action: string;
  readonly query?: string;
  /** The path that the form for going back posts to. */
  readonly cancel?: string;
  /** Where to sign in to another account. */
  readonly other?: string;
  readonly client?: ClientView | undefined;
  readonly clientId?: string;
  /** The interaction that other ways to an account lead back to. */
  readonly interaction?: string;
  /** The requested level. */
  readonly wanted?: Level | undefined;
  /** The person who is signed in already, when only another factor is missing. */
  readonly person?: SignedIn | undefined;
  /** Signs the person in, and goes on. */
  readonly finish: (ctx: Context, verified: VerifiedFactors) => Promise<void>;
}

/** The factors of a person that were verified. */
export interface VerifiedFactors {
  readonly account: Account;
  /** RFC 8176. */
  readonly amr: string[];
  /**
   * The time of an earlier sign-in that got another factor now, in seconds since the epoch; not set: all was verified
   * now.
   */
  readonly authTime?: number | undefined;
}
