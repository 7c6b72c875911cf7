// Scopes, claims, authorization details and durations in words that people understand.
import { type ClaimsConfig, GROUPS, tellsGroups } from '../config/claims.ts';
import type { Language } from '../languages.ts';
import { plainName } from '../names.ts';

export interface Sentence {
  readonly title: string;
  readonly detail?: string;
}

// The scopes that have messages: all standard ones except offline_access.
const ownScopes = ['openid', 'profile', 'email', 'address', 'phone', GROUPS] as const;
const ownClaims = [
  'name',
  'picture',
  'address',
  'phone_number',
  'email',
  'email_verified',
  GROUPS,
] as const;

/** @returns undefined for offline access, which the consent page shows apart, and for an unknown scope */
export function scopeInWords(
  { t }: Language,
  scope: string,
  claims: ClaimsConfig,
): Sentence | undefined {
  if (!isOneOf(ownScopes, scope) || (scope === GROUPS && !tellsGroups(claims))) {
    const { title, detail } = claims.scopes[scope] ?? {};
    return title === undefined ? undefined : { title, ...(detail === undefined ? {} : { detail }) };
  }
  const detail = scope === 'openid' ? { detail: t('scope.openid-detail') } : {};
  return { title: t(`scope.${scope}`), ...detail };
}

/** The scopes that have words, in words. */
export function scopesInWords(
  language: Language,
  scopes: readonly string[],
  claims: ClaimsConfig,
): Sentence[] {
  return scopes.flatMap((scope) => scopeInWords(language, scope, claims) ?? []);
}

/** A claim by its message, or by its name when there is none. */
export function claimInWords({ t }: Language, claim: string): Sentence {
  return { title: isOneOf(ownClaims, claim) ? t(`claim.${claim}`) : t('claim.other', { claim }) };
}

function isOneOf<T extends string>(names: readonly T[], name: string): name is T {
  return names.some((one) => one === name);
}

/** Rich authorization requests (RFC 9396), complete: the person must see every member. */
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

// Splits `instructedAmount` and `payment_initiation` into words.
function nameInWords(name: string): string {
  return plainName(name)
    .replaceAll('_', ' ')
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.map(inWords).join(', ');
  if (value === null || typeof value !== 'object') return plainName(String(value));
  return Object.entries(value)
    .map(([name, member]) => `${nameInWords(name)}: ${inWords(member)}`)
    .join(', ');
}

const DAY = 86_400;

/** The durations for which a person may allow offline access, in seconds; '' is without an end. */
export const consentDurations = ['', DAY, 7 * DAY, 30 * DAY, 365 * DAY].map(String);

/** The choices of {@link consentDurations}, in words. */
export function presentDurations({ t, duration }: Language): { seconds: string; words: string }[] {
  return consentDurations.map((seconds) => ({
    seconds,
    words:
      seconds === ''
        ? t('consent.duration-unlimited')
        : t('consent.duration-for', { duration: duration(Number(seconds)) }),
  }));
}
