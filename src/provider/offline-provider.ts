// A provider that serves no requests: the command line validates clients' metadata with it. It makes no signing keys
// and writes nothing of its own accord, so that a command changes only what it is for.
import { generateKeyPairSync } from 'node:crypto';
import type { JWK } from 'jose';
import { type Provider, errors } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { signingAlgorithms } from '../config/signing-algorithms.ts';
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
   * What of the settings would have a client's metadata accepted, or known, that is not.
   *
   * @param unknown members that {@link validate} has returned; none: it has refused the metadata
   * @returns settings, as they are written in the environment; the member is set that each makes known
   */
  missingSettings(
    metadata: ClientMetadata,
    unknown: readonly string[],
  ): Promise<readonly { readonly setting: string; readonly member?: string }[]>;
  /**
   * Makes an initial access token (RFC 7591 §3), within the unit of work.
   *
   * @param expiresIn seconds
   * @param uses how many clients it may register
   */
  invite(expiresIn: number, uses: number): Promise<string>;
}

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
}

// What has members of metadata, or values of them, that are refused while it is off.
const switches: readonly (readonly [setting: string, on: Partial<Config>])[] = [
  ['SYMBOLON_ENABLE_CIBA=true', { ciba: true }],
  ['SYMBOLON_ENABLE_TOKEN_EXCHANGE=true', { tokenExchange: true }],
  ['SYMBOLON_ENABLE_JWT_BEARER_GRANT=true', { jwtBearerGrant: true }],
  ['SYMBOLON_ENABLE_PASSWORD_GRANT=true', { passwordGrant: true }],
  ['SYMBOLON_ENABLE_ENCRYPTION=true', { encryption: true }],
  ['SYMBOLON_AUTHORIZATION_DETAILS_TYPES', { authorizationDetailsTypes: ['any'] }],
  [
    'SYMBOLON_MTLS_PORT or SYMBOLON_TLS_CLIENT_CERT_HEADER',
    { tlsClient: { certificate: 'any', verify: undefined } },
  ],
  ['SYMBOLON_SIGNING_ALGORITHMS', { signingAlgorithms: [...signingAlgorithms] }],
];

export function createOfflineProvider({ config, storage }: Parts): OfflineProvider {
  const provider = createProvider({
    config,
    storage,
    signingKeys: { keys: throwawayKeys(), algorithms: config.signingAlgorithms },
    pairwiseSecret: Buffer.alloc(32), // no pairwise subject is made
    pages: noPages,
    outgoing: createOutgoing({ config, storage, log: createLog('silent') }),
  });
  const Client = clientOf(provider);
  const validate = async (metadata: ClientMetadata) => {
    assertUris(metadata, 'operator');
    await Client.validate(metadata);
    const known = new Client(metadata).metadata();
    return Object.keys(metadata).filter((name) => !(name in known));
  };
  return {
    needsSecret: (metadata) => Client.needsSecret(metadata),
    validate,
    async missingSettings(metadata, unknown) {
      const refused = await refusal(validate, metadata);
      const tried = switches.map(async ([setting, on]) => {
        const provider = createOfflineProvider({ config: { ...config, ...on }, storage });
        const other = (one: ClientMetadata) => provider.validate(one);
        const help: { setting: string; member?: string }[] = [];
        for (const member of unknown) {
          const others = unknown.filter((one) => one !== member);
          const alone = Object.entries(metadata).filter(([name]) => !others.includes(name));
          // What is unknown is not judged, so what is refused is known.
          const still = await other(Object.fromEntries(alone) as ClientMetadata).catch(
            (): string[] => [],
          );
          if (!still.includes(member)) help.push({ setting, member });
        }
        if (refused !== undefined && (await refusal(other, metadata)) !== refused)
          help.push({ setting });
        return help;
      });
      return (await Promise.all(tried)).flat();
    },
    invite(expiresIn, uses) {
      const token = { expiresIn, uses };
      return new provider.InitialAccessToken(token).save();
    },
  };
}

/** The member for which metadata is refused: messages begin with it. */
async function refusal(
  validate: OfflineProvider['validate'],
  metadata: ClientMetadata,
): Promise<string | undefined> {
  try {
    await validate(metadata);
    return undefined;
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    return /^\w+/.exec(error.error_description ?? '')?.[0] ?? '';
  }
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
  madeKeys ??= [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ed25519'),
  ].map(({ privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), use: 'sig' }));
  return madeKeys;
}
let madeKeys: JWK[] | undefined;

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
