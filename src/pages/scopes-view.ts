// Scopes, claims, resources and lifetimes in a person's words.
import type { ClaimsConfig } from '../claims-config.ts';
import type { PrismaClient } from '../generated/client.ts';
import type { Language } from '../languages.ts';
import { scopesOf } from '../storage/resources.ts';

export interface Sentence {
  readonly title: string;
  readonly detail?: string;
}

const ownScopes = ['openid', 'profile', 'email', 'address', 'phone'];
const ownClaims = ['name', 'picture', 'address', 'phone_number', 'email', 'email_verified'];

/** Offline access is not among them: the consent page tells it apart from the others. */
export function presentScopes(
  { t }: Language,
  scopes: readonly string[],
  { scopes: others }: ClaimsConfig,
): Sentence[] {
  return scopes.flatMap((scope) => {
    if (!ownScopes.includes(scope)) return sentence(others[scope]) ?? [];
    const detail = scope === 'openid' ? { detail: t('scope.openid-detail') } : {};
    return { title: t(`scope.${scope}`), ...detail };
  });
}

function sentence(scope: { title: string; detail?: string | undefined } | undefined) {
  if (!scope) return undefined;
  return { title: scope.title, ...(scope.detail === undefined ? {} : { detail: scope.detail }) };
}

export interface RequestedResource {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly (Sentence & { readonly scope: string })[];
}

/** The resources that a request asks for (RFC 8707), each with those of its scopes that it asks for. */
export async function requestedResources(
  prisma: PrismaClient,
  { resource, scope }: Readonly<Record<string, unknown>>,
): Promise<RequestedResource[]> {
  const ids = [resource ?? []].flat() as string[];
  if (ids.length === 0) return [];
  const asked = String(scope).split(' ');
  const found = await prisma.resource.findMany({ where: { id: { in: ids } } });
  return found.map((one) => ({
    id: one.id,
    name: one.name ?? one.id,
    scopes: Object.entries(scopesOf(one))
      .filter(([name]) => asked.includes(name))
      .map(([name, title]) => ({ scope: name, title: title || name })),
  }));
}

/** Rich authorization requests (RFC 9396), for a person who must see all of them. */
export function presentDetails(value: unknown): { type: string; lines: [string, string][] }[] {
  if (typeof value !== 'string') return [];
  return (JSON.parse(value) as Record<string, unknown>[]).map(({ type, ...members }) => ({
    type: nameInWords(String(type)),
    lines: Object.entries(members).map(([name, member]): [string, string] => [
      nameInWords(name),
      inWords(member),
    ]),
  }));
}

// `instructedAmount` and `payment_initiation` as a person would write them.
function nameInWords(name: string): string {
  return name
    .replaceAll('_', ' ')
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.map(inWords).join(', ');
  if (value === null || typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, member]) => `${nameInWords(name)}: ${inWords(member)}`)
    .join(', ');
}

export function presentClaims({ t }: Language, claims: readonly string[]): Sentence[] {
  return claims.map((claim) => ({
    title: ownClaims.includes(claim) ? t(`claim.${claim}`) : t('claim.other', { claim }),
  }));
}

const DAY = 86_400;

/** For how many seconds a person may allow offline access; '' is without an end. */
export const consentDurations = ['', DAY, 7 * DAY, 30 * DAY, 365 * DAY].map(String);

export function presentDurations({ t, duration }: Language): { seconds: string; words: string }[] {
  return consentDurations.map((seconds) => ({
    seconds,
    words:
      seconds === ''
        ? t('consent.duration-unlimited')
        : t('consent.duration-for', { duration: duration(Number(seconds)) }),
  }));
}
