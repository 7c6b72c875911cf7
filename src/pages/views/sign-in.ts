// What the pages show on which somebody signs in, and answers what an application asks.
import type { ClientView } from '../client-view.ts';
import type { PersonView } from './frame.ts';
import type { PasskeyForm, PermissionsView, WaysInView } from './partials.ts';

/** A form that begins with which application sends the person, and may lead back to it. */
interface Step {
  readonly csrf: string;
  /** Not set: it is the provider's own page that asks. */
  readonly client: ClientView | undefined;
  /** Where going back is posted to. */
  readonly cancel: string | undefined;
}

export interface SignInViews {
  'sign-in': Step & {
    readonly action: string;
    readonly email?: string | undefined;
    /** In place of the provider's name. */
    readonly hint?: string | undefined;
    readonly errors?: { readonly summary: string } | undefined;
    readonly waysIn: WaysInView;
    readonly passkey: PasskeyForm;
    readonly scripts: readonly string[];
  };
  'second-factor': Step & {
    readonly account: PersonView;
    readonly action: string;
    readonly passkey: PasskeyForm | undefined;
    readonly scripts: readonly string[];
    /** Whether a one-time code is asked for, or else a recovery code. */
    readonly code: boolean;
    readonly recovery: boolean;
    readonly codeLink: string | undefined;
    readonly recoveryLink: string | undefined;
    /** Where another account is signed in to. */
    readonly other: string | undefined;
    /** What is wrong with the code. */
    readonly mistake?: string | undefined;
    /** What is wrong otherwise. */
    readonly alert?: string | undefined;
  };
  'factor-needed': Step & {
    /** Whether nothing but a passkey will do. */
    readonly isPasskey: boolean;
    /** Where to go on once it is set up. */
    readonly again: string;
  };
  'select-account': {
    readonly csrf: string;
    readonly client: ClientView;
    readonly cancel: string;
    readonly action: string;
    readonly account: PersonView;
    /** Whom the application expects. */
    readonly hint: string | undefined;
  };
  consent: {
    readonly csrf: string;
    readonly client: ClientView;
    readonly cancel: string;
    readonly action: string;
    readonly account: PersonView;
    /** Where another account is chosen. */
    readonly switchAction: string;
    readonly permissions: PermissionsView;
    /** Of a rich authorization request (RFC 9396). */
    readonly details: readonly {
      readonly type: string;
      readonly lines: readonly (readonly [name: string, value: string])[];
    }[];
  };
  approve: {
    readonly account: PersonView;
    readonly requests: readonly {
      readonly action: string;
      readonly csrf: string;
      readonly client: ClientView;
      /** `binding_message` (OpenID CIBA §7.1). */
      readonly message: string | undefined;
      readonly permissions: PermissionsView;
    }[];
  };
  approved: {
    readonly client: ClientView;
    readonly allowed: boolean;
    /** Where further requests are. */
    readonly more: string;
  };
}
