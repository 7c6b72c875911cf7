// Signs at once with keys whose signature takes a few microseconds. The engine would hand them to a thread of the pool
// and spend more time on waiting than on signing. RSA takes ten times as long and stays with the threads.
import {
  type JsonWebKey,
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  sign,
} from 'node:crypto';
import { ExternalSigningKey, type JWK } from 'oidc-provider';

/** A private key in the form that the engine is given. @param key with `kid`, `alg` and `use` */
export function signingKey(key: JWK): JWK | ExternalSigningKey {
  return key.alg === 'ES256' || key.alg === 'EdDSA' ? new QuickKey(key) : key;
}

class QuickKey extends ExternalSigningKey {
  readonly #private: KeyObject;
  readonly #public: KeyObject;
  readonly #alg: string;

  constructor(key: JWK) {
    super();
    this.#private = createPrivateKey({ key: key as JsonWebKey, format: 'jwk' });
    this.#public = createPublicKey(this.#private);
    this.#alg = key.alg ?? '';
    Object.assign(this, { kid: key.kid, alg: key.alg });
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  override sign(data: Uint8Array): Uint8Array {
    return this.#alg === 'EdDSA'
      ? sign(null, data, this.#private)
      : concatenated(sign('sha256', data, this.#private));
  }
}

/** Converts an ASN.1 sequence of R and S to 32 bytes each (RFC 7518 §3.4). */
function concatenated(sequence: Uint8Array): Uint8Array {
  const joined = new Uint8Array(64);
  let at = 2; // after the tag and length of the sequence
  for (const end of [32, 64]) {
    const length = sequence[at + 1] ?? 0;
    const integer = sequence.subarray(at + 2, at + 2 + length);
    const bytes = integer.subarray(Math.max(0, length - 32)); // without the zero byte of the sign
    joined.set(bytes, end - bytes.length);
    at += 2 + length;
  }
  return joined;
}
