// A provider that serves no requests: the command line validates clients' metadata with it. It makes no signing keys
// and writes nothing of its own accord, so that a command changes only what it is for.
import { generateKeyPairSync } from 'node:crypto';
import type { JWK } from 'jose';
import type { Provider } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { createLog } from '../operations/log.ts';
import type { ClientMetadata } from '../storage/clients.ts';
import type { Storage } from '../storage/storage.ts';
import type { EnginePages } from './configuration.ts';
import { createOutgoing } from './outgoing.ts';
import { createProvider } from './provider.ts';
import { assertUris } from './redirect-uris.ts';

export interface OfflineProvider {
  /** Whether a client with this metadata has a secret. */
  needsSecret(metadata: object): boolean;
  /**
   * Validates a client's metadata as the engine does whenever the client is used, and its URIs.
   *
   * @returns the unknown members
   * @throws {errors.OIDCProviderError} saying what is wrong
   */
  validate(metadata: ClientMetadata): Promise<string[]>;
  /**
   * Makes an initial access token (RFC 7591 §3), within the unit of work.
   *
   * @param expiresIn seconds
   * @param uses how many clients it may register
   */
  invite(expiresIn: number, uses: number): Promise<string>;
}

export function createOfflineProvider({
  config,
  storage,
}: {
  readonly config: Config;
  readonly storage: Storage;
}): OfflineProvider {
  const provider = createProvider({
    config,
    storage,
    signingKeys: { keys: throwawayKeys(), algorithms: config.signingAlgorithms },
    pairwiseSecret: Buffer.alloc(32), // no pairwise subject is made
    pages: noPages,
    outgoing: createOutgoing({ config, storage, log: createLog('silent') }),
  });
  const Client = clientOf(provider);
  return {
    needsSecret: (metadata) => Client.needsSecret(metadata),
    async validate(metadata) {
      assertUris(metadata, 'operator');
      await Client.validate(metadata);
      const known = new Client(metadata).metadata();
      return Object.keys(metadata).filter((name) => !(name in known));
    },
    invite(expiresIn, uses) {
      const token = { expiresIn, uses };
      return new provider.InitialAccessToken(token).save();
    },
  };
}

function clientOf({ Client }: Provider) {
  return Client as unknown as {
    new (metadata: object): { metadata(): object };
    needsSecret(metadata: object): boolean;
    validate(metadata: object): Promise<void>;
  };
}

// With keys for RSA, ES256 and EdDSA, clients may ask for every algorithm that a provider has.
function throwawayKeys(): JWK[] {
  return [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ed25519'),
  ].map(({ privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), use: 'sig' }));
}

const noPage = () =>
  Promise.reject(new Error('a provider that serves nobody was asked for a page'));
const noPages: EnginePages = {
  renderError: noPage,
  logoutSource: noPage,
  postLogoutSuccessSource: noPage,
  userCodeInputSource: noPage,
  userCodeConfirmSource: noPage,
  successSource: noPage,
};
