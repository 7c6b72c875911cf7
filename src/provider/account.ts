// The person that a token is about, as the engine's account.
import type { FindAccount, KoaContextWithOIDC } from 'oidc-provider';
import { createHmac } from 'node:crypto';
import type { PrismaClient } from '../generated/client.ts';
import { answered } from '../storage/errors.ts';
import type { AccountRead } from '../storage/fast/reads.ts';
import type { Storage } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import type { ClaimsPolicy } from './claims.ts';

/** The engine's `findAccount`. A locked account counts as none. */
export function findAccountWith(
  { prisma }: Pick<Storage, 'prisma'>,
  claims: ClaimsPolicy,
): FindAccount {
  return async (ctx, id) => {
    const account = await findPerson(prisma, id);
    if (!account || account.lockedAt !== null) return undefined;
    return {
      accountId: account.id,
      account,
      // The grant may have been narrowed since the token was issued.
      claims: (use, scope, requested) =>
        claims.of(
          account,
          use,
          grantOf(ctx)?.getOIDCScopeFiltered(scope.split(' ')) ?? scope,
          requested,
          ctx.oidc.client ?? {},
        ),
    };
  };
}

/** Finds an account. It may have been read ahead. */
export async function findPerson(
  prisma: PrismaClient,
  id: string,
): Promise<AccountRead | undefined> {
  const { accounts } = currentUnit().ahead;
  const known = accounts.get(id);
  if (known) return known;
  const found = await answered(() => prisma.account.findUnique({ where: { id } }));
  if (found) accounts.set(id, found);
  return found ?? undefined;
}

/** The person's claims in an access token of this request; see {@link ClaimsPolicy.ofAccessToken}. */
export function accessTokenClaims(
  { oidc }: Pick<KoaContextWithOIDC, 'oidc'>,
  claims: ClaimsPolicy,
): Record<string, unknown> | undefined {
  const account = (oidc.account ?? oidc.entities.Account) as { account?: AccountRead } | undefined;
  const grant = grantOf({ oidc });
  if (!account?.account || !grant) return undefined;
  return claims.ofAccessToken(account.account, grant.getOIDCScope(), oidc.client ?? {});
}

function grantOf({ oidc }: Pick<KoaContextWithOIDC, 'oidc'>) {
  return oidc.entities.Grant;
}

/**
 * A pairwise subject (OIDC Core §8.1): different for every sector, constant, and revealing nothing.
 *
 * @param secret the installation's, from its database: it must outlive every SYMBOLON_SECRET
 */
export function pairwiseSubject(secret: Buffer, sector: string, accountId: string): string {
  return createHmac('sha256', secret).update(`${sector} ${accountId}`).digest('base64url');
}
