// Grant types that the engine does not have, for clients that are registered with them, if a setting enables them:
// - jwt-bearer (RFC 7523 §2.1): the client names the person in an assertion signed with its own key
// - password (RFC 6749 §4.3): only for migrations; RFC 9700 §2.4 says that it MUST NOT be used
// Neither shows a page: the client is trusted to have the person's permission, and the audit records the grant type.
import { type JWTPayload, type JWK, createLocalJWKSet, jwtVerify } from 'jose';
import { type KoaContextWithOIDC, type Provider, errors } from 'oidc-provider';
import { findAccountBySubject } from '../accounts/accounts.ts';
import { FactorError, factorsOf, hasSecondFactor, levelOf, suffices } from '../accounts/factors.ts';
import { TooManyAttempts, createLimits } from '../accounts/limits.ts';
import { checkPassword } from '../accounts/sign-in.ts';
import { addressOf } from '../accounts/username.ts';
import { tellOfWrongFactor } from '../accounts/wrong-factor.ts';
import type { Config } from '../config/config.ts';
import type { Account } from '../generated/client.ts';
import { assertMayUse, mayUse, noteRefusedAccess } from '../storage/access.ts';
import { newLine } from '../storage/artifacts.ts';
import { unlessUnavailable } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { ASSERTION_LIFE, isOnlyAudience } from './client-assertions.ts';
import { authenticates } from './client-metadata.ts';
import type { OwnMetadata } from './own-metadata.ts';
import { jwtBearer, password } from './grant-types.ts';

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
}

/** Registers the grants that the settings enable. */
export function registerExtraGrants(provider: Provider, { config, storage }: Parts): void {
  const { prisma } = storage;
  const checks = { storage, config, limits: createLimits(storage) };
  if (config.jwtBearerGrant) {
    provider.registerGrantType(
      jwtBearer,
      unlessAway(async (ctx) => {
        const { assertion } = ctx.oidc.params as { assertion?: string };
        if (assertion === undefined)
          throw new errors.InvalidRequest('missing required parameter(s) (assertion)');
        const sub = await assertedSubject(ctx, assertion);
        const account = await findAccountBySubject(prisma, sub);
        if (!account || account.lockedAt)
          throw new errors.InvalidGrant('the assertion’s subject is nobody here');
        await issue(ctx, account, jwtBearer, []);
      }),
      ['assertion', 'scope'],
    );
  }
  if (config.passwordGrant) {
    provider.registerGrantType(
      password,
      unlessAway(async (ctx) => {
        const { username, password: given } = ctx.oidc.params as {
          username?: string;
          password?: string;
        };
        if (username === undefined || given === undefined) {
          throw new errors.InvalidRequest('missing required parameter(s) (username, password)');
        }
        const account = await owner(ctx, await addressOf(prisma, username), given);
        // There is no page to ask for a second factor, and the password alone is not enough.
        if (hasSecondFactor(await factorsOf(prisma, account.id))) {
          await tellOfWrongFactor(storage, account.id);
          throw new errors.InvalidGrant(
            'the account has a second factor, which this grant has not',
          );
        }
        await issue(ctx, account, password, ['pwd']);
      }),
      ['username', 'password', 'scope'],
    );
  }

  /** The account of the e-mail address and the password that the client passes on. */
  async function owner(ctx: KoaContextWithOIDC, email: string, given: string): Promise<Account> {
    const { client } = ctx.oidc;
    const clientId = client?.clientId ?? '';
    // Anybody can use a public client's id, so its tries are counted like a browser's.
    const isProxy = client !== undefined && authenticates(client);
    const from = { ip: ctx.ip, ...(isProxy ? { clientId } : {}) };
    try {
      return await checkPassword(checks, { email, password: given, from, clientId, by: password });
    } catch (error) {
      // The engine's answer to the error does not say when to try again.
      if (error instanceof TooManyAttempts && error.retryAfter !== undefined)
        ctx.set('Retry-After', String(error.retryAfter));
      if (error instanceof FactorError)
        throw new errors.InvalidGrant('the e-mail address or the password is not right');
      throw error;
    }
  }

  async function issue(
    ctx: KoaContextWithOIDC,
    account: Account,
    gty: string,
    amr: string[],
  ): Promise<void> {
    const { client } = ctx.oidc;
    if (!client) throw new errors.InvalidClient('client not found');
    if (client.dpopBoundAccessTokens || client.tlsClientCertificateBoundAccessTokens) {
      throw new errors.InvalidRequest(
        'this grant does not issue bound tokens, and the client asks for them',
      );
    }
    const { minimum_acr: minimum } = client as OwnMetadata;
    const acr = levelOf(amr);
    if (!mayUse(client, account.groups)) {
      const { clientId } = client;
      await noteRefusedAccess(storage, { accountId: account.id, clientId, by: gty });
    }
    assertMayUse(client, account.groups);
    if (minimum !== undefined && !suffices(acr, minimum))
      throw new errors.InvalidGrant(
        `the client asks for ${minimum}, which this grant does not reach`,
      );
    const { id: accountId } = account;
    const scope = allowedScope(ctx, client);
    const isOffline =
      scope.split(' ').includes('offline_access') && client.grantTypeAllowed('refresh_token');
    const unit = currentUnit();
    // The access token, which is made first, tells the line of the refresh token.
    if (isOffline) unit.line = newLine();
    unit.requireUnchanged(account);
    const grant = new provider.Grant({ accountId, clientId: client.clientId });
    grant.addOIDCScope(scope);
    // The person was not asked: the grant is no consent to be remembered.
    Object.assign(grant, { unasked: true });
    const grantId = await grant.save();
    ctx.oidc.entity('Grant', grant);
    unit.audit({
      type: 'consent',
      accountId,
      clientId: client.clientId,
      detail: { scope, by: gty },
    });

    const common = { accountId, client, grantId, gty, scope };
    const accessToken = new provider.AccessToken(common);
    const answer: Record<string, unknown> = {
      access_token: await accessToken.save(),
      expires_in: accessToken.expiration,
      token_type: accessToken.tokenType,
      scope,
    };
    if (isOffline) {
      const refreshToken = new provider.RefreshToken({
        ...common,
        amr,
        ...(acr === undefined ? {} : { acr }),
        rotations: 0,
      });
      ctx.oidc.entity('RefreshToken', refreshToken);
      answer['refresh_token'] = await refreshToken.save();
    }
    ctx.body = answer;
  }

  /** RFC 7523 §3: signed by the client, for this issuer, about a person, for a short time, used once. */
  async function assertedSubject(ctx: KoaContextWithOIDC, assertion: string): Promise<string> {
    const { client } = ctx.oidc;
    const keys = client?.jwks?.keys as JWK[] | undefined;
    if (!client || !keys)
      throw new errors.InvalidGrant('the client has no jwks to verify an assertion with');
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(assertion, createLocalJWKSet({ keys }), {
        issuer: client.clientId,
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
        requiredClaims: ['sub', 'exp', 'jti'],
        clockTolerance: 15,
      }));
    } catch (cause) {
      throw new errors.InvalidGrant({ detail: 'the assertion was not accepted', cause });
    }
    const { sub = '', exp = 0, jti = '', aud } = payload;
    if (!isOnlyAudience(aud, config.issuer))
      throw new errors.InvalidGrant(`the assertion’s audience must be ${config.issuer} alone`);
    if (exp - storage.now().getTime() / 1000 > ASSERTION_LIFE) {
      throw new errors.InvalidGrant(
        `the assertion is valid for more than ${ASSERTION_LIFE} seconds`,
      );
    }
    if (!(await provider.ReplayDetection.unique(client.clientId, `jwt-bearer ${jti}`, exp))) {
      throw new errors.InvalidGrant('the assertion was used already');
    }
    return sub;
  }
}

/** Turns a database that cannot answer into an error of the engine: 503. */
function unlessAway(handler: (ctx: KoaContextWithOIDC) => Promise<void>) {
  return (ctx: KoaContextWithOIDC) => unlessUnavailable(() => handler(ctx));
}

type Client = NonNullable<KoaContextWithOIDC['oidc']['client']>;

function allowedScope(ctx: KoaContextWithOIDC, client: Client): string {
  const supported = new Set(ctx.oidc.requestParamOIDCScopes);
  const registered = client.scope === undefined ? undefined : new Set(client.scope.split(' '));
  const scopes = [...supported].filter((scope) => registered?.has(scope) ?? true);
  if (scopes.length !== ctx.oidc.requestParamScopes.size) {
    throw new errors.InvalidScope(
      'requested scope is not allowed',
      [...ctx.oidc.requestParamScopes].join(' '),
    );
  }
  return scopes.join(' ');
}
