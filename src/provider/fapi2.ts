// FAPI 2.0 (Security Profile, Message Signing): the clients that it applies to, and its rules for what they sign. Its
// rules for their metadata are in client-metadata.ts.
import { type Configuration, errors } from 'oidc-provider';

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

/** §5.3.2.1: the audience of an assertion by which a client authenticates is the issuer alone, as a string. */
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
