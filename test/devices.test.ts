// User-Agents as browsers and programs send them, and what people read.
import { expect, test } from 'vitest';
import { deviceInWords } from '../src/devices.ts';
import { english, loadLanguages } from '../src/languages.ts';

const windows = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64)';
const mac = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)';
const linux = 'Mozilla/5.0 (X11; Linux x86_64)';
const android = 'Mozilla/5.0 (Linux; Android 10; K)';
const iphone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)';
const ipad = 'Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X)';
const blink = 'AppleWebKit/537.36 (KHTML, like Gecko)';
const chrome = `${blink} Chrome/142.0.0.0`;
const webkit = 'AppleWebKit/605.1.15 (KHTML, like Gecko)';

test.each([
  [`${windows} ${chrome} Safari/537.36`, 'Chrome on Windows'],
  [`${windows} ${chrome} Safari/537.36 Edg/142.0.0.0`, 'Edge on Windows'],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0',
    'Firefox on Windows',
  ],
  [`${windows} ${chrome} Safari/537.36 OPR/124.0.0.0`, 'Opera on Windows'],
  [`${windows} ${chrome} Safari/537.36 Vivaldi/7.6.3797.63`, 'Vivaldi on Windows'],
  [
    'Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko',
    'Internet Explorer on Windows',
  ],
  [`${mac} ${chrome} Safari/537.36`, 'Chrome on macOS'],
  [`${mac} ${chrome} Safari/537.36 Edg/142.0.0.0`, 'Edge on macOS'],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0',
    'Firefox on macOS',
  ],
  [`${mac} ${webkit} Version/18.6 Safari/605.1.15`, 'Safari on macOS'],
  [`${linux} ${chrome} Safari/537.36`, 'Chrome on Linux'],
  [`${linux} ${blink} HeadlessChrome/142.0.0.0 Safari/537.36`, 'Chrome on Linux'],
  [
    'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
    'Firefox on Linux',
  ],
  [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${chrome} Safari/537.36`, 'Chrome on ChromeOS'],
  [`${android} ${chrome} Mobile Safari/537.36`, 'Chrome on Android'],
  [`${android} ${chrome} Mobile Safari/537.36 EdgA/142.0.0.0`, 'Edge on Android'],
  ['Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0', 'Firefox on Android'],
  [
    `${android} ${blink} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`,
    'Samsung Internet on Android',
  ],
  [`${android} ${chrome} Mobile Safari/537.36 OPR/92.0.0.0`, 'Opera on Android'],
  [`${iphone} ${webkit} Version/18.6 Mobile/15E148 Safari/604.1`, 'Safari on iPhone'],
  [`${iphone} ${webkit} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1`, 'Chrome on iPhone'],
  [`${iphone} ${webkit} FxiOS/145.0 Mobile/15E148 Safari/604.1`, 'Firefox on iPhone'],
  [
    `${iphone} ${webkit} Version/18.0 EdgiOS/142.0.0.0 Mobile/15E148 Safari/604.1`,
    'Edge on iPhone',
  ],
  [`${ipad} ${webkit} Version/18.6 Mobile/15E148 Safari/604.1`, 'Safari on iPad'],
  [`${ipad} ${webkit} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1`, 'Chrome on iPad'],
  ['Mozilla/5.0 (X11; FreeBSD amd64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox'],
  ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', 'Googlebot'],
  ['Mozilla/5.0 (compatible; Unheard-of/1.0; +https://bot.example)', 'Unknown device'],
  ['curl/8.16.0', 'curl'],
  ['okhttp/4.12.0', 'okhttp'],
  ['node', 'node'],
  ['Notes/2.3.1 CFNetwork/3826.500.131 Darwin/24.5.0', 'Notes'],
  ['Notes/1.2 (Android 15)', 'Notes on Android'],
  ['constructor/1 toString', 'constructor'],
  ['<script>alert(1)</script>', 'Unknown device'],
  ['\u0000\u00ff ;;; (((', 'Unknown device'],
  ['', 'Unknown device'],
  [null, 'Unknown device'],
  [undefined, 'Unknown device'],
])('%j', (userAgent, words) => {
  expect(deviceInWords(english(), userAgent)).toBe(words);
});

test('only its beginning is looked at', () => {
  expect(deviceInWords(english(), 'x'.repeat(500))).toBe('x'.repeat(60));
  const long = `${windows} ${'(KHTML, like Gecko) '.repeat(1000)}`;
  expect(deviceInWords(english(), `${long} Firefox/145.0`)).toBe('Windows');
});

test('in the language of whoever reads it', () => {
  const inLanguage = (tag: string, userAgent: string) =>
    deviceInWords(loadLanguages().choose([tag]), userAgent);
  expect(inLanguage('de', `${mac} ${chrome} Safari/537.36`)).toBe('Chrome auf macOS');
  expect(inLanguage('fr', '')).toBe('Appareil inconnu');
});
