// What a person allows an application, and what they may leave out. What is left out is rejected in the grant: it is
// neither issued nor asked for again, until the application asks for consent with prompt=consent.
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';

export type Grant = InstanceType<Provider['Grant']>;

/** Scopes of the provider, claims by name, and scopes of resources by indicator. */
export interface Permissions {
  readonly scopes: readonly string[];
  readonly claims: readonly string[];
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

/** Additional members of a grant: until when it was allowed, and that nobody was asked. */
export const grantMembers = ['consentExpiresAt', 'unasked'];

interface ConsentMetadata {
  readonly first_party?: boolean;
  readonly required_scopes?: string;
}

/** Whether a client is the operator's own: people are only asked for offline access. */
export function isFirstParty(client: object): boolean {
  return (client as ConsentMetadata).first_party === true;
}

/** Whether a person may leave this scope out. */
export function isOptional(client: object, scope: string): boolean {
  if (isFirstParty(client)) return scope === 'offline_access';
  const { required_scopes: required = '' } = client as ConsentMetadata;
  return scope !== 'openid' && !required.split(' ').includes(scope);
}

/** Writes a person's answer into a grant. What is allowed now is no longer rejected. */
export function decide(grant: Grant, allowed: Permissions, refused: Permissions): void {
  // A rejection outweighs what is granted.
  const { openid, resources = {} } = (grant.rejected ??= {});
  if (openid?.scope !== undefined) openid.scope = without(openid.scope, allowed.scopes);
  if (openid?.claims)
    openid.claims = openid.claims.filter((claim) => !allowed.claims.includes(claim));
  for (const [id, scopes] of Object.entries(allowed.resources)) {
    if (resources[id] !== undefined) resources[id] = without(resources[id], scopes);
    if (scopes.length > 0) grant.addResourceScope(id, [...scopes]);
  }
  if (allowed.scopes.length > 0) grant.addOIDCScope([...allowed.scopes]);
  if (allowed.claims.length > 0) grant.addOIDCClaims([...allowed.claims]);
  if (refused.scopes.length > 0) grant.rejectOIDCScope([...refused.scopes]);
  if (refused.claims.length > 0) grant.rejectOIDCClaims([...refused.claims]);
  for (const [id, scopes] of Object.entries(refused.resources))
    if (scopes.length > 0) grant.rejectResourceScope(id, [...scopes]);
}

/**
 * Allows the operator's own client what it asks for, except offline access.
 *
 * @returns whether the grant has changed
 */
export function allowFirstParty({ oidc }: KoaContextWithOIDC, grant: Grant): boolean {
  const granted = new Set(grant.getOIDCScope().split(' '));
  const claims = new Set(grant.getOIDCClaims());
  const missing: Permissions = {
    scopes: [...oidc.requestParamOIDCScopes].filter(
      (scope) => scope !== 'offline_access' && !granted.has(scope),
    ),
    claims: [...oidc.requestParamClaims].filter((claim) => !claims.has(claim)),
    resources: Object.fromEntries(
      Object.entries(oidc.resourceServers ?? {}).map(([id, { scopes }]) => {
        const has = new Set(grant.getResourceScope(id).split(' '));
        const asked = [...oidc.requestParamScopes].filter((scope) => scopes.has(scope));
        return [id, asked.filter((scope) => !has.has(scope))];
      }),
    ),
  };
  decide(grant, missing, { scopes: [], claims: [], resources: {} });
  return [missing.scopes, missing.claims, ...Object.values(missing.resources)].some(
    (some) => some.length > 0,
  );
}

function without(scope: string, taken: readonly string[]): string {
  return scope
    .split(' ')
    .filter((one) => !taken.includes(one))
    .join(' ');
}
