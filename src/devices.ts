// Names of browsers and devices, from the User-Agent (RFC 9110 §10.1.5): "Firefox on Windows". A User-Agent proves
// nothing; the name only helps a person to recognise a device.
import { BROWSER_MAP, parse } from 'bowser';
import type { Language } from './languages.ts';

export interface Device {
  /** The browser; for other programs the name that they give themselves. */
  readonly browser: string | undefined;
  /** The operating system; for an iPhone or iPad the device. */
  readonly system: string | undefined;
}

const LONGEST = 500; // characters that are parsed

// The library makes up names for browsers that it does not know.
const known: ReadonlySet<string | undefined> = new Set(Object.values(BROWSER_MAP));

// Systems that people call by another name than the library.
const spoken: ReadonlyMap<string | undefined, string> = new Map([
  ['Microsoft Edge', 'Edge'],
  ['Samsung Internet for Android', 'Samsung Internet'],
  ['Chrome OS', 'ChromeOS'],
]);

/** The browser and the system of a User-Agent, as far as known. */
export function deviceOf(userAgent: string): Device {
  const text = userAgent.slice(0, LONGEST);
  if (text === '') return { browser: undefined, system: undefined };
  const { browser, os, platform } = parse(text);
  const isBrowser = /^(Mozilla|Opera)\//.test(text); // all browsers begin like this
  const name = isBrowser && known.has(browser.name) ? browser.name : undefined;
  return {
    browser: asSpoken(isBrowser ? name : ownName(text)),
    system: asSpoken(os.name === 'iOS' ? (platform.model ?? os.name) : os.name),
  };
}

/** A device in words of a language; "Unknown device" when nothing is known. */
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
