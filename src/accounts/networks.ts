// The networks of an address, by which strangers are counted and wait. Of IPv6 a household or a rented server has a /64
// at least, and may have a /56 or a /48, which has 65,536 of them.
import ipaddr from 'ipaddr.js';

/** From the narrowest to the widest: bits of an IPv6 address. */
const WIDTHS = [64, 56, 48] as const;

/**
 * The networks of an address, from the narrowest to the widest.
 *
 * @returns for IPv4 the address alone; for IPv6 its /64, /56 and /48; for anything else what was given
 */
export function networksOf(ip: string): [narrowest: string, ...wider: string[]] {
  if (!ipaddr.isValid(ip)) return [ip];
  const address = ipaddr.process(ip); // IPv4 that is written as IPv6 is IPv4
  if (address.kind() === 'ipv4') return [address.toString()];
  const hex = Buffer.from(address.toByteArray()).toString('hex');
  const [narrowest, ...wider] = WIDTHS.map((bits) => `${hex.slice(0, bits / 4)}/${bits}`);
  return [narrowest as string, ...wider];
}

/** The narrowest network of an address: one household's, or one server's. */
export function networkOf(ip: string): string {
  return networksOf(ip)[0];
}

/** The widest network of an address: all that one owner may have. */
export function widestNetworkOf(ip: string): string {
  return networksOf(ip).at(-1) as string;
}
