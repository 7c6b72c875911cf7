// Request objects (RFC 9101): what is required besides a signature.
import { type Configuration, errors } from 'oidc-provider';
import { type Storage, epoch } from '../storage/storage.ts';
import { assertFapi2Algorithm, isFapi2 } from './fapi2.ts';

type RequestObjects = NonNullable<NonNullable<Configuration['features']>['requestObjects']>;

const LONGEST = 3600; // seconds for which one is valid at most

/** FAPI 2.0 Message Signing §5.3.1.1; CIBA §7.1.1; FAPI CIBA §5.2.2: an hour at most. */
export function requestObjects({ now }: Pick<Storage, 'now'>): RequestObjects {
  return {
    enabled: true,
    assertJwtClaimsAndHeader(ctx, { exp, nbf, iat, jti, aud }, header, client) {
      const refuse = (message: string) => new errors.InvalidRequestObject(message);
      const isCiba = ctx.oidc.route === 'backchannel_authentication';
      if (isCiba && [exp, nbf, iat, jti, aud].includes(undefined))
        throw refuse('Request Object must have aud, exp, iat, nbf and jti');
      // A pushed request was checked when it was pushed.
      const isPushed = 'PushedAuthorizationRequest' in ctx.oidc.entities;
      if (!(isFapi2(client) || isCiba) || isPushed) return Promise.resolve();
      assertFapi2Algorithm(client, header, refuse);
      if (typeof exp !== 'number' || typeof nbf !== 'number' || aud === undefined)
        throw refuse('Request Object must have aud, exp and nbf');
      if (exp <= nbf || exp - nbf > LONGEST || epoch(now()) - nbf > LONGEST)
        throw refuse('Request Object must be valid for an hour at most, from nbf on');
      return Promise.resolve();
    },
  };
}
