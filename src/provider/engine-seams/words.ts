// The engine's private words that Symbolon matches, each written once, where the engine offers no other way. A test
// compares them with the installed engine.

/** The `error_detail` of the errors that refuse a living refresh token. */
export const refreshRefusals = {
  otherKey: 'failed jkt verification',
  otherCertificate: 'failed x5t#S256 verification',
  noCertificate: 'mutual TLS client certificate not provided',
  replayedProof: 'DPoP proof JWT Replay detected',
  noAccount: 'refresh token invalid (referenced account not found)',
} as const;

/** Parts of the reasons of refusals that a stolen code, token, assertion or proof makes. */
export const thefts = [
  'reuse', // of a refresh token: our own words
  'in_step',
  'rotated_beyond_window',
  'already consumed',
  'was already used', // of a code or a request: our own words
  'only be used once',
  'Replay detected',
] as const;

/** Whether the engine has refused a body for its length. */
export function isTooLarge({ cause }: { cause?: unknown }): boolean {
  return cause instanceof Error && cause.message === TOO_LARGE;
}
const TOO_LARGE = 'request entity too large';

/** Parts of a `SessionNotFound`'s description. */
export const lostInteraction = {
  noCookie: 'cookie not found',
  otherCookie: 'mismatch',
  otherPerson: 'principal changed',
} as const;

/** The names of the errors with which `userCodeInputSource` is called again. */
export const userCodeErrors = {
  aborted: 'AbortedError',
  missing: 'NoCodeError',
  unknown: 'NotFoundError',
  expired: 'ExpiredError',
  used: 'AlreadyUsedError',
} as const;

/** The reasons of the checks in the engine's interaction policy that are replaced. */
export const policyChecks = {
  essentialAcr: 'essential_acr',
  essentialAcrs: 'essential_acrs',
  consentPrompt: 'consent_prompt',
} as const;

/** The secret by which the engine recognises the forms of its pages: their field `xsrf`. */
export function formSecret(
  session: { state?: object | undefined } | undefined,
): string | undefined {
  const { secret } = (session?.state ?? {}) as { secret?: string };
  return secret;
}

export interface SelfSubmittingForm {
  readonly action: string;
  /** Names and values. */
  readonly fields: readonly (readonly [string, string])[];
}

/**
 * The form of an engine's page that submits itself by an inline script. Such a page is recognised by its title.
 *
 * @returns undefined for any other answer
 * @throws {Error} when the form cannot be read
 */
export function selfSubmittingForm(body: unknown): SelfSubmittingForm | undefined {
  if (typeof body !== 'string' || !body.includes('<title>Submitting Callback</title>'))
    return undefined;
  const action = /<form method="post" action="([^"]*)">/.exec(body)?.[1];
  if (action === undefined)
    throw new Error(
      'the engine’s self-submitting form has another shape: adapt selfSubmittingForm in provider/engine-seams/words.ts',
    );
  const inputs = body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g);
  return {
    action: unescape(action),
    fields: [...inputs].map(([, name = '', value = '']) => [name, unescape(value)] as const),
  };
}

// The engine escapes these five characters (its helpers/html_safe.js).
const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

function unescape(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? entity);
}

/** All that is matched, for docs/architecture.md. The last two are matched in files that cannot import this one. */
export const matched = [
  { name: 'refreshRefusals', why: 'why a refresh was refused, for the audit' },
  { name: 'thefts', why: 'refusals that may mean a theft are warnings in the log' },
  { name: 'isTooLarge', why: 'a body that is too long is 413, not 400' },
  { name: 'lostInteraction', why: 'whether the cookie is missing or another window was faster' },
  { name: 'userCodeErrors', why: 'what is wrong with the code of a device' },
  { name: 'policyChecks', why: 'checks of the interaction policy that are replaced' },
  { name: 'formSecret', why: 'the forms of our pages are known again by the engine' },
  {
    name: 'selfSubmittingForm',
    why: 'its form is put on a page of ours: none runs an inline script',
  },
  {
    name: 'toJSON of a client',
    why: 'clients are told apart by a hash of their JSON, which `storage/clients.ts` makes once',
  },
  {
    name: 'ctx.params',
    why: 'the router sets it when it has found a route: which methods a path is there for',
  },
  {
    name: 'ctx.oidc',
    why: 'a getter, which lives long: `operations/http.ts` empties the context of an answered request',
  },
] as const;
