// Who acts in a request to the engine: a client that has authenticated, or the person who is signed in in the browser.
import type { Context, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { currentUnit } from '../storage/unit-of-work.ts';

// Where a client authenticates: the others are for browsers, where a client is only named.
const forClients = new Set([
  'token',
  'revocation',
  'introspection',
  'pushed_authorization_request',
  'device_authorization',
  'backchannel_authentication',
]);

/** Middleware around the engine's routes: notes the actor for the commit, which comes afterwards. */
export async function noteActor(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  if (!oidc) return;
  if (forClients.has(oidc.route)) {
    // Whoever does not know the secret is not the client.
    const isOther = (ctx.body as { error?: string } | null)?.error === 'invalid_client';
    const id = isOther ? undefined : oidc.client?.clientId;
    if (id !== undefined) currentUnit().actsAs({ kind: 'client', id });
  } else {
    const id = oidc.session?.accountId;
    if (id !== undefined) currentUnit().actsAs({ kind: 'person', id });
  }
}

/** Records that a person has signed out of this browser, or of one application in it. */
export function recordSignOut(provider: Provider): void {
  provider.on('end_session.success', ({ oidc }) => {
    const accountId = oidc.session?.accountId;
    if (accountId === undefined) return; // nobody was signed in
    const isAll = oidc.params?.['logout'] !== undefined;
    const [clientId, detail] = [oidc.client?.clientId, { all: isAll }];
    currentUnit().audit({ type: 'sign_out', accountId, clientId, detail });
  });
}
