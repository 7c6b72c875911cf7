// Where somebody signs in, as the place says that asks for it: an authorization request (interactions.ts) or a page of
// our own (own-sign-in.ts).
import type { Context } from 'koa';
import type { Level } from '../../accounts/factors.ts';
import type { Account } from '../../generated/client.ts';
import type { SignedIn } from '../browser-session.ts';
import type { ClientView } from '../client-view.ts';

export interface SignInContext {
  /** What the sign-in belongs to: forms, challenges and what was verified so far are good for nothing else. */
  readonly subject: string;
  /** The path under which the routes of the sign-in are, and the query behind it: '' or like '?to=…'. */
  readonly action: string;
  readonly query?: string;
  /** The path that a form posts to for going back. */
  readonly cancel?: string;
  /** Where another account is signed in to. */
  readonly other?: string;
  readonly client?: ClientView | undefined;
  readonly clientId?: string;
  /** The interaction that it belongs to, to which other ways in lead back. */
  readonly interaction?: string;
  /** The level that is asked for. */
  readonly wanted?: Level | undefined;
  /** Who is signed in here, when nothing but another factor is missing. */
  readonly person?: SignedIn | undefined;
  /** Signs the person in, and goes on. */
  readonly finish: (ctx: Context, verified: VerifiedFactors) => Promise<void>;
}

/** Whose factors were verified, and what they are worth. */
export interface VerifiedFactors {
  readonly account: Account;
  /** RFC 8176. */
  readonly amr: string[];
  /** When the sign-in was that has only got another factor now, in seconds; not set: all of it was verified now. */
  readonly authTime?: number | undefined;
}
