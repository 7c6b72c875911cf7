// What a request asks a person to allow: as the consent page and the page of approvals show it, and as its form
// answers. A form can leave out what is optional, and can add nothing.
import type { Client } from 'oidc-provider';
import { standardScopes } from '../config/claims.ts';
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
import { answered } from '../storage/errors.ts';
import { scopesOf } from '../storage/resources.ts';
import type { Form } from './forms.ts';
import { claimInWords, consentDurations, presentDurations, scopeInWords } from './scopes-view.ts';
import type { PermissionView, PermissionsView } from './views/partials.ts';

/** The parameters of a request that say what it asks for. */
export type Params = Readonly<Record<string, unknown>>;

export interface Requested {
  readonly client: Client;
  readonly scopes: readonly string[];
  readonly claims: readonly string[];
  readonly offline: boolean;
  readonly resources: readonly AskedResource[];
}

/** A resource server (RFC 8707), with those of its scopes that are asked for. */
export interface AskedResource {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Readonly<{ scope: string; title: string }>[];
}

interface Parts {
  readonly config: Config;
  readonly prisma: PrismaClient;
}

// What every request gets and nobody is asked for (OIDC Core §2).
const ofProtocol = ['sub', 'sid', 'auth_time', 'acr', 'amr', 'iss'];

/** What a client asks for, of what there is. */
export async function requested(
  { config, prisma }: Parts,
  client: Client,
  { scope, claims, resource }: Params,
): Promise<Requested> {
  const asked = typeof scope === 'string' ? scope.split(' ') : [];
  const known = [...standardScopes, ...Object.keys(config.claims.scopes)];
  return {
    client,
    scopes: asked.filter((one) => known.includes(one) && one !== 'offline_access'),
    claims: claimsIn(claims),
    offline: asked.includes('offline_access'),
    resources: await resourcesIn(prisma, { scope, resource }, (id, name) =>
      mayAskFor(client, id, name),
    ),
  };
}

/**
 * The resources that are named, each with its scopes of those that are named.
 *
 * @param counts whether one of them does
 */
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
  { config }: Pick<Parts, 'config'>,
  language: Language,
  { client, scopes, claims, offline, resources }: Requested,
): PermissionsView {
  const optional = (scope: string) => isOptional(client, scope);
  const own: PermissionView[] = [
    ...scopes.flatMap((scope) => {
      const sentence = scopeInWords(language, scope, config.claims);
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
          until: language.duration(refreshPolicy(config).idleTtl(client)),
          durations: presentDurations(language),
        }
      : undefined,
  };
}

/**
 * Writes the answer of a form that had these fields into a grant.
 *
 * @param form as it was sent: what is ticked
 * @param now in seconds since the epoch
 * @returns the scopes that are granted, of all that were asked for, and until when offline access is, if for a time
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
  // Only who allowed offline access has said for how long.
  const until = allowedUntil(form.text('duration'), now);
  Object.assign(grant, { consentExpiresAt: until });
  return until === undefined ? { scope } : { scope, until };
}

// Only what the page offers; anything else allows without an end, as the page's first choice does.
function allowedUntil(duration: string, now: number): number | undefined {
  const chosen = consentDurations.find((seconds) => seconds !== '' && seconds === duration);
  return chosen === undefined ? undefined : now + Number(chosen);
}

/** The claims that a request's `claims` parameter names (OIDC Core §5.5): JSON, or what it says. */
function claimsIn(claims: unknown): string[] {
  const members = (typeof claims === 'string' ? JSON.parse(claims) : (claims ?? {})) as Record<
    string,
    object | undefined
  >;
  const names = ['userinfo', 'id_token'].flatMap((member) => Object.keys(members[member] ?? {}));
  return [...new Set(names)].filter((name) => !ofProtocol.includes(name));
}
