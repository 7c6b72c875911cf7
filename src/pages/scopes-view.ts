// Scopes, claims and lifetimes in a person's words.

export interface Sentence {
  readonly title: string;
  readonly detail?: string;
}

const scopeSentences: Record<string, Sentence> = {
  openid: { title: 'Know that it is you', detail: 'An identifier that stands for your account' },
  profile: { title: 'See your name' },
  email: { title: 'See your e-mail address' },
};

const claimSentences: Record<string, Sentence> = {
  name: { title: 'See your name' },
  email: { title: 'See your e-mail address' },
  email_verified: { title: 'See whether your e-mail address is confirmed' },
};

/** Offline access is not among them: the consent page tells it apart from the others. */
export function presentScopes(scopes: readonly string[]): Sentence[] {
  return scopes
    .filter((scope) => scope !== '' && scope !== 'offline_access')
    .map((scope) => scopeSentences[scope] ?? { title: scope });
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
