// The algorithms that tokens may be signed with (RFC 7518, RFC 8037).

/** RS256 is the default of clients (OIDC Core §15.1); ES256 is recommended. */
export const signingAlgorithms = ['RS256', 'ES256', 'PS256', 'EdDSA'] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];
