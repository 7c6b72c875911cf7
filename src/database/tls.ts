// TLS to the database, as libpq's `sslmode` and its companions in the URL say.
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { DatabaseUrl } from '../config/database-url.ts';

export type Tls = false | ConnectionOptions;

/**
 * What libpq's `sslmode` means, in the order to be tried (PostgreSQL's documentation, "SSL Support", table 32.1).
 * `require` with `sslrootcert` is `verify-ca`, as there. Without `sslrootcert`, `verify-full` trusts Node's authorities.
 */
export function tlsOf({ sslMode, parameters }: DatabaseUrl): Tls[] {
  const read = (name: string): string | undefined => {
    const file = parameters.get(name);
    if (!file || file === 'system') return undefined;
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      const { code = '' } = cause as NodeJS.ErrnoException;
      throw new Error(`The ${name} of the database's URL, ${file}, cannot be read (${code}).`, {
        cause,
      });
    }
  };
  if (sslMode === 'disable') return [false];
  const [ca, cert, key, crl] = ['sslrootcert', 'sslcert', 'sslkey', 'sslcrl'].map(read);
  const passphrase = parameters.get('sslpassword');
  const own = { ...given({ cert, key, passphrase, crl }) };
  const unverified = { ...own, rejectUnauthorized: false };
  const authority = { ...own, ...given({ ca }), checkServerIdentity: () => undefined };
  switch (sslMode) {
    case 'allow':
      return [false, unverified];
    case 'prefer':
      return [unverified, false];
    case 'require':
      return [ca === undefined ? unverified : authority];
    case 'verify-ca':
      return [authority];
    case 'verify-full':
      return [{ ...own, ...given({ ca }) }];
  }
}

function given<T extends object>(values: T): Partial<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
