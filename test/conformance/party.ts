// A relying party of plain HTTP, as the OpenID Foundation's suite is one: it sends what it is told, right or wrong, and
// checks every answer as the suite's base class does.
import { createHash, randomUUID } from 'node:crypto';
import {
  type JWTPayload,
  type ProtectedHeaderParameters,
  createLocalJWKSet,
  jwtVerify,
} from 'jose';
import { expect } from 'vitest';
import { Agent, type Page } from '../support/agent.ts';
import type { TestProvider } from '../support/provider.ts';

export interface PartyClient {
  readonly client_id: string;
  readonly client_secret?: string;
  readonly redirect_uris: readonly string[];
  readonly token_endpoint_auth_method?: string;
}

export type Parameters = Record<string, string | undefined>;
export type Json = Record<string, unknown>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface IdToken {
  readonly payload: JWTPayload;
  readonly header: ProtectedHeaderParameters;
}

export class Party {
  readonly issuer: string;
  readonly client: PartyClient;
  readonly agent: Agent;
  readonly defaults: Parameters;

  constructor(
    provider: Pick<TestProvider, 'issuer'>,
    client: PartyClient,
    defaults: Parameters = {},
    agent = new Agent(provider.issuer),
  ) {
    this.issuer = provider.issuer;
    this.client = client;
    this.agent = agent;
    this.defaults = defaults;
  }

  /** The same relying party with another browser. */
  elsewhere(): Party {
    return new Party(this, this.client, this.defaults);
  }

  /** An authorization request; a parameter that is undefined is left out. */
  request(parameters: Parameters = {}): URL {
    const url = new URL(`${this.issuer}/authorize`);
    const all: Parameters = {
      client_id: this.client.client_id,
      response_type: 'code',
      redirect_uri: this.client.redirect_uris[0],
      scope: 'openid',
      state: randomUUID(),
      nonce: randomUUID(),
      ...this.defaults,
      ...parameters,
    };
    for (const [name, value] of Object.entries(all))
      if (value !== undefined) url.searchParams.set(name, value);
    return url;
  }

  /** Goes through with a request, as a person would. @returns the authorization response */
  async authorize(parameters: Parameters = {}): Promise<Record<string, string>> {
    return this.follow(this.request(parameters));
  }

  async follow(request: URL): Promise<Record<string, string>> {
    const mode = request.searchParams.get('response_mode');
    const response =
      mode === 'form_post'
        ? formOf(await this.agent.walk(request))
        : responseOf(await this.agent.authorize(request));
    const state = request.searchParams.get('state');
    if (state !== null) expect(response['state']).toBe(state);
    expect(response['iss'] ?? this.issuer).toBe(this.issuer);
    expect(Object.keys(response)).not.toContain('session_state');
    if (response['error'] !== undefined) {
      expect(response).not.toHaveProperty('code');
      expect(response['error_description'] ?? '').toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/);
    }
    return response;
  }

  /** Opens a request that must end on a page of the provider's, and not be sent anywhere. */
  async refused(request: URL): Promise<Page> {
    const page = await this.agent.open(request);
    expect(page.away).toBeUndefined();
    expect(page.status).toBeGreaterThanOrEqual(400);
    expect(page.status).toBeLessThan(500);
    return page;
  }

  async token(form: Parameters, headers: Record<string, string> = {}): Promise<Answer> {
    return this.post('/token', form, headers);
  }

  /** A request that the client authenticates. */
  async post(
    path: string,
    form: Parameters,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const {
      client_id: id,
      client_secret: secret,
      token_endpoint_auth_method: method,
    } = this.client;
    const body = new URLSearchParams(withoutUndefined(form));
    const authorization: Record<string, string> = {};
    if (secret === undefined) {
      if (!body.has('client_id')) body.set('client_id', id);
    } else if (method === 'client_secret_post') {
      body.set('client_id', id);
      body.set('client_secret', secret);
    } else {
      const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
      authorization['authorization'] = `Basic ${Buffer.from(pair).toString('base64')}`;
    }
    return answerOf(
      await fetch(`${this.issuer}${path}`, {
        method: 'POST',
        headers: { ...authorization, ...headers },
        body,
      }),
    );
  }

  async exchange(code: string, extra: Parameters = {}): Promise<Answer> {
    return this.token({
      grant_type: 'authorization_code',
      code,
      redirect_uri: this.client.redirect_uris[0],
      ...extra,
    });
  }

  /** From the request to the tokens, all checks included. */
  async tokens(parameters: Parameters = {}, extra: Parameters = {}) {
    const request = this.request(parameters);
    const response = await this.follow(request);
    expect(response['error'], response['error_description']).toBeUndefined();
    const { status, body, headers } = await this.exchange(response['code'] ?? '', extra);
    expect({ status, body }).toMatchObject({ status: 200 });
    expect(headers.get('cache-control')).toContain('no-store');
    expect(body['expires_in']).toBeGreaterThan(0);
    const idToken = await this.verify(String(body['id_token']), {
      nonce: request.searchParams.get('nonce'),
      accessToken: body['access_token'],
    });
    return { ...body, idToken, response } as Json & {
      access_token: string;
      id_token: string;
      refresh_token?: string;
      idToken: IdToken;
      response: Record<string, string>;
    };
  }

  /** OIDC Core §3.1.3.7, §3.3.2.11. */
  async verify(
    token: string,
    { nonce, accessToken, code }: { nonce?: string | null; accessToken?: unknown; code?: unknown },
  ): Promise<IdToken> {
    const { payload, protectedHeader: header } = await jwtVerify(
      token,
      createLocalJWKSet(await this.jwks()),
      { issuer: this.issuer, audience: this.client.client_id },
    );
    for (const claim of ['iss', 'sub', 'aud', 'exp', 'iat']) expect(payload).toHaveProperty(claim);
    if (nonce !== undefined) expect(payload['nonce'] ?? null).toBe(nonce);
    const half = (value: unknown) => {
      const digest = createHash(header.alg === 'EdDSA' ? 'sha512' : 'sha256');
      const hash = digest.update(String(value)).digest();
      return hash.subarray(0, hash.length / 2).toString('base64url');
    };
    if (payload['at_hash'] !== undefined) expect(payload['at_hash']).toBe(half(accessToken));
    if (payload['c_hash'] !== undefined) expect(payload['c_hash']).toBe(half(code));
    return { payload, header };
  }

  async jwks(): Promise<{ keys: Json[] }> {
    const response = await fetch(`${this.issuer}/jwks`);
    return (await response.json()) as { keys: Json[] };
  }

  async discovery(): Promise<Json> {
    const response = await fetch(`${this.issuer}/.well-known/openid-configuration`);
    expect(response.status).toBe(200);
    return (await response.json()) as Json;
  }

  async userinfo(token: string, how: 'get' | 'post-header' | 'post-body' = 'get'): Promise<Answer> {
    const authorization = `Bearer ${token}`;
    const url = `${this.issuer}/userinfo`;
    if (how === 'post-body') {
      const body = new URLSearchParams({ access_token: token });
      return answerOf(await fetch(url, { method: 'POST', body }));
    }
    const method = how === 'get' ? 'GET' : 'POST';
    return answerOf(await fetch(url, { method, headers: { authorization } }));
  }
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? (JSON.parse(text) as Json) : { text },
  };
}

export function pkce(): { code_verifier: string; code_challenge: string } {
  const verifier = `${randomUUID()}${randomUUID()}`;
  return {
    code_verifier: verifier,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  };
}

function responseOf({ searchParams, hash }: URL): Record<string, string> {
  const parameters = hash === '' ? searchParams : new URLSearchParams(hash.slice(1));
  const entries = [...parameters];
  expect(new Set(entries.map(([name]) => name)).size).toBe(entries.length); // none twice
  return Object.fromEntries(entries);
}

/** The form that response_mode=form_post sends to the relying party. */
export function formOf(page: Page): Record<string, string> {
  const form = page.html.querySelector('form[method=post]');
  expect(form?.getAttribute('action'), page.html.text).toMatch(/^https?:/);
  return Object.fromEntries(
    (form?.querySelectorAll('input[type=hidden]') ?? []).map((input) => [
      input.getAttribute('name') ?? '',
      input.getAttribute('value') ?? '',
    ]),
  );
}

function withoutUndefined(parameters: Parameters): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
