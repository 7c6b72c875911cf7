// The templates of mails (views/mail/<name>.eta), each with the values that are kept until it is sent, and the requests
// that become a mail only when they are processed (mail/requests.ts).

export type NoticeKind =
  | 'new_device' // a sign-in from a browser that had not signed in this account before
  | 'password_changed'
  | 'email_changed' // told to the former address
  | 'passkey_added'
  | 'passkey_removed'
  | 'totp_added'
  | 'totp_removed'
  | 'recovery_codes_made'
  | 'second_factor_failed' // after the right password
  | 'second_factor_missing' // the same, and nobody went on
  | 'reuse' // a used-up refresh token was presented, and its family ended
  | 'signed_out_everywhere'
  | 'deletion_asked' // `until` is when
  | 'deletion_withdrawn';

interface LinkValues {
  /** The secret of the link in the mail. */
  readonly token: string;
}

/** An application that nobody here vouches for. */
interface About {
  /** Where it is at home (storage/strangers.ts), '' for nowhere; not set for an application that is vouched for. */
  readonly stranger?: string | undefined;
}

export interface MailTemplates {
  /** `account` is the address of the account that there was. */
  'account-deleted': { readonly account: string };
  /** `message` is shown by the application as well; '' for none. */
  approval: About & { readonly client: string; readonly message: string };
  /** `former` is the previous address. */
  'email-change': LinkValues & { readonly former: string };
  /** Strangers have guessed at the password. `account` is the account's address. */
  guessed: Guesses & { readonly account: string };
  /** `life` is the link's, in seconds. */
  invitation: LinkValues & { readonly life: number };
  notice: About & {
    readonly kind: NoticeKind;
    /** When, in milliseconds since the epoch. */
    readonly at: number;
    /** The IP address; '' when unknown. */
    readonly ip: string;
    readonly userAgent: string;
    /** An application's or a passkey's name; '' for none. */
    readonly about: string;
    /** When something that it tells of will be, in milliseconds since the epoch. */
    readonly until?: number | undefined;
    /** The account's address. */
    readonly account: string;
  };
  'password-reset': LinkValues;
  'sign-up': LinkValues;
  'sign-up-taken': Record<string, never>;
  test: Record<string, never>;
  verification: LinkValues;
}

/** A sign-up: what the account is made of once the address is confirmed. */
export interface SignUp {
  readonly name: string;
  readonly passwordHash: string;
  /** SHA-256 of the cookie of the browser that signed up, base64url. */
  readonly browser: string;
}

interface RequestValues {
  /** When, in milliseconds since the epoch. */
  readonly asked: number;
}

/** Wrong passwords in a row, and where the last one came from. */
interface Guesses {
  readonly guesses: number;
  /** Whether strangers' guesses are not judged any more. */
  readonly isClosed: boolean;
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** The IP address; '' when unknown. */
  readonly ip: string;
  readonly userAgent: string;
}

/** The right password, where it came from, and whose it is. */
interface Verified {
  readonly accountId: string;
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** The IP address; '' when unknown. */
  readonly ip: string;
  readonly userAgent: string;
}

export interface MailRequests {
  'ask-factor': Verified;
  'ask-guessed': Guesses;
  'ask-reset': RequestValues;
  'ask-sign-up': RequestValues & SignUp;
}
