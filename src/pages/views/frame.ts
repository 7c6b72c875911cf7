// What every page has, whatever it shows: the renderer adds it to the view's own data, which has no key of the same
// name.
import type { Theme } from '../../config/config.ts';
import type { Language } from '../../languages.ts';

/** Somebody as pages call them. */
export interface PersonView {
  readonly name?: string | null | undefined;
  readonly email: string;
}

/** What the renderer adds. */
export interface Frame {
  readonly t: Language['t'];
  /** A person in words: by name, where there is one, and address. */
  readonly person: (person: PersonView) => string;
  /** BCP 47. */
  readonly lang: string;
  readonly direction: Language['direction'];
  /** What the provider calls itself. */
  readonly name: string;
  /** The URL path of the operator's logo. */
  readonly logo: string | undefined;
  readonly footer: Theme['links'];
  /** The issuer's path: '' or like '/op'. */
  readonly base: string;
  /** The URL path of the style sheet. */
  readonly style: string;
}

/** What `views/layout.eta` is laid around. */
export interface Layout extends Frame {
  readonly title: string;
  /** HTML. */
  readonly body: string;
}
