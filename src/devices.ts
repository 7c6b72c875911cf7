// Browsers and applications in words, from what they call themselves (User-Agent, RFC 9110 §10.1.5): "Firefox on
// Windows". It is what they say of themselves, and told only so that a person recognises them.
import { BROWSER_MAP, parse } from 'bowser';
import type { Language } from './languages.ts';

export interface Device {
  /** The browser; of what is no browser, the name that it gives itself. */
  readonly browser: string | undefined;
  /** The operating system; an iPhone and an iPad are named themselves. */
  readonly system: string | undefined;
}

const LONGEST = 500; // characters that are looked at

// For what it does not know, the library makes up a name.
const known: ReadonlySet<string | undefined> = new Set(Object.values(BROWSER_MAP));

// Where people say another name than the library.
const spoken: ReadonlyMap<string | undefined, string> = new Map([
  ['Microsoft Edge', 'Edge'],
  ['Samsung Internet for Android', 'Samsung Internet'],
  ['Chrome OS', 'ChromeOS'],
]);

/** What a User-Agent says of itself, as far as it is known. */
export function deviceOf(userAgent: string): Device {
  const text = userAgent.slice(0, LONGEST);
  if (text === '') return { browser: undefined, system: undefined };
  const { browser, os, platform } = parse(text);
  const isBrowser = /^(Mozilla|Opera)\//.test(text); // all of them begin so
  const name = isBrowser && known.has(browser.name) ? browser.name : undefined;
  return {
    browser: asSpoken(isBrowser ? name : ownName(text)),
    system: asSpoken(os.name === 'iOS' ? (platform.model ?? os.name) : os.name),
  };
}

/** The same in a language; "Unknown device" of what says nothing. */
export function deviceInWords({ t }: Language, userAgent: string | null | undefined): string {
  const { browser, system } = deviceOf(userAgent ?? '');
  if (browser !== undefined && system !== undefined) return t('device.on', { browser, system });
  return browser ?? system ?? t('device.unknown');
}

function ownName(userAgent: string): string | undefined {
  return /^[\w .-]{1,60}/.exec(userAgent)?.[0].trim() || undefined;
}

function asSpoken(name: string | undefined): string | undefined {
  return spoken.get(name) ?? name;
}
