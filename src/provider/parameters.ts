// How the parameters of requests are read, wherever they come from: a form, a query, a request object. The engine's
// reading is stricter than applications are where a list is meant, and laxer where a number is.

// Lists of names separated by spaces (RFC 6749 §3.3, OIDC Core §3.1.2.1).
const lists = ['scope', 'prompt', 'response_type', 'acr_values', 'ui_locales', 'claims_locales'];
// Numbers of seconds (OIDC Core §3.1.2.1, CIBA §7.1).
const numbers = ['max_age', 'requested_expiry'];

/**
 * By the name of a parameter, what turns its value into the one that the engine gets. An empty list counts as not sent.
 * What is no number of decimal digits becomes `NaN`, which the engine refuses: it would read `1e3`, `0x10`, ` 10` and
 * `-0` as numbers.
 */
export const parameterReaders: Readonly<Record<string, (value: unknown) => unknown>> = {
  ...Object.fromEntries(
    lists.map((name) => [
      name,
      (value: unknown) => (typeof value === 'string' ? listed(value) : value),
    ]),
  ),
  ...Object.fromEntries(
    numbers.map((name) => [
      name,
      (value: unknown) => (typeof value === 'string' && !/^\d+$/.test(value) ? 'NaN' : value),
    ]),
  ),
};

/**
 * A list with one space between its names, as the specifications have it. Applications put spaces and line breaks before,
 * after and between.
 *
 * @returns undefined when it has no names
 */
export function listed(value: string): string | undefined {
  return (
    value
      .split(/[ \t\r\n]+/)
      .filter(Boolean)
      .join(' ') || undefined
  );
}

/** Reads the scope of a client's metadata as that of a request. @param metadata is changed */
export function tidyScope(metadata: { scope?: unknown }): void {
  if (typeof metadata.scope === 'string') metadata.scope = listed(metadata.scope) ?? '';
}
