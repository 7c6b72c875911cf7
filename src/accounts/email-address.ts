// E-mail addresses. They are kept as people write them, and compared in one form: lower case, the domain in ASCII (RFC
// 5891, punycode). So an internationalised domain finds the same account in both of its forms.
import { domainToASCII, domainToUnicode } from 'node:url';

const LONGEST = 254; // RFC 5321 §4.5.3.1.3, without the angle brackets
const LONGEST_LOCAL = 64; // RFC 5321 §4.5.3.1.1

// The atoms of RFC 5322 §3.2.3, which are what HTML's `<input type=email>` accepts too.
const local = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const domain =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const writtenDomain = /^[\p{L}\p{M}\p{N}.-]+$/u;

/** An address as it is kept: trimmed, lower case, in Unicode's form C. Whether it is one is not looked at. */
export function writtenAddress(typed: string): string {
  const [name, host] = parts(typed.trim().normalize('NFC').toLowerCase());
  return host === undefined ? name : `${name}@${host.replace(/[。．｡]/g, '.')}`;
}

/** An address as it is compared, and as a mail server takes it; of what is none, a text that equals no address. */
export function asciiAddress(typed: string): string {
  const [name, host] = parts(writtenAddress(typed));
  if (host === undefined) return name;
  const isAscii = /^[\u0000-\u007f]*$/.test(host);
  return `${name}@${isAscii ? host : domainToASCII(host)}`;
}

/** An address with its domain in Unicode. */
export function unicodeAddress(address: string): string {
  const [name, host] = parts(address);
  return host === undefined ? name : `${name}@${domainToUnicode(host)}`;
}

/** What is wrong with an address, by the key of its message. @returns undefined when it is one */
export function addressProblem(
  written: string,
): 'account.email-invalid' | 'account.email-too-long' | undefined {
  const ascii = asciiAddress(written);
  const [name, host = ''] = parts(ascii);
  const [, hostWritten = ''] = parts(written);
  if (!local.test(name) || !writtenDomain.test(hostWritten) || !domain.test(host))
    return 'account.email-invalid';
  const isTooLong = name.length > LONGEST_LOCAL || Math.max(ascii.length, written.length) > LONGEST;
  return isTooLong ? 'account.email-too-long' : undefined;
}

/** The local part, and the domain after the last @. */
function parts(address: string): [name: string, host?: string] {
  const at = address.lastIndexOf('@');
  return at < 0 ? [address] : [address.slice(0, at), address.slice(at + 1)];
}
