// The data of every page. The renderer adds it to the view's own data, which has no key of the same name.
import type { Theme } from '../../config/config.ts';
import type { Language } from '../../languages.ts';

/** A person, as pages name them. */
export interface PersonView {
  readonly name?: string | null | undefined;
  readonly email: string;
}

/** The data that the renderer adds. */
export interface Frame {
  readonly t: Language['t'];
  /** A person in words: the name, if there is one, and the address. */
  readonly person: (person: PersonView) => string;
  /** BCP 47. */
  readonly lang: string;
  readonly direction: Language['direction'];
  /** The provider's name. */
  readonly name: string;
  /** The URL path of the operator's logo. */
  readonly logo: string | undefined;
  readonly footer: Theme['links'];
  /** The issuer's path: '' or like '/op'. */
  readonly base: string;
  /** The URL path of the style sheet. */
  readonly style: string;
}

/** The data of `views/layout.eta`. */
export interface Layout extends Frame {
  readonly title: string;
  /** HTML. */
  readonly body: string;
}
