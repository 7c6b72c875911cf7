// Scopes, claims, resources and lifetimes in a person's words.
import type { ClaimsConfig } from '../claims-config.ts';
import type { PrismaClient } from '../generated/client.ts';
import { scopesOf } from '../storage/resources.ts';

export interface Sentence {
  readonly title: string;
  readonly detail?: string;
}

const scopeSentences: Record<string, Sentence> = {
  openid: { title: 'Know that it is you', detail: 'An identifier that stands for your account' },
  profile: { title: 'See your name and profile' },
  email: { title: 'See your e-mail address' },
  address: { title: 'See your postal address' },
  phone: { title: 'See your phone number' },
};

const claimSentences: Record<string, Sentence> = {
  name: { title: 'See your name' },
  picture: { title: 'See your picture' },
  address: { title: 'See your postal address' },
  phone_number: { title: 'See your phone number' },
  email: { title: 'See your e-mail address' },
  email_verified: { title: 'See whether your e-mail address is confirmed' },
};

/** Offline access is not among them: the consent page tells it apart from the others. */
export function presentScopes(
  scopes: readonly string[],
  { scopes: own }: ClaimsConfig,
): Sentence[] {
  return scopes.flatMap((scope) => scopeSentences[scope] ?? sentence(own[scope]) ?? []);
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

export function presentClaims(claims: readonly string[]): Sentence[] {
  return claims.map((claim) => claimSentences[claim] ?? { title: `See “${claim}”` });
}

/** For how long a person may allow offline access. */
export const consentDurations = [
  { seconds: '', words: 'for as long as it is used' },
  { seconds: '86400', words: 'for a day' },
  { seconds: '604800', words: 'for a week' },
  { seconds: '2592000', words: 'for 30 days' },
  { seconds: '31536000', words: 'for a year' },
];

/** A length of time in its largest fitting unit: 2592000 is "30 days". */
export function lifetimeInWords(seconds: number): string {
  const [unit, length] = (
    [
      ['day', 86_400],
      ['hour', 3600],
      ['minute', 60],
      ['second', 1],
    ] as const
  ).find(([, size]) => seconds >= size) ?? ['second', 1];
  return new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'long' }).format(
    Math.floor(seconds / length),
  );
}
