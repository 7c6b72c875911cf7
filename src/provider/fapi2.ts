// FAPI 2.0 (Security Profile, Message Signing): for which clients it holds, and what it asks of what they sign. What it
// asks of their metadata is in client-metadata.ts.
import { type Configuration, errors } from 'oidc-provider';

/** The algorithms with which such a client may sign (§5.4). */
export const fapi2Algorithms: readonly string[] = ['PS256', 'ES256', 'EdDSA'];

/** Whether FAPI 2.0 holds for a client. */
export function isFapi2(client: object | undefined): boolean {
  return (client as { security_profile?: string } | undefined)?.security_profile === 'fapi2';
}

/** @throws what `refuse` makes, when FAPI 2.0 holds for the client and this is not signed as it asks */
export function assertFapi2Algorithm(
  client: object,
  header: object | undefined,
  refuse: (message: string) => Error,
): void {
  const { alg = '' } = (header ?? {}) as { alg?: string };
  if (isFapi2(client) && !fapi2Algorithms.includes(alg))
    throw refuse(`${alg} may not be used with FAPI 2.0`);
}

/** §5.3.2.1: only the issuer, as a string, is the audience of an assertion with which a client authenticates. */
export function fapi2Assertions(
  issuer: string,
): NonNullable<Configuration['assertJwtClientAuthClaimsAndHeader']> {
  return (ctx, assertion, header, client) => {
    if (ctx.oidc.isFapi('2.0') && assertion['aud'] !== issuer)
      throw new errors.InvalidClientAuth('audience (aud) must equal the issuer identifier');
    assertFapi2Algorithm(client, header, (message) => new errors.InvalidClientAuth(message));
    return Promise.resolve();
  };
}
