// What a client that nobody here vouches for may say of itself, who vouches for one, and where it may have a browser
// sent.
import type { Context, Next } from 'koa';
import { type Client, type KoaContextWithOIDC, type Provider, errors } from 'oidc-provider';
import { isSignInOver } from '../accounts/changes.ts';
import { LONGEST_NAME, isBlank, lengthOf, plainName } from '../names.ts';
import {
  type Registered,
  type Stranger,
  hostOf,
  isOwnDevice,
  placeOf,
  redirectUris,
  strangerOf,
} from '../storage/strangers.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import type { Registrant } from './registration.ts';

/** The URIs that people see, or are led to. */
export const ownPages = [
  'client_uri',
  'logo_uri',
  'policy_uri',
  'tos_uri',
  'initiate_login_uri',
] as const;

/** Metadata under its own names, of which some may be wrong. */
export type Introduced = Record<string, unknown> & Pick<Registered, 'client_id' | 'redirect_uris'>;

/** The members of metadata that are vouched for: what a client is called, and where it leads to. */
const vouched = ['client_name', 'redirect_uris', 'post_logout_redirect_uris', ...ownPages];

/** The client of the engine, as {@link strangerOf} judges it. */
export function strangerAmong(client: Client): Stranger | undefined {
  const { clientIdMetadataDocument: isDocument = false, vouched_for } = client as {
    clientIdMetadataDocument?: boolean;
    vouched_for?: boolean;
  };
  return strangerOf(
    {
      client_id: client.clientId,
      client_id_issued_at: (client as { clientIdIssuedAt?: number }).clientIdIssuedAt,
      redirect_uris: client.redirectUris,
      grant_types: client.grantTypes,
      vouched_for,
    },
    isDocument,
  );
}

/**
 * Judges the metadata of a client that registers itself, and notes whether somebody vouches for it.
 *
 * @throws {errors.InvalidClientMetadata} naming the member that a stranger may not have like this
 */
export function introduce(
  registrant: Registrant,
  ctx: KoaContextWithOIDC | undefined,
  metadata: Introduced,
): void {
  const { client } = ctx?.oidc ?? {};
  const before = client?.metadata() as Introduced | undefined;
  if (registrant === 'invited') {
    metadata['vouched_for'] = true;
  } else if (before) {
    // Whoever vouched for the client has seen what it was.
    const isSame = before['vouched_for'] === true && vouched.every((name) => same(name));
    if (isSame) metadata['vouched_for'] = true;
    else delete metadata['vouched_for'];
  } else if (metadata.vouched_for !== undefined) {
    throw refused('vouched_for', 'a client that registers itself may not have this');
  }
  if (typeof metadata.client_name === 'string') judgeName(metadata, metadata.client_name);
  if (metadata['vouched_for'] !== true) judgeUris(metadata);

  function same(name: string): boolean {
    return JSON.stringify(before?.[name] ?? []) === JSON.stringify(metadata[name] ?? []);
  }
}

function judgeName(metadata: Introduced, given: string): void {
  const name = plainName(given);
  if (isBlank(name)) throw refused('client_name', 'must have a letter that can be seen');
  if (lengthOf(name) > LONGEST_NAME)
    throw refused('client_name', `must have at most ${LONGEST_NAME} characters`);
  metadata['client_name'] = name;
}

// OIDC Registration §9.1: a stranger’s pages lie on its own host, or it would borrow another's name.
function judgeUris(metadata: Introduced): void {
  const uris = redirectUris(metadata);
  const document = /^https:/i.test(metadata.client_id) && URL.parse(metadata.client_id)?.hostname;
  const host = hostOf(metadata);
  for (const name of ownPages) {
    const hostname = hostnameOf(metadata[name]);
    if (hostname === undefined || hostname === document || hostname === host) continue;
    // What runs on the person's device has no host. RFC 7591 §2 lets a server leave out what it does not take.
    if (uris.length === 0 || uris.some(isOwnDevice)) Reflect.deleteProperty(metadata, name);
    else throw refused(name, `must lie on ${host ?? 'the one host of all redirect_uris'}`);
  }
  const homes = new Set([document, ...uris.map(homeOf)]);
  const { post_logout_redirect_uris: after } = metadata;
  const ends: readonly unknown[] = Array.isArray(after) ? after : [];
  if (!ends.every((uri) => homes.has(homeOf(String(uri)))))
    throw refused('post_logout_redirect_uris', 'must lie on hosts of the redirect_uris');
}

function hostnameOf(uri: unknown): string | undefined {
  return typeof uri === 'string' ? (URL.parse(uri)?.hostname ?? '') : undefined;
}

// Ports make no difference.
function homeOf(uri: string): string {
  return isOwnDevice(uri) ? placeOf(uri) : (hostnameOf(uri) ?? '');
}

function refused(name: string, why: string): errors.InvalidClientMetadata {
  return new errors.InvalidClientMetadata(`${name}: ${why}`);
}

/**
 * RFC 9700 §4.11.2: a refusal sends nobody to a stranger unless somebody has signed in in this browser; it becomes an
 * error page. Else whoever registers a client would have a link of ours that leads to any host.
 */
export function keepFromStrangers(provider: Provider): void {
  const keep = (ctx: KoaContextWithOIDC, error: Error & { allow_redirect?: boolean }) => {
    const { client, route } = ctx.oidc;
    if (error.allow_redirect !== true || (route !== 'authorization' && route !== 'resume')) return;
    if (!client || !strangerAmong(client) || isSomebodySignedIn(ctx)) return;
    error.allow_redirect = false;
    ctx.state['notSentBack'] = true;
    if (ctx.status < 400) ctx.status = 400;
  };
  provider.on('authorization.error', keep);
  provider.on('server_error', keep);
}

/** The same for signing out, where there is nothing to sign out of: the browser stays. */
export async function stayAfterSignOut(ctx: Context, next: Next): Promise<void> {
  await next();
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  if (oidc?.route !== 'end_session_confirm' || ctx.status !== 303) return;
  const isAway = !ctx.response.get('Location').startsWith(oidc.urlFor('end_session_success'));
  if (!isAway || !oidc.client || !strangerAmong(oidc.client)) return;
  if (isSomebodySignedIn({ oidc })) return;
  ctx.redirect(oidc.urlFor('end_session_success'));
}

function isSomebodySignedIn({ oidc }: Pick<KoaContextWithOIDC, 'oidc'>): boolean {
  const { accountId, loginTs = 0 } = oidc.session ?? {};
  // Read with the session.
  const account = currentUnit().ahead.accounts.get(accountId ?? '');
  return account?.lockedAt === null && !isSignInOver(loginTs, account.signedOutAt);
}
