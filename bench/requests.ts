// The requests that the workloads are made of.
import { type Answer, locationOf } from './http.ts';
import { type ClientId, redirectUri, resource } from './settings.ts';

export { Connection, form } from './http.ts';

export function authorizationPath({
  isJwt = false,
  offline = false,
  silent = false,
  clientId = 'bench',
}: {
  isJwt?: boolean;
  offline?: boolean;
  silent?: boolean;
  clientId?: ClientId;
}): string {
  const parameters = new URLSearchParams({
    client_id: clientId,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: `openid profile${offline ? ' offline_access' : ''}${isJwt ? ' read' : ''}`,
    state: 'bench',
    nonce: 'bench',
    ...(isJwt ? { resource } : {}),
    ...(silent ? { prompt: 'none' } : {}),
  });
  return `/authorize?${parameters.toString()}`;
}

/** The form that exchanges the code of an authorization response. */
export function exchange(answer: Answer): string {
  const code = new URL(locationOf(answer)).searchParams.get('code');
  if (code === null) throw new Error(`no code: ${answer.status} ${locationOf(answer)}`);
  return new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
  }).toString();
}

export function refreshing(token: string): string {
  return new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }).toString();
}
