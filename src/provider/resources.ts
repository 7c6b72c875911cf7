// Resource indicators (RFC 8707): the resource servers, and the format of their tokens (RFC 9068).
import { type Configuration, type KoaContextWithOIDC, errors } from 'oidc-provider';
import type { SigningAlgorithm } from '../config/signing-algorithms.ts';
import { answered } from '../storage/errors.ts';
import { scopesOf } from '../storage/resources.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { isFapi2 } from './fapi2.ts';

type Client = NonNullable<KoaContextWithOIDC['oidc']['client']>;
type ResourceIndicators = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;
type ResourceServers = NonNullable<ResourceIndicators['getResourceServerInfo']>;

export function resourceIndicators(storage: Pick<Storage, 'fast'>): ResourceIndicators {
  return {
    enabled: true,
    getResourceServerInfo: resourceServers(storage),
    // A resource of the authorization request need not be named again if it is the only one (§2.2).
    useGrantedResource: (_ctx, { resource }) => [resource ?? []].flat().length === 1,
  };
}

/** Finds the resource server of an indicator. @throws {errors.InvalidTarget} when there is none */
export function resourceServers({ fast }: Pick<Storage, 'fast'>): ResourceServers {
  return async (ctx, indicator, client) => {
    const known = currentUnit().ahead.resource;
    const resource =
      known?.id === indicator ? known : await answered(() => fast.resource(indicator));
    if (!resource) throw new errors.InvalidTarget(`there is no resource ${indicator}`);
    const scopes = Object.keys(scopesOf(resource));
    const isOpaque = resource.format === 'opaque';
    return {
      scope: scopes.filter((scope) => mayAsk(ctx, client, indicator, scope)).join(' '),
      audience: resource.id,
      accessTokenFormat: isOpaque ? 'opaque' : 'jwt',
      ...(resource.ttl === null ? {} : { accessTokenTTL: resource.ttl }),
      ...(isOpaque ? {} : { jwt: { sign: { alg: algorithmFor(client, resource.alg) } } }),
    };
  };
}

// FAPI 2.0 does not allow RS256 (§5.4).
function algorithmFor(client: Client, registered: string | null): SigningAlgorithm {
  const alg = (registered ?? 'RS256') as SigningAlgorithm;
  return alg === 'RS256' && isFapi2(client) ? 'PS256' : alg;
}

/** Whether a client may ask people for a scope of a resource. */
export function mayAskFor(client: object, resource: string, scope: string): boolean {
  const { resource_scopes: registered } = client as { resource_scopes?: Record<string, string[]> };
  return registered === undefined || (registered[resource]?.includes(scope) ?? false);
}

// A client that registered itself gets no token for itself: nobody has allowed it.
function mayAsk(ctx: KoaContextWithOIDC, client: Client, resource: string, scope: string): boolean {
  const { resource_scopes: registered, clientIdIssuedAt } = client as {
    resource_scopes?: object;
    clientIdIssuedAt?: number;
  };
  const forItself = ctx.oidc.params?.['grant_type'] === 'client_credentials';
  const isItsOwn = registered === undefined && clientIdIssuedAt !== undefined;
  return !(forItself && isItsOwn) && mayAskFor(client, resource, scope);
}
