// The keys derived from SYMBOLON_SECRET, one set per secret: the first secret's keys make new values, all secrets' keys
// read old ones. Derivation is HKDF-SHA256 (RFC 5869), sealing AES-256-GCM (NIST SP 800-38D).
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
  'refresh-tag',
  'lookup',
  'cookie',
  'form',
  'setup',
  'dpop',
  'webauthn',
  'browser',
  'attempt',
] as const;
export type KeyPurpose = (typeof purposes)[number];

const SALT = 16;
const IV = 12;
const TAG = 16;
/** IVs that are drawn at once: drawing takes longer than sealing. */
const IVS = 256;
/** Texts sealed under one key, each with a random IV: far below the 2^32 of NIST SP 800-38D §8.3. */
const MOST = 2 ** 28;
/** Salts whose keys are cached: every process has one of its own. */
const MOST_SALTS = 1000;

/** Sealed data cannot be opened with any secret that this process has. */
export class SealError extends Error {
  constructor(context: string) {
    super(
      `What is sealed as "${context}" cannot be opened with SYMBOLON_SECRET: it was sealed with a secret that is ` +
        'not listed there, or it was altered. Add the former secret behind the current one, after a comma. ' +
        'If that is lost: `symbolon secret abandon` tells what can be kept without it.',
    );
    this.name = 'SealError';
  }
}

export class Keyring {
  // Key objects: with bytes, every operation would spend most of its time on importing the key.
  readonly #keys: readonly Record<KeyPurpose, KeyObject>[];
  /** The keys for sealing, one for every secret, by their salt. */
  readonly #sealing = new Map<string, readonly KeyObject[]>();
  readonly #most: number;
  #ivs = Buffer.alloc(0);
  #own: { readonly salt: Buffer; readonly key: KeyObject; count: number };

  /**
   * @param secrets at least one; the first is current
   * @param most texts to be sealed under one key
   */
  constructor(secrets: readonly string[], most = MOST) {
    if (secrets.length === 0) throw new TypeError('a keyring needs at least one secret');
    this.#keys = secrets.map(
      (secret) =>
        Object.fromEntries(
          purposes.map((purpose) => [
            purpose,
            createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `symbolon ${purpose}`, 32))),
          ]),
        ) as Record<KeyPurpose, KeyObject>,
    );
    this.#most = most;
    this.#own = this.#newOwn();
  }

  /** HMAC-SHA256 of a text under one secret's key for this purpose. @param number the secret's; 0 is the current one */
  mac(purpose: KeyPurpose, text: string, number: number): Buffer {
    const keys = this.#keys[number];
    if (!keys) throw new RangeError(`the keyring has no secret ${number}`);
    return macWith(keys, purpose, text);
  }

  /** HMAC-SHA256 of a text under every secret's key for this purpose, the current one first. */
  macs(purpose: KeyPurpose, text: string): [Buffer, ...Buffer[]] {
    return this.#keys.map((keys) => macWith(keys, purpose, text)) as [Buffer, ...Buffer[]];
  }

  /**
   * Seals a text with AES-256-GCM, under a key of this process, derived with a salt. The context is the record's
   * identity and is authenticated: a sealed value opens only where it belongs.
   */
  seal(context: string, text: string): Uint8Array<ArrayBuffer> {
    if (this.#own.count >= this.#most) this.#own = this.#newOwn();
    this.#own.count++;
    const { salt, key } = this.#own;
    const iv = this.#randomIv();
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    cipher.setAAD(Buffer.from(context));
    const body = [cipher.update(text, 'utf8'), cipher.final()];
    return Buffer.concat([salt, iv, cipher.getAuthTag(), ...body]);
  }

  /** Opens what {@link seal} made. @throws {SealError} */
  unseal(context: string, sealed: Uint8Array): string {
    return this.#open(context, sealed).text;
  }

  /**
   * Seals a value again under the first secret.
   *
   * @returns undefined when it is sealed under that already
   * @throws {SealError}
   */
  reseal(context: string, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const { text, isCurrent } = this.#open(context, sealed);
    return isCurrent ? undefined : this.seal(context, text);
  }

  #open(context: string, sealed: Uint8Array): { text: string; isCurrent: boolean } {
    const salt = nameOf(sealed.subarray(0, SALT));
    const kept = this.#sealing.get(salt);
    const keys = kept ?? this.#sealingKeys(salt);
    for (const [index, key] of keys.entries()) {
      const text = opened(key, sealed.subarray(SALT), context);
      if (text === undefined) continue;
      if (!kept) this.#keep(salt, keys); // a process has sealed with this salt
      return { text, isCurrent: index === 0 };
    }
    // A value sealed before there were salts has a key of its own, derived from the context.
    for (const key of this.macs('seal', context)) {
      const text = opened(createSecretKey(key), sealed);
      if (text !== undefined) return { text, isCurrent: false };
    }
    throw new SealError(context);
  }

  #randomIv(): Uint8Array {
    if (this.#ivs.length === 0) this.#ivs = randomBytes(IVS * IV);
    const iv = this.#ivs.subarray(0, IV);
    this.#ivs = this.#ivs.subarray(IV);
    return iv;
  }

  #newOwn() {
    const salt = randomBytes(SALT);
    const [key] = this.#sealingKeys(nameOf(salt));
    return { salt, key: key as KeyObject, count: 0 };
  }

  /** The sealing keys with this salt, one for every secret. */
  #sealingKeys(salt: string): readonly KeyObject[] {
    return this.macs('seal', `salt ${salt}`).map((key) => createSecretKey(key));
  }

  #keep(salt: string, keys: readonly KeyObject[]): void {
    if (this.#sealing.size >= MOST_SALTS) this.#sealing.clear();
    this.#sealing.set(salt, keys);
  }

  /** Keys for signed cookies, the current one first. */
  get cookieKeys(): string[] {
    return this.#keys.map(({ cookie }) => cookie.export().toString('base64url'));
  }
}

function macWith(keys: Record<KeyPurpose, KeyObject>, purpose: KeyPurpose, text: string): Buffer {
  return createHmac('sha256', keys[purpose]).update(text).digest();
}

/** @returns undefined when it was not sealed with this key, or belongs to another record */
function opened(key: KeyObject, sealed: Uint8Array, context?: string): string | undefined {
  if (sealed.length < IV + TAG) return undefined;
  const iv = sealed.subarray(0, IV);
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG });
  if (context !== undefined) decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(IV, IV + TAG));
  try {
    const body = [decipher.update(sealed.subarray(IV + TAG)), decipher.final()];
    return Buffer.concat(body).toString('utf8');
  } catch {
    return undefined;
  }
}

function nameOf(salt: Uint8Array): string {
  return Buffer.from(salt.buffer, salt.byteOffset, salt.length).toString('base64url');
}

/** SHA-256 of a text. */
export function sha256(text: string): Buffer<ArrayBuffer> {
  return hash('sha256', text, 'buffer');
}

/**
 * The secret of an installation with an embedded database: made once, stored in the data folder with mode 0600.
 * Processes that start together get the same one.
 *
 * @param dataDir absolute path; created when missing
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
