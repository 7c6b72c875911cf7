// What mail programs make a link of. Others choose words that stand in our mails - the names of applications and passkeys,
// what a browser says it is, an address - and none of them may lead a person anywhere.

// A scheme with slashes, or one that acts; two slashes; a host's name. A number like 12.50 is none, nor is "e.g".
const marks = [
  /\p{L}[\p{L}\p{N}+.-]*:(?=\/)/u,
  /\b(?:mailto|tel|sms|callto|skype|data|javascript):(?=\S)/iu,
  /\/(?=\/)/u,
  /(?<!@[\p{L}\p{N}.-]*)[\p{L}\p{N}-]\.(?=\p{L}{2})/u, // not of an e-mail address
  /\d\.(?=\d{1,3}\.\d{1,3}\.\d)/u,
];

/** Whether a mail program may make a link of something in a text. */
export function looksLikeLink(text: string): boolean {
  return marks.some((mark) => mark.test(text));
}

/** A text that reads the same, and that no mail program makes a link of: with a zero-width space at each mark. */
export function unlinked(text: string): string {
  return marks.reduce(
    (result, mark) =>
      result.replace(new RegExp(mark, `${mark.flags}g`), (found) => `${found}\u200b`),
    text,
  );
}
