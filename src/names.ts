// Names that strangers choose: of applications, people and passkeys. On a page they must not reorder the words around
// them, begin a line, or say more than a name does (Unicode UAX #9, UTS #39).

/** The longest name, in characters. */
export const LONGEST_NAME = 100;

// Persian and the scripts of India write words with joiners; there they stay, after a letter.
const joiner = /(?<=[[\p{L}\p{M}]--[\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}]])[\u200c\u200d]/v;
// U+FE0F asks for the coloured form of a sign.
const hidden = new RegExp(
  `(?!${joiner.source}|(?<=\\p{Emoji})\\ufe0f)[\\p{Cf}\\p{Default_Ignorable_Code_Point}]`,
  'gv',
);
// Marks stand on the letter before them: without one they would stand on our own words, and many of them cover those.
const heaped = /(?<=\p{M}{3})\p{M}+|(?<![^\p{Z}\p{C}])\p{M}+/gu;

/** A name on one line, trimmed, and without what cannot be seen, turns the direction of writing, or covers other words. */
export function plainName(name: string): string {
  return name
    .normalize('NFC')
    .replace(hidden, '')
    .replace(heaped, '')
    .replace(/[\p{Cc}\p{Z}]+/gu, ' ')
    .trim();
}

/** Whether nothing of a name can be seen. */
export function isBlank(name: string): boolean {
  // U+2800 is the empty pattern of braille.
  return !/[\p{L}\p{N}\p{P}\p{S}]/u.test(
    name.replace(/[\p{Default_Ignorable_Code_Point}\u2800]/gu, ''),
  );
}

/** The same, and '' for a name of which nothing can be seen. */
export function visibleName(name: string): string {
  return isBlank(name) ? '' : plainName(name);
}

/** The length of a name in characters, as people count them. */
export function lengthOf(name: string): number {
  return Array.from(name).length;
}

/** A name that is no longer than a name may be. */
export function shortened(name: string): string {
  const characters = Array.from(name);
  if (characters.length <= LONGEST_NAME) return name;
  return `${characters.slice(0, LONGEST_NAME - 1).join('')}…`;
}
