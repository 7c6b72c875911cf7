// An authenticator in software (WebAuthn §6): it makes and uses credentials as a device would, and does on request what
// a device would not: leave out the user's verification, go back with its counter, answer for another origin.
import { type KeyObject, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isoCBOR } from '@simplewebauthn/server/helpers';

export interface Behaviour {
  readonly origin?: string;
  readonly rpId?: string;
  readonly verifiesUser?: boolean;
  /** Without: as many uses as there were, when it counts at all. */
  readonly counter?: number;
  readonly userHandle?: string | null;
  readonly challenge?: string;
}

interface Options {
  readonly counts?: boolean;
  readonly isSynced?: boolean;
}

export class Authenticator {
  readonly id = randomBytes(32);
  readonly #origin: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #options: Options;
  #uses = 0;
  #userHandle = '';

  constructor(issuer: string, options: Options = {}) {
    this.#origin = new URL(issuer).origin;
    this.#options = options;
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#privateKey = pair.privateKey;
    this.#publicKey = pair.publicKey;
  }

  /** Answers to options for registration, as a browser gives it in JSON. */
  create(
    options: { challenge: string; user: { id: string } },
    behaviour: Behaviour = {},
  ): Record<string, unknown> {
    this.#userHandle = options.user.id;
    const { x = '', y = '' } = this.#publicKey.export({ format: 'jwk' });
    const cose = new Map<number, number | Uint8Array>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, new Uint8Array(Buffer.from(x, 'base64url'))],
      [-3, new Uint8Array(Buffer.from(y, 'base64url'))],
    ]);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const authData = Buffer.concat([
      this.#authenticatorData(0x40, behaviour),
      Buffer.alloc(16),
      length,
      this.id,
      isoCBOR.encode(cose),
    ]);
    const attestation = isoCBOR.encode(
      new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', new Uint8Array(authData)],
      ]) as Parameters<typeof isoCBOR.encode>[0],
    );
    return {
      ...this.#credential(),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', options.challenge, behaviour),
        attestationObject: Buffer.from(attestation).toString('base64url'),
        transports: ['internal'],
      },
    };
  }

  /** Answers to options for authentication. */
  get(options: { challenge: string }, behaviour: Behaviour = {}): Record<string, unknown> {
    this.#uses++;
    const authData = this.#authenticatorData(0, behaviour);
    const clientDataJSON = this.#clientData('webauthn.get', options.challenge, behaviour);
    const clientDataHash = createHash('sha256')
      .update(Buffer.from(clientDataJSON, 'base64url'))
      .digest();
    const signature = sign('sha256', Buffer.concat([authData, clientDataHash]), this.#privateKey);
    const { userHandle = this.#userHandle } = behaviour;
    return {
      ...this.#credential(),
      response: {
        clientDataJSON,
        authenticatorData: authData.toString('base64url'),
        signature: signature.toString('base64url'),
        ...(userHandle === null ? {} : { userHandle }),
      },
    };
  }

  #credential(): Record<string, unknown> {
    const id = this.id.toString('base64url');
    return { id, rawId: id, type: 'public-key', clientExtensionResults: {} };
  }

  #clientData(type: string, challenge: string, behaviour: Behaviour): string {
    const data = {
      type,
      challenge: behaviour.challenge ?? challenge,
      origin: behaviour.origin ?? this.#origin,
    };
    return Buffer.from(JSON.stringify(data)).toString('base64url');
  }

  // §6.1: the hash of the relying party's id, flags, counter.
  #authenticatorData(more: number, behaviour: Behaviour): Buffer {
    const rpId = behaviour.rpId ?? new URL(this.#origin).hostname;
    const verified = behaviour.verifiesUser === false ? 0 : 0x04;
    const synced = this.#options.isSynced ? 0x18 : 0;
    const rest = Buffer.alloc(5);
    rest.writeUInt8(0x01 | verified | synced | more);
    rest.writeUInt32BE(behaviour.counter ?? (this.#options.counts ? this.#uses : 0), 1);
    return Buffer.concat([createHash('sha256').update(rpId).digest(), rest]);
  }
}
