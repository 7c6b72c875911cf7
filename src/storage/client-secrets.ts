// The secrets of a client, as one text that is sealed with the client's row: so that each is read with the client, and
// changing them is one write. A client may have several at a time, which is how one is replaced without an outage.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sha256 } from '../keys/keyring.ts';

// One after the other, each `sha256$SALT$HASH$CREATED$EXPIRES` with times in seconds since the epoch and 0 for none, all
// joined by another `$`. A process of the former build takes the first for the only one. A client's only secret may also
// be there without times, as the former build wrote it, or be the secret itself, where that is needed.
const SCHEME = 'sha256';
const FIELDS = 5;

/** One of a client's secrets. Times are in seconds since the epoch; 0: not known, never. */
export interface ClientSecret {
  /** Eight hexadecimal digits, which tell nothing of the secret. */
  readonly id: string;
  readonly salt: string;
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** A new client secret: 256 random bits, base64url. */
export function newClientSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** @param createdAt and `expiresAt` as of {@link ClientSecret} */
export function hashedSecret(secret: string, createdAt: number, expiresAt = 0): ClientSecret {
  const salt = randomBytes(16).toString('base64url');
  const hash = hashOf(salt, secret).toString('base64url');
  return { id: idOf(salt), salt, hash, createdAt, expiresAt };
}

/** @returns undefined when the secret is kept as it is */
export function parseSecrets(stored: string): ClientSecret[] | undefined {
  const fields = stored.split('$');
  if (fields[0] !== SCHEME || fields.length < 3) return undefined;
  const secrets: ClientSecret[] = [];
  for (let at = 0; at < fields.length; at += FIELDS) {
    const [, salt = '', hash = '', createdAt = '0', expiresAt = '0'] = fields.slice(
      at,
      at + FIELDS,
    );
    const times = { createdAt: Number(createdAt), expiresAt: Number(expiresAt) };
    secrets.push({ id: idOf(salt), salt, hash, ...times });
  }
  return secrets;
}

/** The text that {@link parseSecrets} reads. */
export function formatSecrets(secrets: readonly ClientSecret[]): string {
  return secrets
    .map(({ salt, hash, createdAt, expiresAt }) =>
      [SCHEME, salt, hash, createdAt, expiresAt].join('$'),
    )
    .join('$');
}

/**
 * Finds the secret that is presented, in constant time for each.
 *
 * @param now in seconds since the epoch
 * @returns its id, empty for a secret that is kept as it is; undefined when it is none of them, or has expired
 */
export function presentedSecret(
  stored: string | undefined,
  presented: string,
  now: number,
): string | undefined {
  if (stored === undefined) return undefined;
  const secrets = parseSecrets(stored);
  if (!secrets) return timingSafeEqual(sha256(presented), sha256(stored)) ? '' : undefined;
  return secrets.find(
    ({ salt, hash, expiresAt }) =>
      (expiresAt === 0 || expiresAt > now) &&
      timingSafeEqual(hashOf(salt, presented), Buffer.from(hash, 'base64url')),
  )?.id;
}

function hashOf(salt: string, secret: string): Buffer {
  return Buffer.from(sha256(`${salt}$${secret}`));
}

function idOf(salt: string): string {
  return Buffer.from(salt, 'base64url').toString('hex').slice(0, 8);
}
