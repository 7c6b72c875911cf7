// The logo and colours of an installation. Colours must meet WCAG 2.2: a contrast of 4.5:1 between text and its
// background (1.4.3).
import { readFileSync } from 'node:fs';

export interface Logo {
  readonly type: 'svg' | 'png';
  readonly content: Buffer;
}

export type Scheme = 'light' | 'dark';

/** `#rrggbb`; undefined for the style sheet's. */
type Accent = Readonly<Record<Scheme, string | undefined>>;

/** The backgrounds of text: the style sheet’s `--paper` and `--card`. */
export const backgrounds = {
  light: { paper: '#f4f1ea', card: '#fffdf9' },
  dark: { paper: '#141614', card: '#1d201e' },
} as const;

const READABLE = 4.5;
const LARGEST_LOGO = 200_000;

/** Why an accent colour is refused, in words: the end of the sentence "it wants …". */
export function complaintAbout(accent: string, scheme: Scheme): string | undefined {
  const { paper, card } = backgrounds[scheme];
  const found = Math.min(contrast(accent, paper), contrast(accent, card));
  if (found >= READABLE) return undefined;
  const how = scheme === 'light' ? 'darker' : 'lighter';
  return `a ${how} colour: its contrast to ${scheme} pages is ${Math.floor(found * 10) / 10}:1, and text needs ${READABLE}:1 (WCAG 2.2, 1.4.3)`;
}

/** The colour for dark pages: lighter by as much as its contrast needs. */
export function lighter(accent: string): string {
  for (let white = 0; white < 1; white += 0.05) {
    const mixed = mix(accent, '#ffffff', white);
    if (contrast(mixed, backgrounds.dark.card) >= 7) return mixed;
  }
  return '#ffffff';
}

/** The CSS custom properties that are put after the style sheet. */
export function themeStyle({ light, dark }: Accent): string {
  return [
    light === undefined ? '' : `:root {${properties(light, 'light')}}\n`,
    dark === undefined
      ? ''
      : `@media (prefers-color-scheme: dark) {:root {${properties(dark, 'dark')}}}\n`,
  ].join('');
}

/** The colours that belong to an accent colour: under the pointer, for text on it, and as a background. */
export function accents(accent: string, scheme: Scheme) {
  const [away, card] = [scheme === 'light' ? '#000000' : '#ffffff', backgrounds[scheme].card];
  const [white, black] = ['#ffffff', '#000000'];
  return {
    accent,
    'accent-strong': mix(accent, away, 0.25),
    'on-accent': contrast(accent, white) >= READABLE ? white : black,
    'accent-soft': mix(card, accent, 0.1),
  };
}

function properties(accent: string, scheme: Scheme): string {
  return Object.entries(accents(accent, scheme))
    .map(([name, color]) => `--${name}: ${color};`)
    .join('');
}

/** The contrast ratio of two colours (WCAG 2.2), from 1 to 21. */
export function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = channels(color).map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function mix(color: string, other: string, share: number): string {
  const others = channels(other);
  const mixed = channels(color).map((channel, index) =>
    Math.round(channel + ((others[index] ?? 0) - channel) * share),
  );
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

function channels(color: string): number[] {
  return [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
}

/** @throws {Error} when the file cannot be read, is too large, or is no image of the type in its name */
export function readLogo(path: string): Logo {
  const content = readFileSync(path);
  if (content.length > LARGEST_LOGO)
    throw new Error(`it has ${content.length} bytes, and a logo has at most ${LARGEST_LOGO}`);
  const type = /\.png$/i.test(path) ? 'png' : 'svg';
  const isOne =
    type === 'png'
      ? content.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))
      : /<svg[\s>]/.test(content.toString('utf8'));
  if (!isOne) throw new Error(`its content is no ${type.toUpperCase()}`);
  return { type, content };
}
