// Scopes, the claims that each releases (OIDC Core §5.4), and which of an account's claims go where.
import { asciiAddress } from '../accounts/email-address.ts';
import type { AccountClaims, ClaimsParameterMember } from 'oidc-provider';
import { type ClaimsConfig, standardClaims } from '../config/claims.ts';
import type { Config } from '../config/config.ts';
import type { AccountRead } from '../storage/fast/reads.ts';

type Requested = Readonly<Record<string, ClaimsParameterMember | null>>;

export interface ClaimsPolicy {
  readonly scopes: string[];
  /** The engine's `claims`: claims by scope, and those of the protocol itself. */
  readonly byScope: Record<string, string[] | null>;
  /** The claims of an account for an ID token or userinfo; the engine takes those that the scopes release. */
  of(account: AccountRead, scope: string, requested: Requested): AccountClaims;
  /** The account's claims in access tokens. @param scope the granted scope */
  ofAccessToken(account: AccountRead, scope: string): Record<string, unknown>;
}

export function claimsPolicy({
  baseUrl,
  claims: config,
}: {
  readonly baseUrl: Config['baseUrl'];
  readonly claims: ClaimsConfig;
}): ClaimsPolicy {
  const byScope: Record<string, string[]> = {
    profile: ['name', ...Object.keys(standardClaims.profile), 'updated_at'],
    email: ['email', 'email_verified'],
    address: Object.keys(standardClaims.address),
    phone: Object.keys(standardClaims.phone),
    ...Object.fromEntries(
      Object.entries(config.scopes).map(([scope, { claims }]) => [scope, Object.keys(claims)]),
    ),
  };
  const released = (claim: string, scope: string) =>
    scope.split(' ').some((one) => byScope[one]?.includes(claim));

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
      openid: ['sub', 'acr', 'amr', 'auth_time', ...config.id_token],
      ...byScope,
    },
    of(account, scope, requested) {
      const all = allOf(account, baseUrl);
      const kept = Object.entries(all).filter(
        ([claim]) =>
          !config.id_token.includes(claim) || released(claim, scope) || claim in requested,
      );
      return { ...Object.fromEntries(kept), sub: account.id };
    },
    ofAccessToken(account, scope) {
      const all = allOf(account, baseUrl);
      return Object.fromEntries(
        config.access_token
          .filter((claim) => all[claim] !== undefined && released(claim, scope))
          .map((claim) => [claim, all[claim]]),
      );
    },
  };
}

function allOf(account: AccountRead, baseUrl: string): Record<string, unknown> {
  return {
    ...(account.claims as Record<string, unknown>),
    // The person's own picture takes precedence over one that an administrator has entered.
    ...(account.pictureId ? { picture: `${baseUrl}/picture/${account.pictureId}` } : {}),
    name: account.name ?? undefined,
    email: asciiAddress(account.email), // OIDC Core §5.1: an addr-spec of RFC 5322, which is ASCII
    email_verified: account.emailVerified,
    updated_at: Math.floor(account.updatedAt.getTime() / 1000),
  };
}
