// The person that a token is about, as the engine asks for them.
import type { FindAccount, KoaContextWithOIDC } from 'oidc-provider';
import { createHmac } from 'node:crypto';
import { answered } from '../storage/errors.ts';
import type { AccountRead } from '../storage/hot-reads.ts';
import { type Storage, currentUnit } from '../storage/unit-of-work.ts';
import type { ClaimsPolicy } from './claims.ts';

/** The engine's `findAccount`. Somebody who is locked out is nobody. */
export function findAccountWith(
  { prisma }: Pick<Storage, 'prisma'>,
  claims: ClaimsPolicy,
): FindAccount {
  return async (_ctx, id) => {
    const account =
      currentUnit().accounts.get(id) ??
      (await answered(() => prisma.account.findUnique({ where: { id } })));
    if (!account || account.lockedAt !== null) return undefined;
    return {
      accountId: account.id,
      account,
      claims: (_use, scope, requested) => claims.of(account, scope, requested),
    };
  };
}

/** What an access token of this request tells of the person; see {@link ClaimsPolicy.ofAccessToken}. */
export function accessTokenClaims(
  { oidc }: KoaContextWithOIDC,
  claims: ClaimsPolicy,
): Record<string, unknown> | undefined {
  const account = (oidc.account ?? oidc.entities.Account) as { account?: AccountRead } | undefined;
  const grant = oidc.entities.Grant ?? (oidc as { grant?: { getOIDCScope(): string } }).grant;
  if (!account?.account || !grant) return undefined;
  return claims.ofAccessToken(account.account, grant.getOIDCScope());
}

/**
 * A pairwise subject (OIDC Core §8.1): other for every sector, the same for ever, and nothing to be learned from it.
 *
 * @param secret of the installation, kept in its database: it must outlive every SYMBOLON_SECRET
 */
export function pairwiseSubject(secret: Buffer, sector: string, accountId: string): string {
  return createHmac('sha256', secret).update(`${sector} ${accountId}`).digest('base64url');
}
