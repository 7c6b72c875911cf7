// What a browser or an application calls itself (User-Agent, RFC 9110 §10.1.5), in words: "Firefox on Windows". It is
// what they say of themselves, and only told so that a person recognises it.
import type { Language } from '../../languages.ts';

// The first that is found counts: each names those before whom it stands.
const browsers: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS|Chromium|HeadlessChrome)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];

const systems: readonly (readonly [RegExp, string])[] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** A browser with its system; of what is no browser, the name that it gives itself. */
export function deviceInWords({ t }: Language, userAgent: string | null | undefined): string {
  if (!userAgent) return t('device.unknown');
  const [browser, system] = [browsers, systems].map(
    (known) => known.find(([pattern]) => pattern.test(userAgent))?.[1],
  );
  if (browser !== undefined && system !== undefined) return t('device.on', { browser, system });
  const name = browser ?? system ?? /^[\w .-]{1,60}/.exec(userAgent)?.[0].trim();
  return name || t('device.unknown');
}
