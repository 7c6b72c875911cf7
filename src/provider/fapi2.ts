// FAPI 2.0 (Security Profile, Message Signing): the clients that it applies to, and its rules for what they sign. Its
// rules for their metadata are in client-metadata.ts.

/** The algorithms that such a client may sign with (§5.4). */
export const fapi2Algorithms: readonly string[] = ['PS256', 'ES256', 'EdDSA'];

/** Whether FAPI 2.0 applies to a client. */
export function isFapi2(client: object | undefined): boolean {
  return (client as { security_profile?: string } | undefined)?.security_profile === 'fapi2';
}

/** @throws what `refuse` makes, when FAPI 2.0 applies to the client and the algorithm is another */
export function assertFapi2Algorithm(
  client: object,
  header: object | undefined,
  refuse: (message: string) => Error,
): void {
  const { alg = '' } = (header ?? {}) as { alg?: string };
  if (isFapi2(client) && !fapi2Algorithms.includes(alg))
    throw refuse(`${alg} may not be used with FAPI 2.0`);
}
