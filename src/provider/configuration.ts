// The engine's configuration, put together from each subject's part.
import { type Configuration, type KoaContextWithOIDC, errors } from 'oidc-provider';
import { levels } from '../accounts/factors.ts';
import type { Config } from '../config/config.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { cookieName } from '../operations/cookie-names.ts';
import { claimsOf } from '../storage/claims-policy.ts';
import { createAdapter } from '../storage/adapter.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { accessTokenClaims, findAccountWith, pairwiseSubject } from './account.ts';
import { admitAnonymous } from './anonymous.ts';
import { algorithms } from './algorithms.ts';
import { signInClaims } from './assurance.ts';
import { authorizationDetails } from './authorization-details.ts';
import { ciba } from './ciba.ts';
import { claimsPolicy } from './claims.ts';
import { clients } from './clients.ts';
import { isFapi2 } from './fapi2.ts';
import { createInteractionPolicy } from './interaction-policy.ts';
import { limitFetches } from './fetch-limits.ts';
import { lifetimes } from './lifetimes.ts';
import { mutualTls } from './mutual-tls.ts';
import type { Outgoing } from './outgoing.ts';
import { type RefreshPolicy, endsWithSession, refreshPolicy } from './refresh-policy.ts';
import { registration } from './registration.ts';
import { loadExistingGrant } from './remembered-grant.ts';
import { requestObjects } from './request-objects.ts';
import { resourceIndicators } from './resources.ts';
import { signingKey } from './signing.ts';

/** The pages that the engine asks for (pages/engine-pages.ts). */
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

/** What a provider is made of. */
export interface ProviderParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly signingKeys: SigningKeys;
  /** Pairwise subjects are derived from it. */
  readonly pairwiseSecret: Buffer;
  readonly pages: EnginePages;
  readonly outgoing: Outgoing;
  /** The key of a browser that some account knows; when not set, none is known. */
  readonly knownBrowser?: (ctx: KoaContextWithOIDC) => string | undefined;
}

/** The engine's configuration; engine-seams/ replaces members of its classes besides. */
export function configuration(parts: ProviderParts): Configuration {
  const { config, storage, signingKeys, pages, outgoing } = parts;
  const policy = refreshPolicy(config);
  return {
    adapter: createAdapter(policy, admitAnonymous(parts)),
    jwks: { keys: signingKeys.keys.map(signingKey) },
    cookies: {
      keys: storage.keyring.cookieKeys,
      names: {
        session: cookieName(config.issuer, 'symbolon_session', '/'),
        // Each has the path of its interaction, so that several can go on in one browser.
        interaction: cookieName(config.issuer, 'symbolon_interaction', '/interaction'),
        resume: cookieName(config.issuer, 'symbolon_resume', '/authorize'),
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
    fetch: limitFetches(storage, outgoing),
    renderError: pages.renderError,
    ttl: lifetimes(config, storage, policy),
    enabledJWA: algorithms(signingKeys.algorithms),
    features: features(parts),
    ...clients(parts, policy),
    ...subjects(parts),
    ...grants(parts),
    ...refreshTokens(policy),
  };
}

/** Subjects of tokens, and their claims. */
function subjects(parts: ProviderParts): Configuration {
  const { config, storage, pairwiseSecret } = parts;
  const claims = claimsPolicy({ baseUrl: config.baseUrl, claims: claimsOf(parts) });
  return {
    findAccount: findAccountWith(storage, claims),
    scopes: claims.scopes,
    claims: claims.byScope,
    conformIdTokenClaims: true,
    acrValues: [...levels],
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: (_ctx, accountId, client) =>
      Promise.resolve(pairwiseSubject(pairwiseSecret, sectorOf(client), accountId)),
    extraTokenClaims(ctx, token) {
      const act = ctx.state['act'] as object | undefined;
      if (token.kind !== 'AccessToken') return act ? { act } : undefined;
      const told = {
        ...accessTokenClaims(ctx, claims),
        ...signInClaims(ctx),
        ...(config.tokenExchange && { authorization_id: currentUnit().lineOfTokens }),
      };
      return act || Object.keys(told).length > 0 ? { ...told, ...(act ? { act } : {}) } : undefined;
    },
  };
}

// OIDC Core §8.1: the host of the sector identifier, or of the only redirect URI.
function sectorOf(client: object): string {
  return (client as { sectorIdentifier?: string }).sectorIdentifier ?? '';
}

/** Interactions and grants. */
function grants({ config, storage }: ProviderParts): Configuration {
  return {
    interactions: {
      policy: createInteractionPolicy(config, storage),
      url: (_ctx, interaction) => `${config.basePath}/interaction/${interaction.uid}`,
    },
    loadExistingGrant: loadExistingGrant({ config, storage }),
  };
}

/** When a refresh token is issued, when it is rotated, and whether it ends with the session. */
function refreshTokens(policy: RefreshPolicy): Configuration {
  return {
    // OIDC Core §11: only with offline_access, and only to clients that may refresh.
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access'),
    rotateRefreshToken: ({ oidc }) => {
      const { RefreshToken: token, Client: client } = oidc.entities;
      // A retry gets the successor, even if the policy has changed since.
      const { family } = currentUnit();
      if (family?.kind === 'presented' && family.verdict === 'retry') return true;
      return token !== undefined && client !== undefined && policy.rotates(client, token);
    },
    // OIDC Core §11: offline access outlasts the session, unless the client's metadata says otherwise.
    expiresWithSession: ({ oidc }, source) =>
      !source.scopes.has('offline_access') ||
      (oidc.client !== undefined && endsWithSession(oidc.client)),
  };
}

type Features = NonNullable<Configuration['features']>;

function features({ config, storage, pages }: ProviderParts): Features {
  return {
    devInteractions: { enabled: false },
    ...withPages(pages),
    ...tokenEndpoints(),
    // All processes derive the same nonces from SYMBOLON_SECRET (RFC 9449 §8).
    dPoP: { enabled: true, nonceSecret: storage.keyring.macs('dpop', 'nonce')[0] },
    mTLS: mutualTls(config),
    clientCredentials: { enabled: true },
    ciba: ciba(config, storage),
    resourceIndicators: resourceIndicators(storage),
    richAuthorizationRequests: authorizationDetails(config.authorizationDetailsTypes),
    claimsParameter: { enabled: true },
    requestObjects: requestObjects(storage),
    jwtResponseModes: { enabled: true },
    jwtIntrospection: { enabled: true },
    jwtUserinfo: { enabled: true },
    backchannelLogout: { enabled: true },
    encryption: { enabled: config.encryption },
    fapi: { enabled: true, profile: (_ctx, client) => (isFapi2(client) ? '2.0' : undefined) },
    ...registration(config),
    // Two experimental features, whose versions must be acknowledged.
    externalSigningSupport: { enabled: true, ack: 'experimental-01' },
    clientIdMetadataDocument: { enabled: config.clientIdMetadataDocuments, ack: 'draft-02' },
  };
}

function withPages(pages: EnginePages): Pick<Features, 'deviceFlow' | 'rpInitiatedLogout'> {
  return {
    deviceFlow: {
      enabled: true,
      userCodeInputSource: pages.userCodeInputSource,
      userCodeConfirmSource: pages.userCodeConfirmSource,
      successSource: pages.successSource,
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: pages.logoutSource,
      postLogoutSuccessSource: pages.postLogoutSuccessSource,
    },
  };
}

/** Who may introspect and revoke a token. */
function tokenEndpoints() {
  return {
    introspection: {
      enabled: true,
      // Only clients that authenticate may ask: about any access token, since they may be its resource server, but only
      // about their own refresh tokens (RFC 7662 §2.1, §4).
      allowedPolicy: (_ctx, client, token) =>
        client.clientAuthMethod !== 'none' &&
        (token.kind !== 'RefreshToken' || token.clientId === client.clientId),
    },
    revocation: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => {
        if (token.clientId === client.clientId) return true;
        throw new errors.InvalidRequest('the token was issued to another client'); // RFC 7009 §2.1
      },
    },
  } satisfies Features;
}
