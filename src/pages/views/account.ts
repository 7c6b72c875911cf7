// The data of the account's pages: views/account-<name>.eta.
import type { EndChoice } from '../account/connection-end.ts';
import type { ClientView } from '../client-view.ts';
import type { PersonView } from './frame.ts';
import type { AccessView, AccountNav, When } from './partials.ts';

/** What the account area adds to each page. */
export interface AccountFrame extends AccountNav {
  readonly account: PersonView & { readonly emailVerified: boolean };
  /** The URL path of the overview. */
  readonly accountBase: string;
  readonly csrf: string;
}

/** A device on which an application stays connected. */
interface Connection extends AccessView {
  readonly id: string;
  readonly device: string;
  readonly address: string | undefined;
  readonly since: When;
  readonly used: When | undefined;
  readonly usedFrom: string | undefined;
  readonly usedBy: string | undefined;
  readonly isRenewed: boolean;
  readonly ends: string;
  readonly endsAtLatest: string | undefined;
  /** Until when it may stay connected; empty when there is nothing to choose. */
  readonly until: readonly EndChoice[];
}

export interface AccountViews {
  applications: {
    readonly applications: readonly {
      readonly clientId: string;
      readonly client: ClientView;
      readonly connections: readonly Connection[];
      /** A permission that is remembered without a device. */
      readonly permission: (AccessView & { readonly since: When }) | undefined;
    }[];
    readonly ended: readonly {
      /** Its name. */
      readonly application: string;
      readonly when: When;
      readonly since: string;
      readonly reason: string;
    }[];
  };
  data: {
    /** How long a person may change their mind; not set: the account is not deleted here. */
    readonly days: number | undefined;
    readonly mistake?: string | undefined;
  };
  email: {
    readonly typed?: string | undefined;
    readonly mistake?: string | undefined;
  };
  history: {
    readonly events: readonly {
      readonly text: string;
      readonly why: string | undefined;
      readonly when: When;
      readonly address: string | null;
      readonly device: string | undefined;
      readonly isGrave: boolean;
    }[];
    readonly older: string | undefined;
    readonly newest: string | undefined;
  };
  'last-factor': {
    readonly action: string;
    /** The factor's name. */
    readonly what: string;
  };
  methods: {
    /** A random id of the form: account/recovery.ts. */
    readonly form: string;
    readonly factors: { readonly password: boolean; readonly recoveryCodes: number };
    readonly hasSecond: boolean;
    readonly passkeys: readonly {
      readonly id: string;
      readonly name: string;
      readonly synced: boolean;
      readonly since: string;
      readonly used: When | undefined;
    }[];
    readonly totpSince: string | undefined;
    readonly add: { readonly options: string; readonly scripts: readonly string[] };
  };
  password: {
    readonly endsFamilies: boolean;
    /** Whether the present password is asked for. */
    readonly asksForCurrent: boolean;
    readonly mistakes?: { readonly current?: string; readonly password?: string } | undefined;
  };
  profile: {
    readonly picture: string | undefined;
    readonly languages: readonly {
      readonly tag: string;
      readonly name: string;
      readonly direction: string;
      readonly isChosen: boolean;
    }[];
    readonly hasMail: boolean;
    /** Whether the account may be deleted at `data`. */
    readonly mayLeave: boolean;
    readonly since: string;
    /** The name that was typed, when it was refused. */
    readonly typed?: string | undefined;
    readonly mistakes?: { readonly name?: string } | undefined;
  };
  recovery: { readonly codes: readonly string[] };
  sessions: {
    readonly sessions: readonly {
      readonly id: string;
      readonly isHere: boolean;
      readonly device: string;
      readonly address: string | undefined;
      readonly signedIn: When;
      readonly seen: When | undefined;
    }[];
  };
  totp: {
    /** In groups of four. */
    readonly secret: string;
    readonly uri: string;
    /** An image, as a `data:` URL. */
    readonly qr: string;
    readonly mistake: string | undefined;
  };
}

/** The views by template, complete with the frame. */
export type AccountTemplates = {
  [Name in keyof AccountViews as `account-${Name}`]: AccountFrame & AccountViews[Name];
};
