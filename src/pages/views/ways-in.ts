// What the pages show on which an account is made or a way into it is found: the set-up, signing up, links of mails.

/** What is wrong with a form, by its field; `summary` is of the whole. */
export interface FormErrors {
  readonly summary?: string;
  readonly email?: string;
  readonly name?: string;
  readonly password?: string;
}

/** A form behind a link of a mail, whose secret it brings. */
interface LinkForm {
  readonly action: string;
  readonly token: string;
  /** The address that the link was sent to. */
  readonly email: string;
}

/** A form that makes an account. */
interface AccountForm {
  readonly action: string;
  readonly displayName?: string | undefined;
  readonly errors?: FormErrors | undefined;
}

type Empty = Record<string, never>;

export interface WaysInViews {
  setup: AccountForm & { readonly csrf: string; readonly email?: string | undefined };
  'setup-done': { readonly email: string; readonly issuer: string };
  'setup-used': Empty;
  'sign-up': AccountForm & { readonly csrf: string; readonly email?: string | undefined };
  'sign-up-sent': { readonly email: string; readonly duration: string };
  'sign-up-confirm': LinkForm & {
    /** Whether for the password. */
    readonly asks: boolean;
    readonly mistake?: string | undefined;
  };
  'sign-up-done': {
    readonly email: string;
    /** The interaction to go on with. */
    readonly next: string | undefined;
    readonly account: string;
  };
  invitation: AccountForm & LinkForm;
  forgot: {
    readonly action: string;
    readonly csrf: string;
    readonly email?: string | undefined;
    readonly mistake?: string | undefined;
  };
  'forgot-sent': { readonly email: string; readonly duration: string };
  reset: LinkForm & { readonly mistake?: string | undefined };
  'reset-done': { readonly next: string | undefined; readonly account: string };
  verify: LinkForm & {
    /** The address before, when another is to become the account's. */
    readonly former?: string | undefined;
  };
  'verify-done': { readonly email: string; readonly account: string };
  'link-void': {
    /** Where another link is asked for. */
    readonly again?: string | undefined;
    readonly reason?: string | undefined;
  };
  limit: Empty;
}
