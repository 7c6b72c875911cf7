// Scopes, the claims that each releases (OIDC Core §5.4), and which of an account's claims go where.
import { asciiAddress } from '../accounts/email-address.ts';
import type { AccountClaims, ClaimsParameterMember } from 'oidc-provider';
import { type ClaimsConfig, GROUPS, standardClaims, tellsGroups } from '../config/claims.ts';
import type { Config } from '../config/config.ts';
import type { AccountRead } from '../storage/fast/reads.ts';
import type { OwnMetadata } from './own-metadata.ts';

type Requested = Readonly<Record<string, ClaimsParameterMember | null>>;

export interface ClaimsPolicy {
  readonly scopes: string[];
  /** The engine's `claims`: claims by scope, and those of the protocol itself. */
  readonly byScope: Record<string, string[] | null>;
  /**
   * The claims of an account for an ID token or userinfo; the engine takes those that the scopes release.
   *
   * @param client that they are for
   */
  of(
    account: AccountRead,
    use: string,
    scope: string,
    requested: Requested,
    client: object,
  ): AccountClaims;
  /** The account's claims in access tokens. @param scope the granted scope */
  ofAccessToken(account: AccountRead, scope: string, client: object): Record<string, unknown>;
}

export function claimsPolicy({
  baseUrl,
  claims: config,
}: {
  readonly baseUrl: Config['baseUrl'];
  readonly claims: ClaimsConfig;
}): ClaimsPolicy {
  const isTellingGroups = tellsGroups(config);
  const byScope: Record<string, string[]> = {
    profile: ['name', ...Object.keys(standardClaims.profile), 'updated_at'],
    email: ['email', 'email_verified'],
    address: Object.keys(standardClaims.address),
    phone: Object.keys(standardClaims.phone),
    ...(isTellingGroups ? { [GROUPS]: [GROUPS] } : {}),
    ...Object.fromEntries(
      Object.entries(config.scopes).map(([scope, { claims }]) => [scope, Object.keys(claims)]),
    ),
  };
  const released = (claim: string, scope: string) =>
    scope.split(' ').some((one) => byScope[one]?.includes(claim));
  // In which tokens the groups are is the client's to say; the file says it for all clients.
  const inIdTokens = isTellingGroups ? [...config.id_token, GROUPS] : config.id_token;
  const wantsGroups = (use: 'id_token' | 'userinfo' | 'access_token', client: object) => {
    const { groups_in: uses = ['id_token', 'userinfo'] } = client as OwnMetadata;
    const always: readonly string[] = use === 'userinfo' ? [] : config[use];
    return !isTellingGroups || uses.includes(use) || always.includes(GROUPS);
  };

  return {
    scopes: ['openid', 'offline_access', ...Object.keys(byScope)],
    byScope: {
      acr: null,
      amr: null,
      auth_time: null,
      iss: null,
      sid: null,
      // The engine puts the claims of `openid` into ID tokens; `of` makes sure that their scope was granted.
      // How and when the person signed in is always included.
      openid: ['sub', 'acr', 'amr', 'auth_time', ...inIdTokens],
      ...byScope,
    },
    of(account, use, scope, requested, client) {
      const all = allOf(account);
      const kept = Object.entries(all).filter(
        ([claim]) =>
          claim in requested ||
          ((!inIdTokens.includes(claim) || released(claim, scope)) &&
            (claim !== GROUPS || wantsGroups(use === 'id_token' ? use : 'userinfo', client))),
      );
      return { ...Object.fromEntries(kept), sub: account.id };
    },
    ofAccessToken(account, scope, client) {
      const all = allOf(account);
      const groups = isTellingGroups && wantsGroups('access_token', client) ? [GROUPS] : [];
      return Object.fromEntries(
        [...new Set([...config.access_token, ...groups])]
          .filter((claim) => all[claim] !== undefined && released(claim, scope))
          .map((claim) => [claim, all[claim]]),
      );
    },
  };

  function allOf(account: AccountRead): Record<string, unknown> {
    const claims = account.claims as Record<string, unknown>;
    return {
      preferred_username: account.email.slice(0, account.email.lastIndexOf('@')),
      ...claims,
      ...(account.username === null ? {} : { preferred_username: account.username }),
      ...(isTellingGroups ? { [GROUPS]: account.groups } : {}),
      // The person's own picture takes precedence over one that an administrator has entered.
      ...(account.pictureId ? { picture: `${baseUrl}/picture/${account.pictureId}` } : {}),
      name: account.name ?? undefined,
      email: asciiAddress(account.email), // OIDC Core §5.1: an addr-spec of RFC 5322, which is ASCII
      email_verified: account.emailVerified,
      updated_at: Math.floor(account.updatedAt.getTime() / 1000),
    };
  }
}
