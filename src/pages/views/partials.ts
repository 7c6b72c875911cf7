// The data of the partials (views/partials/<name>.eta).
import type { Language } from '../../languages.ts';
import type { ClientView } from '../client-view.ts';
import type { Sentence } from '../scopes-view.ts';

/** A point in time, in words and for programs. */
export interface When {
  readonly iso: string;
  readonly relative: string;
  readonly absolute: string;
}

/** An application's permissions, for the person who has granted them. */
export interface AccessView {
  readonly scopes: readonly Sentence[];
  readonly resources: readonly {
    readonly name: string;
    readonly scopes: readonly Sentence[];
  }[];
}

/** The permissions that an application asks for. Optional ones are fields of the form. */
export interface PermissionsView {
  readonly groups: readonly {
    /** The resource server's name; not set for the provider itself. */
    readonly name: string | undefined;
    readonly items: readonly PermissionView[];
  }[];
  readonly isNarrowable: boolean;
  /** Staying connected (offline_access), if requested. */
  readonly offline:
    | {
        readonly optional: boolean;
        /** How long it may stay unused. */
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

/** A form that the browser's passkey dialog fills in. */
export interface PasskeyForm {
  readonly action: string;
  /** JSON, for `views/passkey.js`. */
  readonly options: string;
}

/** Links to other ways to an account, if enabled. */
export interface WaysInView {
  readonly forgot?: string | undefined;
  readonly signUp?: string | undefined;
}

/** That an account is to be deleted, and the form that keeps it. */
export interface LeavingView {
  readonly date: string;
  /** Where the form is posted to. */
  readonly keep: string;
  readonly csrf: string;
}

/** The navigation of the account's pages. */
export interface AccountNav {
  readonly nav: readonly {
    readonly href: string;
    readonly text: string;
    readonly isHere: boolean;
  }[];
  /** The flash message. */
  readonly notice: string | undefined;
  /** The account is to be deleted. */
  readonly leaving: LeavingView | undefined;
  readonly signOut: string;
}

interface Speaking {
  readonly t: Language['t'];
}

export interface Partials {
  'account-nav': AccountNav & Speaking;
  'account-scopes': { readonly access: AccessView } & Speaking;
  'account-time': { readonly when: When };
  app: {
    readonly client: ClientView | undefined;
    /** The id of the heading that its name is, if it is one. */
    readonly heading?: string;
  } & Speaking;
  field: {
    /** Its name and id. */
    readonly field: string;
    readonly label: string;
    readonly autocomplete: string;
    readonly type?: 'text' | 'email' | 'password';
    readonly value?: string | null | undefined;
    readonly inputmode?: 'numeric';
    /** By default true. */
    readonly required?: boolean;
    readonly autofocus?: boolean;
    readonly minlength?: number;
    readonly hint?: string;
    /** Shown instead of the hint. */
    readonly mistake?: string | undefined;
  };
  links: { readonly client: ClientView | undefined } & Speaking;
  passkey: PasskeyForm & {
    readonly csrf: string;
    readonly is: 'asked' | 'offered';
    readonly label: string;
    /** Whether it is an alternative to another way on the page. */
    readonly or: boolean;
    readonly quiet: boolean;
  } & Speaking;
  permissions: {
    readonly permissions: PermissionsView;
    readonly client: ClientView;
    readonly heading: string;
    /** The id of the field for the duration. */
    readonly id: string;
    readonly base: string;
  } & Speaking;
  'ways-in': { readonly ways: WaysInView } & Speaking;
}
