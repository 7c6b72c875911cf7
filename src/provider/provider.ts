// The engine, configured. One Provider is immutable: other keys or settings make a new one.
import {
  type Configuration,
  type JWK,
  type KoaContextWithOIDC,
  Provider,
  errors,
} from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { createAdapter } from '../storage/adapter.ts';
import { nextRefreshToken } from '../storage/families/adapter.ts';
import { isClientSecret } from '../storage/clients.ts';
import { latestGrant } from '../storage/grants.ts';
import { answered } from '../storage/errors.ts';
import { isFirstUse } from '../storage/replay.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { accessTokenClaims, findAccountWith, pairwiseSubject } from './account.ts';
import { levels } from '../accounts/factors.ts';
import { answeredLevel, signInClaims } from './assurance.ts';
import { authorizationDetails } from './authorization-details.ts';
import { ciba } from './ciba.ts';
import { claimsPolicy } from './claims.ts';
import {
  assertFapi2Algorithm,
  clientMetadata,
  authOf,
  isFapi2,
  validateClientMetadata,
} from './client-metadata.ts';
import { type Grant, allowFirstParty, grantMembers, isFirstParty } from './consent.ts';
import { completeDiscovery } from './discovery.ts';
import { installSeams } from './engine-seams/replaced.ts';
import { registerExtraGrants } from './extra-grants.ts';
import { createInteractionPolicy } from './interaction-policy.ts';
import { mutualTls } from './mutual-tls.ts';
import type { Outgoing } from './outgoing.ts';
import { introspected, refuseWithReason, tellRefreshTokenExpiry } from './refresh-answers.ts';
import { endsWithSession, needsConsentPrompt, refreshPolicy } from './refresh-policy.ts';
import { registrantOf, registration } from './registration.ts';
import { resourceIndicators } from './resources.ts';
import { signingKey } from './signing.ts';
import { registerTokenExchange } from './token-exchange.ts';

type Client = NonNullable<KoaContextWithOIDC['oidc']['client']>;

/** The pages that the engine asks for; see pages/engine-pages.ts. */
export interface EnginePages {
  renderError: NonNullable<Configuration['renderError']>;
  logoutSource: (ctx: KoaContextWithOIDC, form: string) => Promise<void>;
  postLogoutSuccessSource: (ctx: KoaContextWithOIDC) => Promise<void>;
  userCodeInputSource: (
    ctx: KoaContextWithOIDC,
    form: string,
    out?: object,
    error?: Error,
  ) => Promise<void>;
  userCodeConfirmSource: (
    ctx: KoaContextWithOIDC,
    form: string,
    client: unknown,
    deviceInfo: unknown,
    userCode: string,
  ) => Promise<void>;
  successSource: (ctx: KoaContextWithOIDC) => Promise<void>;
}

export interface ProviderParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly signingKeys: readonly JWK[];
  /** From which pairwise subjects are made. */
  readonly pairwiseSecret: Buffer;
  readonly pages: EnginePages;
  readonly outgoing: Outgoing;
}

const INTERACTION_TTL = 3600;
const CODE_TTL = 60; // RFC 6749 §4.1.2: at most ten minutes; FAPI 2.0: at most 60 seconds
const DEVICE_CODE_TTL = 600;
const PUSHED_REQUEST_TTL = 60;
const AS_LONG_AS_IT_IS_THERE = 3_155_760_000; // a hundred years

export function createProvider(parts: ProviderParts): Provider {
  return adapt(new Provider(parts.config.issuer, configuration(parts)), parts);
}

/** What is changed on the engine's classes, and added to its answers. @returns the same provider */
export function adapt(provider: Provider, parts: ProviderParts): Provider {
  const { config, storage } = parts;
  installSeams(provider, {
    nextRefreshToken,
    introspected,
    isFirstUse,
    isClientSecret,
    grantMembers,
    origin: () => currentUnit().origin,
    now: () => epoch(storage.now()),
    assumesConsent: (client) => client !== undefined && !needsConsentPrompt(client),
    acr: answeredLevel,
  });
  registerExtraGrants(provider, parts);
  const findAccount = findAccountWith(storage, claimsPolicy(config));
  registerTokenExchange(provider, { ...parts, findAccount });

  // A refusal that is told by a redirect has a status of success.
  const refuse = () => {
    currentUnit().refuse();
  };
  provider.on('authorization.error', refuse);
  refuseWithReason(provider);
  provider.use(tellRefreshTokenExpiry);
  provider.use(completeDiscovery(config));
  provider.on('server_error', refuse);
  return provider;
}

/** The engine's configuration, without what is changed on its classes. */
export function configuration({
  config,
  storage,
  signingKeys,
  pages,
  outgoing,
  pairwiseSecret,
}: ProviderParts): Configuration {
  const { prisma, keyring } = storage;
  const policy = refreshPolicy(config);
  const claims = claimsPolicy(config);
  const algorithms = ['RS256', 'ES256', 'PS256', 'EdDSA'] as const;
  // Symmetric ones would need client secrets as they are; they are kept as hashes.
  const encryption = {
    alg: ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES'],
    enc: ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'],
  } as const;
  const rules = {
    registrantOf: registrantOf(config),
    defaults: (metadata: object) => policy.inEffect(authOf(metadata)),
  };
  return {
    adapter: createAdapter(policy),
    jwks: { keys: signingKeys.map(signingKey) },
    cookies: {
      keys: keyring.cookieKeys,
      names: {
        session: 'symbolon_session',
        interaction: 'symbolon_interaction',
        resume: 'symbolon_resume',
      },
    },
    routes: {
      authorization: '/authorize',
      code_verification: '/device',
      backchannel_authentication: '/backchannel_authentication',
      device_authorization: '/device_authorization',
      end_session: '/logout',
      introspection: '/introspect',
      jwks: '/jwks',
      pushed_authorization_request: '/par',
      registration: '/register',
      revocation: '/revoke',
      token: '/token',
      userinfo: '/userinfo',
    },
    scopes: claims.scopes,
    claims: claims.byScope,
    acrValues: [...levels],
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: (_ctx, accountId, client) =>
      Promise.resolve(pairwiseSubject(pairwiseSecret, sectorOf(client), accountId)),
    extraTokenClaims(ctx, token) {
      const act = ctx.state['act'] as object | undefined;
      if (token.kind !== 'AccessToken') return act ? { act } : undefined;
      const told = { ...accessTokenClaims(ctx, claims), ...signInClaims(ctx) };
      return act || Object.keys(told).length > 0 ? { ...told, ...(act ? { act } : {}) } : undefined;
    },
    // What a client may register; by default it gets `code` alone. The others are for old applications: tokens in the
    // front channel leak (RFC 9700 §2.1.2), and none of them gives a refresh token without a code.
    responseTypes: [
      'code',
      'code id_token',
      'code token',
      'code id_token token',
      'id_token',
      'id_token token',
    ],
    fetch: outgoing.fetch,
    pkce: {
      required: (_ctx, client) =>
        config.requirePkce || client.clientAuthMethod === 'none' || isFapi2(client),
    },
    clientAuthMethods: [
      ...(config.tlsClient || config.tls?.mtlsPort !== undefined
        ? (['tls_client_auth', 'self_signed_tls_client_auth'] as const)
        : []),
      'client_secret_basic',
      'client_secret_post',
      'client_secret_jwt',
      'private_key_jwt',
      'none',
    ],
    clientDefaults: {
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'client_secret_basic',
    },
    enabledJWA: {
      idTokenSigningAlgValues: [...algorithms],
      userinfoSigningAlgValues: [...algorithms],
      introspectionSigningAlgValues: [...algorithms],
      authorizationSigningAlgValues: [...algorithms],
      requestObjectSigningAlgValues: [...algorithms],
      clientAuthSigningAlgValues: ['HS256', ...algorithms],
      dPoPSigningAlgValues: ['ES256', 'PS256', 'EdDSA'],
      idTokenEncryptionAlgValues: [...encryption.alg],
      idTokenEncryptionEncValues: [...encryption.enc],
      userinfoEncryptionAlgValues: [...encryption.alg],
      userinfoEncryptionEncValues: [...encryption.enc],
      introspectionEncryptionAlgValues: [...encryption.alg],
      introspectionEncryptionEncValues: [...encryption.enc],
      authorizationEncryptionAlgValues: [...encryption.alg],
      authorizationEncryptionEncValues: [...encryption.enc],
      requestObjectEncryptionAlgValues: [],
      requestObjectEncryptionEncValues: [],
    },
    // FAPI 2.0 §5.3.2.1: only the issuer, as a string, is the audience of an assertion.
    assertJwtClientAuthClaimsAndHeader(ctx, assertion, header, client) {
      if (ctx.oidc.isFapi('2.0') && assertion['aud'] !== config.issuer)
        throw new errors.InvalidClientAuth('audience (aud) must equal the issuer identifier');
      assertFapi2Algorithm(client, header, (message) => new errors.InvalidClientAuth(message));
      return Promise.resolve();
    },
    conformIdTokenClaims: true,
    // Scripts of the origins that a browser-based client is registered with, and no others.
    clientBasedCORS: (ctx, origin, client) =>
      (ctx.oidc.route === 'userinfo' || client.clientAuthMethod === 'none') &&
      (client.redirectUris ?? []).some(
        (uri) => origin !== 'null' && URL.parse(uri)?.origin === origin,
      ),
    extraClientMetadata: {
      properties: Object.keys(clientMetadata),
      validator: (ctx, name, value, metadata) => {
        validateClientMetadata(rules, ctx, name, value, metadata);
      },
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: pages.userCodeInputSource,
        userCodeConfirmSource: pages.userCodeConfirmSource,
        successSource: pages.successSource,
      },
      introspection: {
        enabled: true,
        // Only clients that authenticate may ask: about any access token (they may be its resource server), but
        // about refresh tokens only of their own (RFC 7662 §2.1, §4).
        allowedPolicy: (_ctx, client, token) =>
          client.clientAuthMethod !== 'none' &&
          (token.kind !== 'RefreshToken' || token.clientId === client.clientId),
      },
      // Every process knows the others' nonces: they come from SYMBOLON_SECRET (RFC 9449 §8).
      dPoP: { enabled: true, nonceSecret: keyring.macs('dpop', 'nonce')[0] },
      mTLS: mutualTls(config),
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => {
          if (token.clientId === client.clientId) return true;
          throw new errors.InvalidRequest('the token was issued to another client'); // RFC 7009 §2.1
        },
      },
      clientCredentials: { enabled: true },
      ciba: ciba(config, storage),
      resourceIndicators: resourceIndicators(storage),
      richAuthorizationRequests: authorizationDetails(config.authorizationDetailsTypes),
      claimsParameter: { enabled: true },
      requestObjects: {
        enabled: true,
        // FAPI 2.0 Message Signing §5.3.1.1; CIBA §7.1.1.
        assertJwtClaimsAndHeader(ctx, { exp, nbf, iat, jti, aud }, header, client) {
          const refuse = (message: string) => new errors.InvalidRequestObject(message);
          if (ctx.oidc.route === 'backchannel_authentication') {
            if ([exp, nbf, iat, jti, aud].includes(undefined))
              throw refuse('Request Object must have aud, exp, iat, nbf and jti');
          }
          // What was pushed has been looked at when it was.
          const isPushed = 'PushedAuthorizationRequest' in ctx.oidc.entities;
          if (!isFapi2(client) || isPushed) return Promise.resolve();
          assertFapi2Algorithm(client, header, refuse);
          if (typeof exp !== 'number' || typeof nbf !== 'number' || aud === undefined)
            throw refuse('Request Object must have aud, exp and nbf');
          if (exp <= nbf || exp - nbf > 3600 || epoch(storage.now()) - nbf > 3600)
            throw refuse('Request Object must be valid for an hour at most, from nbf on');
          return Promise.resolve();
        },
      },
      jwtResponseModes: { enabled: true },
      jwtIntrospection: { enabled: true },
      jwtUserinfo: { enabled: true },
      backchannelLogout: { enabled: true },
      encryption: { enabled: config.encryption },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      fapi: {
        enabled: true,
        profile: (_ctx, client) => (isFapi2(client) ? '2.0' : undefined),
      },
      ...registration(config),
      // An experimental feature, as the one above: its version is acknowledged here, and nowhere else.
      clientIdMetadataDocument: {
        enabled: config.clientIdMetadataDocuments,
        ack: 'draft-02',
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: pages.logoutSource,
        postLogoutSuccessSource: pages.postLogoutSuccessSource,
      },
    },
    interactions: {
      policy: createInteractionPolicy(prisma),
      url: (_ctx, interaction) => `${config.basePath}/interaction/${interaction.uid}`,
    },
    loadExistingGrant,
    findAccount: findAccountWith(storage, claims),
    // OIDC Core §11: only with offline_access, and only for clients that may refresh.
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access'),
    rotateRefreshToken: ({ oidc }) => {
      const { RefreshToken: token, Client: client } = oidc.entities;
      // A retry gets the successor, whatever the policy has become since.
      const { family } = currentUnit();
      if (family?.kind === 'presented' && family.verdict === 'retry') return true;
      return token !== undefined && client !== undefined && policy.rotates(client, token);
    },
    // OIDC Core §11: offline access outlasts the session, unless the client says otherwise.
    expiresWithSession: ({ oidc }, source) =>
      !source.scopes.has('offline_access') ||
      (oidc.client !== undefined && endsWithSession(oidc.client)),
    renderError: pages.renderError,
    ttl: {
      AccessToken: (_ctx, { resourceServer }) =>
        resourceServer?.accessTokenTTL ?? config.ttl.accessToken,
      AuthorizationCode: CODE_TTL,
      ClientCredentials: (_ctx, { resourceServer }) =>
        resourceServer?.accessTokenTTL ?? config.ttl.accessToken,
      DeviceCode: DEVICE_CODE_TTL,
      BackchannelAuthenticationRequest: ({ oidc }) =>
        Math.min(DEVICE_CODE_TTL, Number(oidc.params?.['requested_expiry'] ?? DEVICE_CODE_TTL)),
      // Whatever hangs on a grant is shorter; starting a refresh-token family extends it.
      Grant: Math.max(config.ttl.session, config.ttl.refreshTokenAbsolute),
      IdToken: config.ttl.idToken,
      Interaction: INTERACTION_TTL,
      PushedAuthorizationRequest: PUSHED_REQUEST_TTL,
      // As long as the client is there (RFC 7592 §3), and the invitation that was made for it.
      RegistrationAccessToken: AS_LONG_AS_IT_IS_THERE,
      RefreshToken: (_ctx, token, client) =>
        policy.remaining(client, token.iiat ?? epoch(storage.now()), epoch(storage.now())),
      // Of somebody who has not signed in there is nothing to remember for long.
      Session: (_ctx, session) =>
        session.accountId === undefined ? INTERACTION_TTL : config.ttl.session,
    },
  };

  function isAllowed(grant: object): boolean {
    const { consentExpiresAt } = grant as { consentExpiresAt?: number };
    return consentExpiresAt === undefined || consentExpiresAt > epoch(storage.now());
  }

  /**
   * The grant of this browser session; in a session without one, a copy of what the person has granted to this
   * client elsewhere, so that consent is asked for once and revoking one device leaves the others. The operator's own
   * client is granted what it asks for, except offline access.
   */
  async function loadExistingGrant(ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
    const { client, session, provider } = ctx.oidc;
    const accountId = session?.accountId;
    if (!client || accountId === undefined) return undefined;
    const remembered = await rememberedGrant(ctx, client, accountId);
    if (!isFirstParty(client)) return remembered;
    const grant = remembered ?? new provider.Grant({ accountId, clientId: client.clientId });
    if (allowFirstParty(ctx, grant)) await grant.save();
    return grant;
  }

  async function rememberedGrant(
    { oidc: { session, result, provider } }: KoaContextWithOIDC,
    client: Client,
    accountId: string,
  ): Promise<Grant | undefined> {
    const grantId = result?.consent?.grantId ?? session?.grantIdFor(client.clientId);
    const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId);
    if (existing?.accountId === accountId && isAllowed(existing)) return existing;
    const { clientId } = client;
    const elsewhere = await answered(() => latestGrant(prisma, accountId, clientId, storage.now()));
    if (!elsewhere || !isAllowed(elsewhere)) return undefined;
    const { openid, resources, rejected, consentExpiresAt } = elsewhere as Record<string, unknown>;
    const granted = { openid, resources, rejected, consentExpiresAt };
    const grant = new provider.Grant({ accountId, clientId, ...granted });
    grant.exp = epoch(storage.now()) + config.ttl.session;
    await grant.save();
    return grant;
  }
}

// OIDC Core §8.1: the host of the sector identifier, or of the one redirect URI.
function sectorOf(client: object): string {
  return (client as { sectorIdentifier?: string }).sectorIdentifier ?? '';
}
