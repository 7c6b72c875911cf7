// The assertions by which clients authenticate (RFC 7523): what is required besides what the engine checks.
import { type Configuration, errors } from 'oidc-provider';
import { epoch, type Storage } from '../storage/storage.ts';
import type { OwnMetadata } from './own-metadata.ts';
import { assertFapi2Algorithm } from './fapi2.ts';

/** Seconds for which an assertion is valid at most. */
export const ASSERTION_LIFE = 300;

/**
 * The audience is the issuer and nothing else, so that another server to which a client sends an assertion can never use
 * it here (CVE-2025-27370, draft-ietf-oauth-rfc7523bis §4). A client whose library signs for the token endpoint's URL is
 * registered so, and then that is the only one. Under FAPI 2.0 the audience is a string (Security Profile §5.3.2.1).
 */
export function clientAssertions({
  now,
}: Pick<Storage, 'now'>): NonNullable<Configuration['assertJwtClientAuthClaimsAndHeader']> {
  return (ctx, { aud, exp }, header, client) => {
    const refuse = (message: string) => new errors.InvalidClientAuth(message);
    const forEndpoint = (client as OwnMetadata).client_assertion_audience === 'token_endpoint';
    const expected = forEndpoint ? ctx.oidc.urlFor('token') : ctx.oidc.provider.issuer;
    if (!isOnlyAudience(aud, expected) || (ctx.oidc.isFapi('2.0') && typeof aud !== 'string'))
      throw refuse(`audience (aud) must equal ${expected}`);
    if (typeof exp !== 'number' || exp - epoch(now()) > ASSERTION_LIFE)
      throw refuse(`expiration (exp) must be at most ${ASSERTION_LIFE} seconds ahead`);
    assertFapi2Algorithm(client, header, refuse);
    return Promise.resolve();
  };
}

/** Whether an audience is this one alone: as a string, or a list of it. */
export function isOnlyAudience(audience: unknown, expected: string): boolean {
  const all: unknown[] = Array.isArray(audience) ? audience : [audience];
  return all.length === 1 && all[0] === expected;
}
