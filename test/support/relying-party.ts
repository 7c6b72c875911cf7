// A relying party, made with openid-client as any application would make it.
import * as client from 'openid-client';
import type { Agent } from './agent.ts';
import { webClient } from './provider.ts';

export interface RelyingParty {
  readonly configuration: client.Configuration;
  readonly redirectUri: string;
}

export async function discover(
  issuer: string,
  {
    client_id: id,
    client_secret: secret,
    redirect_uris: [redirectUri = ''],
  }: {
    client_id: string;
    client_secret?: string;
    redirect_uris: readonly string[];
  } = webClient,
): Promise<RelyingParty> {
  const authentication = secret === undefined ? client.None() : client.ClientSecretBasic(secret);
  const configuration = await client.discovery(new URL(issuer), id, undefined, authentication, {
    execute: [client.allowInsecureRequests],
  });
  return { configuration, redirectUri };
}

export type Tokens = client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;

/** An authorization request, and how to take its answer. */
export async function authorizationRequest(
  party: RelyingParty,
  parameters: Record<string, string> = {},
) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(party.configuration, {
    redirect_uri: party.redirectUri,
    scope: 'openid profile email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  });
  const finish = (callback: URL, options?: client.DPoPOptions): Promise<Tokens> =>
    client.authorizationCodeGrant(
      party.configuration,
      callback,
      {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      },
      undefined,
      options,
    );
  return { url, finish, verifier };
}

/** Signs a person in and exchanges the code. */
export async function signIn(
  party: RelyingParty,
  agent: Agent,
  parameters: Record<string, string> = {},
): Promise<Tokens> {
  const { url, finish } = await authorizationRequest(party, parameters);
  return finish(await agent.authorize(url));
}

export function refresh(
  party: RelyingParty,
  token: string,
  parameters?: Record<string, string>,
): Promise<Tokens> {
  return client.refreshTokenGrant(party.configuration, token, parameters);
}

/** The refresh token of an answer that must have one. */
export function refreshTokenOf(tokens: Tokens): string {
  if (tokens.refresh_token === undefined) throw new Error('the answer has no refresh token');
  return tokens.refresh_token;
}

/** What an OAuth error answer says. */
export async function errorOf(
  answer: Promise<unknown>,
): Promise<{ status: number; error: string }> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof client.ResponseBodyError)
      return { status: error.status, error: error.error };
    throw error;
  }
  throw new Error('the request was not refused');
}
