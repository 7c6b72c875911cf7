// What the partials take (views/partials/<name>.eta), and what views have of it.
import type { Language } from '../../languages.ts';
import type { ClientView } from '../client-view.ts';
import type { Sentence } from '../scopes-view.ts';

/** A point of time in words, and for programs. */
export interface When {
  readonly iso: string;
  readonly relative: string;
  readonly absolute: string;
}

/** What an application may do, for the person who has allowed it. */
export interface AccessView {
  readonly scopes: readonly Sentence[];
  readonly resources: readonly {
    readonly name: string;
    readonly scopes: readonly Sentence[];
  }[];
}

/** What an application asks for. What is optional is a field of the form. */
export interface PermissionsView {
  readonly groups: readonly {
    /** A resource server's; not set: the provider itself. */
    readonly name: string | undefined;
    readonly items: readonly PermissionView[];
  }[];
  readonly isNarrowable: boolean;
  /** Staying connected (offline_access), where it is asked for. */
  readonly offline:
    | {
        readonly optional: boolean;
        /** How long it may be unused. */
        readonly until: string;
        readonly durations: readonly { readonly seconds: string; readonly words: string }[];
      }
    | undefined;
}

export interface PermissionView extends Sentence {
  readonly field: string;
  readonly value: string;
  readonly optional: boolean;
}

/** A form that the browser's passkey prompt fills in. */
export interface PasskeyForm {
  readonly action: string;
  /** JSON, for `views/passkey.js`. */
  readonly options: string;
}

/** Links to the other ways to an account, of those that there are. */
export interface WaysInView {
  readonly forgot?: string | undefined;
  readonly signUp?: string | undefined;
}

/** Where one is among the pages of the account. */
export interface AccountNav {
  readonly nav: readonly {
    readonly href: string;
    readonly text: string;
    readonly isHere: boolean;
  }[];
  /** What was done, after a form. */
  readonly notice: string | undefined;
  readonly signOut: string;
}

interface Speaking {
  readonly t: Language['t'];
}

export interface Partials {
  'account-nav': AccountNav & Speaking;
  'account-scopes': { readonly access: AccessView } & Speaking;
  'account-time': { readonly when: When };
  app: { readonly client: ClientView | undefined };
  field: {
    /** Its name and id. */
    readonly field: string;
    readonly label: string;
    readonly autocomplete: string;
    readonly type?: 'text' | 'email' | 'password';
    readonly value?: string | null | undefined;
    readonly inputmode?: 'numeric';
    /** Not set: it is. */
    readonly required?: boolean;
    readonly autofocus?: boolean;
    readonly minlength?: number;
    readonly hint?: string;
    /** Shown in place of the hint. */
    readonly mistake?: string | undefined;
  };
  links: { readonly client: ClientView | undefined } & Speaking;
  passkey: PasskeyForm & {
    readonly csrf: string;
    readonly is: 'asked' | 'offered';
    readonly label: string;
    /** Whether it is one of several ways, and not the first of them. */
    readonly or: boolean;
    readonly quiet: boolean;
  } & Speaking;
  permissions: {
    readonly permissions: PermissionsView;
    readonly client: ClientView;
    readonly heading: string;
    /** The id of the field for how long. */
    readonly id: string;
    readonly base: string;
  } & Speaking;
  'ways-in': { readonly ways: WaysInView } & Speaking;
}
