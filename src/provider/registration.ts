// Rules for clients that register themselves (RFC 7591, RFC 7592) or whose id is the URL of their metadata.
import { randomUUID } from 'node:crypto';
import { type Configuration, type KoaContextWithOIDC, errors } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { newClientSecret } from '../storage/client-secrets.ts';
import { cibaGrant, jwtBearer, password, tokenExchange } from './grant-types.ts';

type Features = NonNullable<Configuration['features']>;

// Only an operator may allow grants that give tokens without a person's consent.
const withoutConsent = ['client_credentials', jwtBearer, password, tokenExchange];
// A client without an invitation may not have mails sent to people who have never heard of it either.
const withoutAcquaintance = [cibaGrant];

export function registration({
  registration: who,
}: Config): Pick<Features, 'registration' | 'registrationManagement'> {
  if (who === 'off') return {};
  return {
    registration: {
      enabled: true,
      initialAccessToken: who === 'token',
      idFactory: () => randomUUID(),
      secretFactory: () => Promise.resolve(newClientSecret()),
      // The engine asks this before it makes the client, and looks for an invitation only where one is needed.
      async issueRegistrationAccessToken(ctx) {
        if (who === 'open') await acceptInvitation(ctx);
        return true;
      },
    },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
  };
}

// RFC 7591 §3: where anybody may register, a client may bring an initial access token all the same.
async function acceptInvitation({ oidc, headers }: KoaContextWithOIDC): Promise<void> {
  if (headers.authorization === undefined) return;
  const token = await oidc.provider.InitialAccessToken.find(oidc.getAccessToken());
  if (!token) throw new errors.InvalidToken('initial access token not found');
  oidc.entity('InitialAccessToken', token);
}

/** How a client registers itself: on its own, or invited with an initial access token. */
export type Registrant = 'alone' | 'invited';

/**
 * Whether metadata comes from the client itself.
 *
 * @returns undefined when it comes from an operator
 * @throws {errors.InvalidClientMetadata} when it asks for a grant or response type that only an operator may give
 */
export function registrantOf(config: Config) {
  return (ctx: KoaContextWithOIDC | undefined, metadata: object): Registrant | undefined => {
    const {
      grant_types: grants,
      response_types: types,
      client_id: id,
    } = metadata as Record<'grant_types' | 'response_types' | 'client_id', unknown>;
    const route = ctx?.oidc.route ?? '';
    // A scheme may be written in capitals (RFC 3986 §3.1).
    const isDocument =
      config.clientIdMetadataDocuments && typeof id === 'string' && /^https:\/\//i.test(id);
    const registers = ['registration', 'client_update'].includes(route);
    if (!registers && !isDocument) return undefined;
    const isInvited =
      route === 'registration' && ctx?.oidc.entities.InitialAccessToken !== undefined;
    const operators = isInvited ? withoutConsent : [...withoutConsent, ...withoutAcquaintance];
    const refused = operators.find((grant) => Array.isArray(grants) && grants.includes(grant));
    if (refused !== undefined) {
      throw new errors.InvalidClientMetadata(
        `grant_types: a client that registers itself may not have ${refused}`,
      );
    }
    if (!isInvited) refuseFrontChannel(types);
    return isInvited ? 'invited' : 'alone';
  };
}

// RFC 9700 §2.1.2: what travels through the browser's address leaks.
function refuseFrontChannel(types: unknown): void {
  const refused = Array.isArray(types)
    ? (types as unknown[]).find((type) => type !== 'code')
    : undefined;
  if (refused !== undefined) {
    throw new errors.InvalidClientMetadata(
      `response_types: a client that registers itself may only have "code", not ${JSON.stringify(refused)}`,
    );
  }
}
