// What becomes of mails: they are handed to the SMTP server, printed for whoever develops, or there are none.
import type { Values } from './settings.ts';

type Wanted = Pick<Values, 'nodeEnv' | 'issuer' | 'mail'>;

/**
 * Mails hold links that let in whoever reads them, and standard output is what logs are made of. So they are printed only
 * where somebody develops: where SYMBOLON_PRINT_MAILS or NODE_ENV says so, or the issuer is plain http on this machine.
 */
export function mailMode({ nodeEnv, issuer, mail }: Wanted): 'smtp' | 'print' | 'off' {
  if (mail.smtpUrl !== undefined) return 'smtp';
  if (nodeEnv === 'production') return 'off';
  const isLocal = issuer === undefined || (issuer.startsWith('http:') && isThisMachine(issuer));
  return (mail.print ?? (nodeEnv === 'development' || isLocal)) ? 'print' : 'off';
}

/** Whether a URL's host is a loopback address. */
export function isThisMachine(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname);
}
