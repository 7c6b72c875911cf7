// The members of the engine's classes that Symbolon replaces. What replaces them is decided elsewhere and handed in. No
// other file replaces anything of the engine.
import type { Client, KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Logout } from '../../storage/deliveries.ts';
import { type RequestDecisions, readParameters, refuseGrants } from './requests.ts';
import { type Seam, assertKnown, memberOf } from './seam.ts';
import { used } from './used.ts';

/** What replaces the engine's own behaviour. */
export interface Decisions extends RequestDecisions {
  /** The value of the refresh token that is about to be saved. */
  readonly nextRefreshToken: () => string;
  /** Additional members of a refresh token's introspection. */
  readonly introspected: (token: object) => object;
  /** Whether this is the first use of an issuer's `jti`. `exp` is in seconds since the epoch. */
  readonly isFirstUse: (iss: string, jti: string, exp: number) => Promise<boolean>;
  /** Whether a client's secret is the presented one. */
  readonly isClientSecret: (
    client: { readonly clientId: string; readonly clientSecret?: string | undefined },
    presented: string,
  ) => Promise<boolean>;
  /** Has an application told of a sign-out, by and by. @param now tells it at once, with a new logout token */
  readonly signOut: (logout: Logout, now: () => Promise<void>) => Promise<void>;
  /** Additional members of a grant. */
  readonly grantMembers: readonly string[];
  /** The origin of the request, kept in the session at its sign-in. */
  readonly origin: () => object;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** Whether this client's requests are treated as if they had `prompt=consent`. */
  readonly assumesConsent: (client: object | undefined) => boolean;
  /** The `acr` of the answer. @param params the request's @param amr the session's */
  readonly acr: (
    params: Readonly<Record<string, unknown>>,
    amr: readonly string[] | undefined,
  ) => string | undefined;
  /** The URL of an endpoint as the listener names it. @param url as the issuer names it */
  readonly listenersUrl: (ctx: KoaContextWithOIDC, name: string, url: string) => string;
}

type Install = (provider: Provider, decisions: Decisions) => void;

interface Replaced extends Seam {
  readonly by: Install;
}

export const replaced: readonly Replaced[] = [
  {
    name: 'RefreshToken.prototype.generateTokenId',
    kind: 'method',
    by: deriveSuccessors,
    why: 'a token that is spent is followed by the successor that is derived from it',
  },
  {
    name: 'RefreshToken.prototype.extra',
    kind: 'free',
    by: tellAtIntrospection,
    why: 'introspection adds it to its answer: how often the token was renewed, and its sign-in',
  },
  {
    name: 'ReplayDetection.unique',
    kind: 'method',
    by: detectReplay,
    why: 'a `jti` is inserted at once; the engine finds first and saves later, which lets two through',
  },
  {
    name: 'Client.prototype.compareClientSecret',
    kind: 'method',
    by: compareHashes,
    why: 'client secrets are kept as hashes, and guessing them is limited',
  },
  {
    name: 'Client.prototype.backchannelLogout',
    kind: 'method',
    by: keepLogouts,
    why: 'what tells of a sign-out is kept until it has arrived, longer than a logout token lives',
  },
  {
    name: 'Grant.IN_PAYLOAD',
    kind: 'getter',
    by: keepWithGrant,
    why: 'a grant keeps until when it was allowed, and whether anybody was asked',
  },
  {
    name: 'InitialAccessToken.IN_PAYLOAD',
    kind: 'getter',
    by: countInvitations,
    why: 'an initial access token keeps how many clients it may register',
  },
  {
    name: 'Session.IN_PAYLOAD',
    kind: 'getter',
    by: rememberBrowser,
    why: 'a session keeps where it was signed in from, and when it was last seen',
  },
  {
    name: 'Session.prototype.loginAccount',
    kind: 'method',
    by: rememberBrowser,
    why: 'notes where the sign-in comes from',
  },
  {
    name: 'Session.prototype.save',
    kind: 'method',
    by: rememberBrowser,
    why: 'notes when the session was seen',
  },
  {
    name: 'Session.prototype.persist',
    kind: 'method',
    by: keepOnlyWhatWasKept,
    why: 'a session that never was kept needs no keeping: a form came without its page’s cookie',
  },
  {
    name: 'OIDCContext.prototype.prompts',
    kind: 'getter',
    by: assumeConsentPrompt,
    why: 'keeps `offline_access` in requests without `prompt=consent`',
  },
  {
    name: 'OIDCContext.prototype.acr',
    kind: 'getter',
    by: answerLevel,
    why: '`acr` follows from the session’s `amr`, and is never kept',
  },
  {
    name: 'OIDCContext.prototype.urlFor',
    kind: 'method',
    by: nameByListener,
    why: 'at the mTLS port, a DPoP proof names that port, and so does an assertion for the token endpoint',
  },
  {
    name: 'OIDCContext.prototype.params',
    kind: 'free',
    by: readParameters,
    why: 'lists with a space too many are read, numbers with anything but digits are not; request objects by reference',
  },
  {
    name: 'Client.prototype.grantTypeAllowed',
    kind: 'method',
    by: refuseGrants,
    why: 'a grant that the client may not use is `unauthorized_client` (RFC 6749 §5.2), not `invalid_request`',
  },
];

/**
 * Replaces the members of a provider's classes, before it serves.
 *
 * @throws {Error} naming the member that the engine does not have any more, and what to adapt
 */
export function installSeams(provider: Provider, decisions: Decisions): void {
  for (const { by, ...seam } of replaced)
    assertKnown(provider, seam, `${by.name} in provider/engine-seams/replaced.ts`);
  for (const { by, ...seam } of used) assertKnown(provider, seam, by);
  for (const install of new Set(replaced.map(({ by }) => by))) install(provider, decisions);
}

function deriveSuccessors(provider: Provider, { nextRefreshToken }: Decisions): void {
  Object.assign(provider.RefreshToken.prototype, { generateTokenId: nextRefreshToken });
}

function tellAtIntrospection(provider: Provider, { introspected }: Decisions): void {
  Object.defineProperty(provider.RefreshToken.prototype, 'extra', {
    get(this: object) {
      return introspected(this);
    },
  });
}

function detectReplay(provider: Provider, { isFirstUse }: Decisions): void {
  provider.ReplayDetection.unique = isFirstUse;
}

function compareHashes(provider: Provider, { isClientSecret }: Decisions): void {
  provider.Client.prototype.compareClientSecret = function compare(presented: string) {
    return isClientSecret(this, presented);
  };
}

function keepLogouts({ Client }: Provider, { signOut }: Decisions): void {
  const prototype = Client.prototype as unknown as {
    backchannelLogout: (this: Client, accountId: string, sid?: string) => Promise<void>;
  };
  const { backchannelLogout } = prototype;
  prototype.backchannelLogout = function tell(accountId, sid) {
    const { clientId } = this;
    return signOut({ clientId, accountId, sid }, () =>
      backchannelLogout.call(this, accountId, sid),
    );
  };
}

function keepWithGrant({ Grant }: Provider, { grantMembers }: Decisions): void {
  extendPayload(Grant, grantMembers);
}

function countInvitations({ InitialAccessToken }: Provider): void {
  extendPayload(InitialAccessToken, ['uses']);
}

function rememberBrowser({ Session }: Provider, { origin, now }: Decisions): void {
  extendPayload(Session, ['signedIn', 'seenAt']);
  const prototype = Session.prototype as unknown as {
    loginAccount: (this: object, details: object) => void;
    save: (this: object, ttl: number) => Promise<string>;
  };
  const { loginAccount, save } = prototype;
  prototype.loginAccount = function signIn(details) {
    loginAccount.call(this, details);
    Object.assign(this, { signedIn: origin() });
  };
  prototype.save = function see(ttl) {
    Object.assign(this, { seenAt: now() });
    return save.call(this, ttl);
  };
}

// Called before the class's first instance: the engine reads a class's members once.
function extendPayload(model: object, members: readonly string[]): void {
  const { IN_PAYLOAD } = model as { IN_PAYLOAD: string[] };
  Object.defineProperty(model, 'IN_PAYLOAD', { value: [...IN_PAYLOAD, ...members] });
}

function keepOnlyWhatWasKept({ Session }: Provider): void {
  const prototype = Session.prototype as {
    exp?: number;
    persist: (this: { exp?: number }) => Promise<string>;
  };
  const { persist } = prototype;
  prototype.persist = function keep() {
    return this.exp === undefined ? Promise.resolve('') : persist.call(this);
  };
}

/**
 * Keeps `offline_access` in requests without `prompt=consent`. OIDC Core §11 wants the person's consent, not the
 * parameter; the engine drops the scope unless the context's `prompts` contain `consent`. So they do, and the consent
 * policy asks for what was not granted yet.
 */
function assumeConsentPrompt(provider: Provider, { assumesConsent }: Decisions): void {
  const requested = memberOf(provider, 'OIDCContext.prototype.prompts');
  Object.defineProperty(provider.OIDCContext.prototype, 'prompts', {
    get(this: KoaContextWithOIDC['oidc']) {
      return new Prompts(requested?.get?.call(this) as Set<string>, assumesConsent(this.client));
    },
  });
}

class Prompts extends Set<string> {
  readonly #assumed: boolean;

  constructor(requested: Iterable<string>, assumed: boolean) {
    super(requested);
    this.#assumed = assumed;
  }

  override has(prompt: string): boolean {
    return super.has(prompt) || (prompt === 'consent' && this.#assumed);
  }
}

function answerLevel({ OIDCContext }: Provider, { acr }: Decisions): void {
  Object.defineProperty(OIDCContext.prototype, 'acr', {
    get(this: KoaContextWithOIDC['oidc']) {
      return acr(this.params ?? {}, this.session?.amr);
    },
  });
}

function nameByListener({ OIDCContext }: Provider, { listenersUrl }: Decisions): void {
  const prototype = OIDCContext.prototype as unknown as Record<
    'urlFor',
    (this: Oidc, name: string, options?: object) => string
  >;
  const { urlFor } = prototype;
  prototype.urlFor = function name(endpoint, options) {
    return listenersUrl(this.ctx, endpoint, urlFor.call(this, endpoint, options));
  };
}

type Oidc = KoaContextWithOIDC['oidc'] & { readonly ctx: KoaContextWithOIDC };
