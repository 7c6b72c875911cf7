// The data of the pages for the set-up, for signing up, and for links from mails.

/** The mistakes in a form, by field; `summary` is about the whole form. */
export interface FormErrors {
  readonly summary?: string;
  readonly email?: string;
  readonly name?: string;
  readonly password?: string;
}

/** A form on the page of a mail's link. It carries the link's secret. */
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

/** A mail with a link that was asked for. */
interface MailSent {
  readonly email: string;
  /** Whether it is on its way: others were sent before, and no more are for now. */
  readonly isSent: boolean;
  /** How long the link works. */
  readonly duration: string;
  /** Whether mails are printed instead of sent. */
  readonly isPrinted: boolean;
}

type Empty = Record<string, never>;

export interface WaysInViews {
  setup: AccountForm & { readonly csrf: string; readonly email?: string | undefined };
  'setup-done': { readonly email: string; readonly issuer: string; readonly command: string };
  'setup-used': { readonly command: string };
  'sign-up': AccountForm & {
    readonly csrf: string;
    readonly email?: string | undefined;
    /** For a person who has an account already: where they came from. */
    readonly signIn?: string | undefined;
  };
  'sign-up-sent': MailSent;
  'sign-up-confirm': LinkForm & {
    /** Whether it asks for the password. */
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
    /** Whether there is no mail. */
    readonly isOff: boolean;
    readonly action: string;
    readonly csrf: string;
    readonly email?: string | undefined;
    readonly mistake?: string | undefined;
  };
  'forgot-sent': MailSent;
  reset: LinkForm & { readonly mistake?: string | undefined };
  'reset-done': { readonly next: string | undefined; readonly account: string };
  verify: LinkForm & {
    /** The previous address, when the link changes it. */
    readonly former?: string | undefined;
  };
  'verify-done': { readonly email: string; readonly account: string };
  'link-void': {
    /** Where to ask for another link. */
    readonly again?: string | undefined;
    readonly reason?: string | undefined;
  };
  limit: Empty;
  /** The account is gone. */
  deleted: Empty;
}
