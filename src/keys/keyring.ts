// The keys derived from SYMBOLON_SECRET, one set per secret: the first secret's keys make new things,
// every secret's keys read old ones. Derivation is HKDF-SHA256 (RFC 5869), sealing AES-256-GCM.
import {
  type KeyObject,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const purposes = [
  'seal',
  'refresh',
  'lookup',
  'cookie',
  'form',
  'setup',
  'dpop',
  'webauthn',
  'browser',
  'attempt',
] as const;
export type Purpose = (typeof purposes)[number];

const IV = 12;
const TAG = 16;

/** Sealed data cannot be opened with any secret that this process has. */
export class SealError extends Error {
  constructor(context: string) {
    super(
      `What is sealed as "${context}" cannot be opened with SYMBOLON_SECRET: it was sealed with a secret that is ` +
        'not listed there, or it was altered. Add the former secret behind the current one, after a comma.',
    );
    this.name = 'SealError';
  }
}

export class Keyring {
  // Key objects: given bytes, every operation would spend most of its time on finding out what it was given.
  readonly #keys: readonly Record<Purpose, KeyObject>[];

  /** @param secrets at least one; the first is current */
  constructor(secrets: readonly string[]) {
    if (secrets.length === 0) throw new TypeError('a keyring needs at least one secret');
    this.#keys = secrets.map(
      (secret) =>
        Object.fromEntries(
          purposes.map((purpose) => [
            purpose,
            createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `symbolon ${purpose}`, 32))),
          ]),
        ) as Record<Purpose, KeyObject>,
    );
  }

  /** HMAC-SHA256 of a text under every secret's key for this purpose, the current one first. */
  macs(purpose: Purpose, text: string): [Buffer, ...Buffer[]] {
    return this.#keys.map((keys) => createHmac('sha256', keys[purpose]).update(text).digest()) as [
      Buffer,
      ...Buffer[],
    ];
  }

  /**
   * Seals a text with AES-256-GCM. The key is derived from the context, which is the record's own identity:
   * a sealed value opens only where it belongs, and no key is used for more than a few records.
   */
  seal(context: string, text: string): Uint8Array<ArrayBuffer> {
    const iv = randomBytes(IV);
    const cipher = createCipheriv(
      'aes-256-gcm',
      createSecretKey(this.macs('seal', context)[0]),
      iv,
    );
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return new Uint8Array(Buffer.concat([iv, cipher.getAuthTag(), body]));
  }

  /** Opens what {@link seal} made. @throws {SealError} */
  unseal(context: string, sealed: Uint8Array): string {
    return this.#open(context, sealed).text;
  }

  /** The same, sealed under the first secret; nothing when it is already. @throws {SealError} */
  reseal(context: string, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const { text, index } = this.#open(context, sealed);
    return index === 0 ? undefined : this.seal(context, text);
  }

  #open(context: string, sealed: Uint8Array): { text: string; index: number } {
    for (const [index, key] of this.macs('seal', context).entries()) {
      const decipher = createDecipheriv(
        'aes-256-gcm',
        createSecretKey(key),
        sealed.subarray(0, IV),
        {
          authTagLength: TAG,
        },
      );
      decipher.setAuthTag(sealed.subarray(IV, IV + TAG));
      try {
        const body = [decipher.update(sealed.subarray(IV + TAG)), decipher.final()];
        return { text: Buffer.concat(body).toString('utf8'), index };
      } catch {
        // Sealed under another secret: the next one is tried.
      }
    }
    throw new SealError(context);
  }

  /** Keys for signed cookies, the current one first. */
  get cookieKeys(): string[] {
    return this.#keys.map(({ cookie }) => cookie.export().toString('base64url'));
  }
}

/** SHA-256 of a text. */
export function sha256(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hash('sha256', text, 'buffer'));
}

/**
 * The secret of an installation with an embedded database: made once, kept in the data folder with mode 0600.
 * Processes that start together end with the same one.
 *
 * @param dataDir absolute path; made when missing
 */
export function keptSecret(dataDir: string): string {
  const file = join(dataDir, 'secret');
  const read = (): string => readFileSync(file, 'utf8').trim();
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  try {
    linkSync(draft, file); // fails when another process was first
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return read();
}
