// Forms carry a token bound to what they act on, so that no other site can submit them for a person.
import { timingSafeEqual } from 'node:crypto';
import type { Keyring } from '../keys/keyring.ts';

/** The token for a form that acts on this subject, for example one interaction. */
export function formToken(keyring: Keyring, subject: string): string {
  return keyring.macs('form', subject)[0].toString('base64url');
}

/** Whether a submitted token was made for this subject. */
export function isFormToken(keyring: Keyring, subject: string, token: unknown): boolean {
  if (typeof token !== 'string') return false;
  const given = Buffer.from(token, 'base64url');
  return keyring
    .macs('form', subject)
    .some((mac) => mac.length === given.length && timingSafeEqual(mac, given));
}
