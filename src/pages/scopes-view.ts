// Scopes, claims, details and lifetimes in a person's words.
import type { ClaimsConfig } from '../config/claims.ts';
import type { Language } from '../languages.ts';

export interface Sentence {
  readonly title: string;
  readonly detail?: string;
}

// What there are messages for: of standardScopes all but offline_access.
const ownScopes = ['openid', 'profile', 'email', 'address', 'phone'] as const;
const ownClaims = [
  'name',
  'picture',
  'address',
  'phone_number',
  'email',
  'email_verified',
] as const;

/** Nothing for offline access, which the consent page tells apart from the others, and for what there is not. */
export function scopeInWords(
  { t }: Language,
  scope: string,
  { scopes: others }: ClaimsConfig,
): Sentence | undefined {
  if (!isOneOf(ownScopes, scope)) {
    const { title, detail } = others[scope] ?? {};
    return title === undefined ? undefined : { title, ...(detail === undefined ? {} : { detail }) };
  }
  const detail = scope === 'openid' ? { detail: t('scope.openid-detail') } : {};
  return { title: t(`scope.${scope}`), ...detail };
}

/** Those that there are words for. */
export function scopesInWords(
  language: Language,
  scopes: readonly string[],
  claims: ClaimsConfig,
): Sentence[] {
  return scopes.flatMap((scope) => scopeInWords(language, scope, claims) ?? []);
}

export function claimInWords({ t }: Language, claim: string): Sentence {
  return { title: isOneOf(ownClaims, claim) ? t(`claim.${claim}`) : t('claim.other', { claim }) };
}

function isOneOf<T extends string>(names: readonly T[], name: string): name is T {
  return names.some((one) => one === name);
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
