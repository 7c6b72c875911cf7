// The permissions that a request asks for, as the consent page and /approve show them, and as their forms answer. A
// form can leave out optional permissions, but cannot add any.
import type { Client } from 'oidc-provider';
import { GROUPS, standardScopes } from '../config/claims.ts';
import type { Config } from '../config/config.ts';
import type { PrismaClient } from '../generated/client.ts';
import type { Language } from '../languages.ts';
import {
  type Grant,
  type Permissions,
  decide,
  isFirstParty,
  isOptional,
} from '../provider/consent.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { mayAskFor } from '../provider/resources.ts';
import { claimsOf } from '../storage/claims-policy.ts';
import { answered } from '../storage/errors.ts';
import { scopesOf } from '../storage/resources.ts';
import type { Storage } from '../storage/storage.ts';
import type { Form } from './forms.ts';
import { claimInWords, consentDurations, presentDurations, scopeInWords } from './scopes-view.ts';
import type { PermissionView, PermissionsView } from './views/partials.ts';

/** The parameters of a request. */
export type Params = Readonly<Record<string, unknown>>;

export interface Requested {
  readonly client: Client;
  readonly scopes: readonly string[];
  readonly claims: readonly string[];
  readonly offline: boolean;
  readonly resources: readonly AskedResource[];
}

/** A resource server (RFC 8707), with the requested ones of its scopes. */
export interface AskedResource {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Readonly<{ scope: string; title: string }>[];
}

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
}

// Claims that every request gets without consent (OIDC Core §2).
const ofProtocol = ['sub', 'sid', 'auth_time', 'acr', 'amr', 'iss'];

/** What a client asks for, without anything unknown. */
export async function requested(
  parts: Parts,
  client: Client,
  { scope, claims, resource }: Params,
): Promise<Requested> {
  const asked = typeof scope === 'string' ? scope.split(' ') : [];
  const known = [...standardScopes, GROUPS, ...Object.keys(claimsOf(parts).scopes)];
  return {
    client,
    scopes: asked.filter((one) => known.includes(one) && one !== 'offline_access'),
    claims: claimsIn(claims),
    offline: asked.includes('offline_access'),
    resources: await resourcesIn(parts.storage.prisma, { scope, resource }, (id, name) =>
      mayAskFor(client, id, name),
    ),
  };
}

/** The requested resource servers, each with the requested ones of its scopes. @param counts filters scopes */
export async function resourcesIn(
  prisma: PrismaClient,
  { scope, resource }: Params,
  counts: (id: string, scope: string) => boolean = () => true,
): Promise<AskedResource[]> {
  const asked = typeof scope === 'string' ? scope.split(' ') : [];
  const ids = [resource ?? []].flat() as string[];
  if (ids.length === 0) return [];
  const found = await answered(() => prisma.resource.findMany({ where: { id: { in: ids } } }));
  return found.map((one) => ({
    id: one.id,
    name: one.name ?? one.id,
    scopes: Object.entries(scopesOf(one))
      .filter(([name]) => asked.includes(name) && counts(one.id, name))
      .map(([name, title]) => ({ scope: name, title: title || name })),
  }));
}

/** For the partial `permissions`. */
export function presentRequested(
  parts: Parts,
  language: Language,
  { client, scopes, claims, offline, resources }: Requested,
): PermissionsView {
  const optional = (scope: string) => isOptional(client, scope);
  const own: PermissionView[] = [
    ...scopes.flatMap((scope) => {
      const sentence = scopeInWords(language, scope, claimsOf(parts));
      return sentence
        ? [{ ...sentence, field: 'scope', value: scope, optional: optional(scope) }]
        : [];
    }),
    ...claims.map((claim) => ({
      ...claimInWords(language, claim),
      field: 'claim',
      value: claim,
      optional: !isFirstParty(client),
    })),
  ];
  const groups = [
    { name: undefined, items: own },
    ...resources.map(({ id, name, scopes: some }) => ({
      name,
      items: some.map(({ scope, title }): PermissionView => ({
        title,
        field: 'resource_scope',
        value: `${id} ${scope}`,
        optional: optional(scope),
      })),
    })),
  ].filter(({ items }) => items.length > 0);
  return {
    groups,
    isNarrowable: groups.some(({ items }) => items.some((item) => item.optional)),
    offline: offline
      ? {
          optional: optional('offline_access'),
          until: language.duration(refreshPolicy(parts.config).idleTtl(client)),
          durations: presentDurations(language),
        }
      : undefined,
  };
}

/**
 * Writes the answer of a consent form into a grant.
 *
 * @param form as it was sent: with the permissions that were ticked
 * @param now in seconds since the epoch
 * @returns the granted ones of the requested scopes, and until when offline access is granted, if not for ever
 */
export function applyAnswer(
  grant: Grant,
  { client, scopes, claims, offline, resources }: Requested,
  form: Form,
  now: number,
): { scope: string; until?: number } {
  const has = (field: string, value: string) => form.all(field).includes(value);
  const ticked = (field: string, value: string, scope: string) =>
    !isOptional(client, scope) || has(field, value);
  const asked = [...scopes, ...(offline ? ['offline_access'] : [])];
  const split = (choose: boolean): Permissions => ({
    scopes: asked.filter((scope) => ticked('scope', scope, scope) === choose),
    claims: claims.filter((claim) => (isFirstParty(client) || has('claim', claim)) === choose),
    resources: Object.fromEntries(
      resources.map(({ id, scopes: some }) => [
        id,
        some
          .map(({ scope }) => scope)
          .filter((scope) => ticked('resource_scope', `${id} ${scope}`, scope) === choose),
      ]),
    ),
  });
  const allowed = split(true);
  decide(grant, allowed, split(false));
  const scope = [...allowed.scopes, ...Object.values(allowed.resources).flat()].join(' ');
  if (!allowed.scopes.includes('offline_access')) return { scope };
  // The duration only counts when offline access was allowed.
  const until = allowedUntil(form.text('duration'), now);
  Object.assign(grant, { consentExpiresAt: until });
  return until === undefined ? { scope } : { scope, until };
}

// Only durations that the page offers; anything else means without an end, like the page's first choice.
function allowedUntil(duration: string, now: number): number | undefined {
  const chosen = consentDurations.find((seconds) => seconds !== '' && seconds === duration);
  return chosen === undefined ? undefined : now + Number(chosen);
}

/** The names in a request's `claims` parameter (OIDC Core §5.5), which is JSON text or its value. */
function claimsIn(claims: unknown): string[] {
  const members = (typeof claims === 'string' ? JSON.parse(claims) : (claims ?? {})) as Record<
    string,
    object | undefined
  >;
  const names = ['userinfo', 'id_token'].flatMap((member) => Object.keys(members[member] ?? {}));
  return [...new Set(names)].filter((name) => !ofProtocol.includes(name));
}
