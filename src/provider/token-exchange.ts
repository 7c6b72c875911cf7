// Token exchange (RFC 8693): a resource server exchanges an access token for one for another resource, on behalf of the
// same person. A client's metadata says which tokens it may exchange, and for what. The new token never has more scope
// or a longer lifetime than the old one, and names the actor.
import { type JWK, createLocalJWKSet, jwtVerify } from 'jose';
import { type FindAccount, type KoaContextWithOIDC, type Provider, errors } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { mayUse, noteRefusedAccess } from '../storage/access.ts';
import { isDisabled } from '../storage/clients.ts';
import { unlessUnavailable } from '../storage/errors.ts';
import type { AccountRead } from '../storage/fast/reads.ts';
import { describeRefusal } from '../storage/families/reasons.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { findFamily } from '../storage/families/row.ts';
import { lifeEnd } from '../storage/families/verdict.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { isLevel, suffices } from '../accounts/factors.ts';
import type { SignInTold } from './assurance.ts';
import type { OwnMetadata } from './own-metadata.ts';
import { tokenExchange } from './grant-types.ts';
import { resourceServers } from './resources.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

interface Parts {
  readonly config: Config;
  readonly storage: Storage;
  readonly signingKeys: SigningKeys;
  readonly findAccount: FindAccount;
}

interface Subject {
  readonly accountId: string;
  readonly audiences: readonly string[];
  readonly scope: string;
  readonly exp: number;
  /** The previous actors. */
  readonly act: object | undefined;
  readonly signIn: SignInTold;
  /** The line that it belongs to. */
  readonly line: string | undefined;
}

export function registerTokenExchange(provider: Provider, parts: Parts): void {
  const { config, storage, findAccount } = parts;
  if (!config.tokenExchange) return;
  const resourceServer = resourceServers(storage);
  const keys = createLocalJWKSet({ keys: parts.signingKeys.keys.map(publicPart) });

  provider.registerGrantType(
    tokenExchange,
    (ctx: KoaContextWithOIDC) => unlessUnavailable(() => exchange(ctx)),
    [
      'subject_token',
      'subject_token_type',
      'requested_token_type',
      'resource',
      'scope',
      'actor_token',
    ],
  );

  async function exchange(ctx: KoaContextWithOIDC): Promise<void> {
    const { client } = ctx.oidc;
    const params = ctx.oidc.params as Record<string, string | undefined>;
    if (!client || client.clientAuthMethod === 'none')
      throw new errors.InvalidClient('a client that does not authenticate may not exchange tokens');
    if (client.dpopBoundAccessTokens || client.tlsClientCertificateBoundAccessTokens)
      throw new errors.InvalidRequest('this grant does not issue bound tokens');
    const { subject_token: token, subject_token_type: type, resource } = params;
    if (token === undefined || type === undefined || resource === undefined)
      throw new errors.InvalidRequest(
        'missing required parameter(s) (subject_token, subject_token_type, resource)',
      );
    if (type !== ACCESS_TOKEN && type !== JWT)
      throw new errors.InvalidRequest(`subject_token_type must be ${ACCESS_TOKEN}`);
    if (![undefined, ACCESS_TOKEN, JWT].includes(params['requested_token_type']))
      throw new errors.InvalidRequest(`requested_token_type must be ${ACCESS_TOKEN}`);
    if (params['actor_token'] !== undefined)
      throw new errors.InvalidRequest('actor_token is not supported: the client is the actor');

    const policy = client as OwnMetadata;
    if (!policy.token_exchange_to?.includes(resource)) throw new errors.InvalidTarget();
    const subject = await subjectOf(token);
    if (subject && (await hasEnded(subject.line)))
      throw new errors.InvalidRequest(
        'the authorization that the subject_token comes from has ended',
      );
    if (!subject?.audiences.some((one) => policy.token_exchange_from?.includes(one)))
      throw new errors.InvalidRequest('the subject_token is not one that this client may exchange');
    const { minimum_acr: minimum } = policy;
    const { acr } = subject.signIn;
    if (minimum !== undefined && !suffices(isLevel(acr) ? acr : undefined, minimum))
      throw new errors.InvalidRequest(
        `the subject_token comes from a sign-in below ${minimum}, which the client asks for`,
      );
    const account = await findAccount(ctx, subject.accountId);
    if (!account) throw new errors.InvalidRequest('the subject_token is about nobody here');
    ctx.oidc.entity('Account', account);
    const { groups } = (account as unknown as { account: AccountRead }).account;
    if (!mayUse(client, groups)) {
      const refused = { accountId: subject.accountId, clientId: client.clientId };
      await noteRefusedAccess(storage, { ...refused, by: tokenExchange });
      throw new errors.InvalidRequest(describeRefusal('access_withdrawn'));
    }

    const info = await resourceServer(ctx, resource, client);
    const server = new provider.ResourceServer(resource, info);
    // A scope of a resource is that resource's own: for another's scope of the same name the operator has to say so.
    const isSame = subject.audiences.includes(resource);
    const named = policy.resource_scopes?.[resource] ?? [];
    const allowed = new Set(
      subject.scope
        .split(' ')
        .filter((scope) => server.scopes.has(scope) && (isSame || named.includes(scope))),
    );
    const asked = params['scope']?.split(' ') ?? [...allowed];
    if (asked.some((scope) => !allowed.has(scope)))
      throw new errors.InvalidScope('requested scope is not allowed', asked.join(' '));

    const { clientId } = client;
    const act = { sub: clientId, ...(subject.act ? { act: subject.act } : {}) };
    const issued = new provider.AccessToken({
      accountId: subject.accountId,
      client,
      gty: tokenExchange,
      scope: asked.join(' '),
    } as never);
    ctx.state['act'] = act;
    // What was got in exchange comes from the same authorization: it is not exchanged any more either when that ends.
    currentUnit().line = subject.line;
    ctx.state['subjectSignIn'] = subject.signIn;
    issued.resourceServer = server;
    const left = subject.exp - epoch(storage.now());
    const expiresIn = Math.min(issued.expiration, left);
    Object.assign(issued, { expiresIn });
    if (server.accessTokenFormat === 'opaque') {
      // A grant of its own. The person was not asked, so it is no consent to be remembered.
      const grant = new provider.Grant({ accountId: subject.accountId, clientId });
      grant.addResourceScope(resource, asked.join(' '));
      Object.assign(grant, { unasked: true });
      grant.exp = epoch(storage.now()) + expiresIn;
      issued.grantId = await grant.save();
      ctx.oidc.entity('Grant', grant);
    }
    ctx.oidc.entity('AccessToken', issued);
    currentUnit().audit({
      type: 'token.exchanged',
      accountId: subject.accountId,
      clientId,
      detail: { resource, scope: issued.scope },
    });
    ctx.body = {
      access_token: await issued.save(),
      issued_token_type: ACCESS_TOKEN,
      token_type: issued.tokenType,
      expires_in: issued.expiration,
      scope: issued.scope,
    };
  }

  /** Whether the authorization that a token comes from has ended with its refresh tokens. */
  async function hasEnded(line: string | undefined): Promise<boolean> {
    if (line === undefined) return false;
    const family = await findFamily(storage.prisma, line);
    return family !== undefined && lifeEnd(family, storage.now()) !== undefined;
  }

  /**
   * The subject of a valid access token of ours, opaque or JWT (RFC 9068 §4). A token bound to a key is not exchanged.
   */
  async function subjectOf(token: string): Promise<Subject | undefined> {
    if (token.split('.').length === 3) {
      try {
        const { payload } = await jwtVerify(token, keys, {
          issuer: config.issuer,
          typ: 'at+jwt',
          requiredClaims: ['sub', 'aud', 'exp', 'client_id'],
          currentDate: storage.now(),
        });
        const { sub = '', aud = [], exp = 0, scope, cnf, act, client_id: clientId } = payload;
        const client = await provider.Client.find(String(clientId));
        if (!client || client.subjectType === 'pairwise' || isDisabled(client)) return undefined;
        if (cnf !== undefined || sub === clientId) return undefined;
        return {
          accountId: sub,
          audiences: [aud].flat(),
          scope: typeof scope === 'string' ? scope : '',
          exp,
          act: act as object | undefined,
          signIn: signInOf(payload),
          line: lineIn(payload),
        };
      } catch {
        return undefined;
      }
    }
    const found = await provider.AccessToken.find(token);
    if (!found?.isValid || found.isSenderConstrained() || !found.grantId) return undefined;
    if (!(await provider.Grant.find(found.grantId))) return undefined;
    const owner = await provider.Client.find(found.clientId ?? '');
    if (!owner || owner.subjectType === 'pairwise') return undefined;
    const extra = found.extra ?? {};
    return {
      accountId: found.accountId,
      audiences: [found.aud ?? []].flat(),
      scope: found.scope ?? '',
      exp: found.exp ?? 0,
      act: (extra as { act?: object }).act,
      signIn: signInOf(extra),
      line: lineIn(extra),
    };
  }
}

// As it is told in access tokens, of which the opaque ones keep it.
function lineIn({ authorization_id: line }: Readonly<Record<string, unknown>>) {
  return typeof line === 'string' ? line : undefined;
}

function signInOf({ acr, auth_time: at }: Readonly<Record<string, unknown>>): SignInTold {
  return {
    acr: typeof acr === 'string' ? acr : undefined,
    authTime: typeof at === 'number' ? at : undefined,
  };
}

function publicPart({ kty, kid, alg, use, n, e, crv, x, y }: JWK): JWK {
  const part = { kty, kid, alg, use, n, e, crv, x, y };
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}
