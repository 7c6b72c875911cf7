// What the relying party asks of the provider, with openid-client: authorization code flow with PKCE, state
// and nonce (RFC 9700 §2.1.1), refresh (OIDC Core §12), UserInfo, revocation and RP-initiated logout.
import * as client from 'openid-client';

/** One attempt to sign in, remembered until the provider sends the browser back. */
export interface SignIn {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  readonly idToken: string;
  readonly claims: client.IDToken;
  readonly scope: string | undefined;
}

/** What the provider said, when it said no. */
export interface Answer {
  readonly status: number;
  readonly body: client.JsonValue;
}

export type Reply<Value> = { readonly value: Value } | { readonly refusal: Answer };

export interface ProviderClient {
  signIn(): Promise<{ url: URL; signIn: SignIn }>;
  /** @throws {client.AuthorizationResponseError} when the provider or the person refused */
  finishSignIn(callback: URL, signIn: SignIn): Promise<Tokens>;
  refresh(refreshToken: string, before: Tokens): Promise<Reply<Tokens>>;
  userInfo(tokens: Tokens): Promise<Reply<client.UserInfoResponse>>;
  signOut(tokens: Tokens): Promise<URL>;
}

export interface ProviderClientOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Where the relying party is, with no slash at the end. */
  readonly origin: string;
}

export function createProviderClient(options: ProviderClientOptions): ProviderClient {
  const { issuer, origin } = options;
  let discovered: Promise<client.Configuration> | undefined;

  return {
    async signIn() {
      const config = await configuration();
      const codeVerifier = client.randomPKCECodeVerifier();
      const signIn = { state: client.randomState(), nonce: client.randomNonce(), codeVerifier };
      const url = client.buildAuthorizationUrl(config, {
        redirect_uri: `${origin}/callback`,
        scope: 'openid email profile offline_access',
        code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
        state: signIn.state,
        nonce: signIn.nonce,
      });
      return { url, signIn };
    },

    async finishSignIn(callback, { state, nonce, codeVerifier }) {
      const response = await client.authorizationCodeGrant(await configuration(), callback, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: codeVerifier,
        idTokenExpected: true,
      });
      return tokensOf(response);
    },

    async refresh(refreshToken, before) {
      const config = await configuration();
      return reply(async () => {
        const response = await client.refreshTokenGrant(config, refreshToken);
        const tokens = tokensOf(response, before);
        // OIDC Core §12.2: a refreshed ID token is about the same person.
        if (tokens.claims.sub !== before.claims.sub)
          throw new Error('The ID token is about another person.');
        return tokens;
      });
    },

    async userInfo({ accessToken, claims }) {
      const config = await configuration();
      return reply(() => client.fetchUserInfo(config, accessToken, claims.sub));
    },

    async signOut({ idToken, refreshToken }) {
      const config = await configuration();
      // Offline access outlives the session at the provider, so the token is given back (RFC 7009).
      if (refreshToken !== undefined && config.serverMetadata().revocation_endpoint) {
        await reply(() => client.tokenRevocation(config, refreshToken));
      }
      return client.buildEndSessionUrl(config, {
        id_token_hint: idToken,
        post_logout_redirect_uri: `${origin}/`,
      });
    },
  };

  function configuration(): Promise<client.Configuration> {
    discovered ??= discover(options).catch((error: unknown) => {
      discovered = undefined;
      throw error;
    });
    return discovered.catch((error: unknown) => {
      throw new Error(`The provider at ${issuer} could not be discovered.`, { cause: error });
    });
  }
}

function discover({ issuer, clientId, clientSecret }: ProviderClientOptions) {
  const execute = [client.enableNonRepudiationChecks]; // the ID token's signature is verified, too
  if (isLoopback(issuer)) execute.push(client.allowInsecureRequests);
  return client.discovery(
    new URL(issuer),
    clientId,
    undefined,
    client.ClientSecretBasic(clientSecret),
    { execute, timeout: 10 },
  );
}

function isLoopback(issuer: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(issuer).hostname);
}

function tokensOf(
  response: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
  before?: Tokens,
): Tokens {
  const claims = response.claims() ?? before?.claims;
  const idToken = response.id_token ?? before?.idToken;
  if (!claims || idToken === undefined)
    throw new Error('The provider answered without an ID token.');
  return {
    accessToken: response.access_token,
    refreshToken: response.refresh_token ?? before?.refreshToken,
    idToken,
    claims,
    scope: response.scope ?? before?.scope,
  };
}

/** Tells a refusal, which is an answer, from everything else, which is thrown. */
async function reply<Value>(ask: () => Promise<Value>): Promise<Reply<Value>> {
  try {
    return { value: await ask() };
  } catch (error) {
    if (error instanceof client.ResponseBodyError) {
      return { refusal: { status: error.status, body: error.cause } };
    }
    const response = responseOf(error);
    if (!response || response.bodyUsed) throw error;
    return { refusal: { status: response.status, body: parsed(await response.text()) } };
  }
}

function responseOf(error: unknown): Response | undefined {
  if (error instanceof client.WWWAuthenticateChallengeError) return error.response;
  return error instanceof Error && error.cause instanceof Response ? error.cause : undefined;
}

function parsed(text: string): client.JsonValue {
  try {
    return JSON.parse(text) as client.JsonValue;
  } catch {
    return text;
  }
}
