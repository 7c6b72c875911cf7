// What a guess is counted by, and how often each counter lets guess: pure rules, which limits.ts applies. Strangers are
// counted by their network, alone and together with the account, and all of them together by the account. A browser
// that the account knows is counted by itself, so that nobody else's guesses slow its owner.
import { asciiAddress } from './email-address.ts';
import { networksOf } from './networks.ts';

export interface Rule {
  /** Guesses that cause no wait. */
  readonly free: number;
  /** The longest wait, in seconds. */
  readonly longest: number;
  /**
   * Seconds after the first guess when all are forgotten. For a rule with `most`: after the last one of `most`, and of
   * fewer as much sooner. So nobody has more than `most` judged in a window, however slowly, and one guess at an address
   * that nobody has is soon forgotten.
   */
  readonly window: number;
  /** Guesses in a row that are judged; after them none is, until there was a success. */
  readonly most?: number;
}

const HOUR = 3600;
const DAY = 86_400;
const YEAR = 31_536_000;

/**
 * How many wrong guesses in a row are judged at one account's password, or its codes. NIST SP 800-63B-4 §3.2.2 allows a
 * hundred in all, however many the guessers are: strangers have ninety, and whoever has stolen the cookie of a browser
 * that the account knows has ten more.
 */
const STRANGERS_MOST = 90;
const BROWSER_MOST = 10;

const FIRST_TOLD = 20;

const rules = {
  // By strangers, wherever they are.
  account: { free: STRANGERS_MOST, longest: 0, window: YEAR, most: STRANGERS_MOST },
  code: { free: 5, longest: HOUR, window: YEAR, most: STRANGERS_MOST },
  // By one network at one account. A recovery code has 80 bits: the rule only keeps the noise down.
  password: { free: 5, longest: 900, window: DAY },
  recovery_code: { free: 5, longest: 900, window: DAY },
  // By one network at anything: an office or a whole town may share one address.
  address: { free: 50, longest: 60, window: HOUR },
  // By one browser that the account knows.
  browser: { free: 5, longest: 900, window: YEAR, most: BROWSER_MOST },
  user_code: { free: 10, longest: 60, window: HOUR },
  setup: { free: 10, longest: 60, window: HOUR },
} satisfies Record<string, Rule>;

/** A try: what is being guessed at, and by whom. */
export type Try = Guess | { readonly what: 'user_code' | 'setup'; readonly from: Guesser };

interface Guess {
  readonly what: 'password' | 'code' | 'recovery_code';
  /** The account; for a password the e-mail address as it was typed, whether or not there is such an account. */
  readonly account: string;
  readonly from: Guesser;
}

/** Who guesses. */
export interface Guesser {
  readonly ip: string;
  /** A browser that the account knows (pages/sign-in/known-browser.ts). */
  readonly browser?: string | undefined;
  /** An authenticated client that passes on what people typed. */
  readonly clientId?: string;
  /** The account of a person who is signed in, and guesses at something that is not theirs. */
  readonly signedIn?: string | undefined;
}

export interface Counter {
  readonly rule: Rule;
  /** What it counts, in words that name addresses: to be hashed. */
  readonly name: keyof typeof rules;
  readonly key: readonly string[];
  /** Whether a success forgets all its guesses, since they are one person's, and not only its own. */
  readonly isOwn: boolean;
  /** Whether it counts what all strangers guess at an account. */
  readonly isOfAccount: boolean;
}

/** The counter of a known browser's guesses. @returns undefined for a stranger's */
export function browserCounter(attempt: Try): Counter | undefined {
  if (!('account' in attempt) || attempt.from.browser === undefined) return undefined;
  const key = [attempt.what, asciiAddress(attempt.account), attempt.from.browser];
  return counter('browser', key, { isOwn: true });
}

/**
 * The counters of a stranger's guesses, the narrowest first: whoever has to wait at a narrow one never gets to a wide
 * one, where others would have to wait for them.
 */
export function strangersCounters(attempt: Try): Counter[] {
  const { from } = attempt;
  if (!('account' in attempt))
    return from.signedIn === undefined
      ? byNetwork(attempt.what, [], from.ip)
      : [counter(attempt.what, ['account', from.signedIn])];
  const { what } = attempt;
  const account = asciiAddress(attempt.account);
  const all = accountCounter(what, account);
  if (what === 'code') return all;
  // A client passes on what many people typed: its address says nothing about them.
  if (from.clientId !== undefined) {
    const [network] = networksOf(from.ip);
    return [counter(what, [account, network, from.clientId], { isOwn: true }), ...all];
  }
  const own = byNetwork(what, [account], from.ip, { isOwn: true });
  return [...own, ...byNetwork('address', [], from.ip), ...all];
}

/** The counter of all that strangers guess at an account; none for what nobody can guess. */
export function accountCounter(what: Guess['what'], account: string): Counter[] {
  if (what === 'recovery_code') return [];
  const name = what === 'password' ? 'account' : 'code';
  return [counter(name, [asciiAddress(account)], { isOwn: true, isOfAccount: true })];
}

/** One counter for each network of an address: a wider one lets guess twice as often as the one within. */
function byNetwork(
  name: keyof typeof rules,
  key: readonly string[],
  ip: string,
  kind: Partial<Counter> = {},
): Counter[] {
  return networksOf(ip).map((network, index) => {
    const one = counter(name, [...key, network], kind);
    return { ...one, rule: { ...one.rule, free: one.rule.free * 2 ** index } };
  });
}

function counter(
  name: keyof typeof rules,
  key: readonly string[],
  kind: Partial<Counter> = {},
): Counter {
  return { name, key, rule: rules[name], isOwn: false, isOfAccount: false, ...kind };
}

/** Whether the owner is told of a wrong password: after twenty in a row by strangers, and when no more are judged. */
export function isTold(wrongByStrangers: number): boolean {
  return wrongByStrangers === FIRST_TOLD || isClosed(wrongByStrangers);
}

/** Whether no more passwords of strangers are judged. */
export function isClosed(wrongByStrangers: number): boolean {
  return wrongByStrangers >= STRANGERS_MOST;
}

/** The wait before the next guess, in seconds; it doubles with each guess. */
export function delayAfter(guesses: number, { free, longest }: Rule): number {
  return guesses <= free ? 0 : Math.min(longest, 2 ** Math.min(30, guesses - free));
}
