// The data of the pages for signing in and for answering an application's request.
import type { ClientView } from '../client-view.ts';
import type { PersonView } from './frame.ts';
import type { LeavingView, PasskeyForm, PermissionsView, WaysInView } from './partials.ts';

/** A form that names the application that the person comes from, and may lead back to it. */
interface Step {
  readonly csrf: string;
  /** Not set for a page of the provider's own. */
  readonly client: ClientView | undefined;
  /** Where the form for going back is posted to. */
  readonly cancel: string | undefined;
}

export interface SignInViews {
  'sign-in': Step & {
    readonly action: string;
    readonly email?: string | undefined;
    /** Shown instead of the provider's name. */
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
    /** Whether a one-time code is asked for; otherwise a recovery code. */
    readonly code: boolean;
    readonly recovery: boolean;
    readonly codeLink: string | undefined;
    readonly recoveryLink: string | undefined;
    /** Where to sign in to another account. */
    readonly other: string | undefined;
    /** The mistake in the code. */
    readonly mistake?: string | undefined;
    /** Any other mistake. */
    readonly alert?: string | undefined;
  };
  'factor-needed': Step & {
    /** Whether only a passkey will do. */
    readonly isPasskey: boolean;
    /** Where to go on once the factor is set up. */
    readonly again: string;
  };
  /** The person has signed in, and has asked for the account to be deleted. */
  leaving: LeavingView & {
    readonly email: string;
    /** Where to go on. */
    readonly next: string;
  };
  'select-account': {
    readonly csrf: string;
    readonly client: ClientView;
    readonly cancel: string;
    readonly action: string;
    readonly account: PersonView;
    /** The account that the application expects. */
    readonly hint: string | undefined;
  };
  'no-access': {
    readonly csrf: string;
    readonly client: ClientView;
    readonly cancel: string;
    readonly account: PersonView;
    /** Where to choose another account. */
    readonly switchAction: string;
  };
  consent: {
    readonly csrf: string;
    readonly client: ClientView;
    readonly cancel: string;
    readonly action: string;
    readonly account: PersonView;
    /** Where to choose another account. */
    readonly switchAction: string;
    readonly permissions: PermissionsView;
    /** The details of a rich authorization request (RFC 9396). */
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
    /** Where the other requests are. */
    readonly more: string;
  };
}
