// The token endpoint with plain HTTP: for requests by the hundred, and for those that no library would send.
import { person, webClient } from './provider.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    refresh_token?: string;
    access_token?: string;
    error?: string;
    error_description?: string;
    id_token?: string;
  };
}

export async function post(
  url: string,
  form: Record<string, string>,
  client: { client_id: string; client_secret?: string } = webClient,
  signal?: AbortSignal,
): Promise<Answer> {
  const { client_id: id, client_secret: secret } = client;
  const authorization =
    secret === undefined
      ? undefined
      : `Basic ${Buffer.from(`${id}:${encodeURIComponent(secret)}`).toString('base64')}`;
  const response = await fetch(url, {
    method: 'POST',
    headers: authorization === undefined ? {} : { authorization },
    body: new URLSearchParams(authorization === undefined ? { ...form, client_id: id } : form),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text ? JSON.parse(text) : {}) as Answer['body'],
  };
}

export function refreshAt(
  url: string,
  token: string,
  client?: { client_id: string; client_secret?: string },
  signal?: AbortSignal,
): Promise<Answer> {
  return post(
    `${url}/token`,
    { grant_type: 'refresh_token', refresh_token: token },
    client,
    signal,
  );
}

let before: Promise<unknown> = Promise.resolve();

/**
 * A new family, by the password grant, where the server and the client have it. One after the other: who signs one
 * person in many times at once is taken for somebody who guesses.
 */
export function newFamily(
  url: string,
  client?: { client_id: string; client_secret?: string },
): Promise<string> {
  const made = before.then(() => startFamily(url, client));
  before = made.catch(() => undefined);
  return made;
}

async function startFamily(
  url: string,
  client?: { client_id: string; client_secret?: string },
): Promise<string> {
  const form = {
    grant_type: 'password',
    username: person.email,
    password: person.password,
    scope: 'openid offline_access',
  };
  const { status, body } = await post(`${url}/token`, form, client);
  if (body.refresh_token === undefined)
    throw new Error(`no refresh token: ${status} ${JSON.stringify(body)}`);
  return body.refresh_token;
}

/** The id of a token's family, in either form. */
export function familyIdOf(token: string): string {
  return token.replace(/^symr_/, '').split('.')[0] ?? '';
}

/** A token's secret, in either form. */
export function secretOf(token: string): string {
  if (!token.startsWith('symr_')) return token.split('.')[1] ?? '';
  return Buffer.from(token.split('.')[2] ?? '', 'base64url').toString('base64url', 0, 32);
}
