// The installation's own scopes and claims as they are in the database: those of SYMBOLON_CLAIMS_FILE come first.
import { type ClaimsConfig, standardOnly } from '../config/claims.ts';
import type { Prisma } from '../generated/client.ts';
import { writeEvent } from './audit.ts';
import { whatChanged } from './audit/changed.ts';
import type { Occasion } from './origin.ts';

const id = 1;

/** The scopes and claims that are in effect in this process now. */
export function claimsOf({
  config,
  storage,
}: {
  readonly config: { readonly claims?: ClaimsConfig | undefined };
  readonly storage: { readonly kept: { readonly claims: ClaimsConfig } };
}): ClaimsConfig {
  return config.claims ?? storage.kept.claims;
}

/** The scopes and claims in the database; the standard ones only, when there are none. */
export async function keptClaims(database: Prisma.TransactionClient): Promise<ClaimsConfig> {
  const row = await database.claimsPolicy.findUnique({ where: { id } });
  if (!row) return standardOnly;
  const { scopes, idToken, accessToken } = row;
  return {
    scopes: scopes as ClaimsConfig['scopes'],
    id_token: idToken,
    access_token: accessToken,
  };
}

/** Replaces the scopes and claims in the database. */
export async function keepClaims(
  database: Prisma.TransactionClient,
  { before, after }: { readonly before: ClaimsConfig; readonly after: ClaimsConfig },
  occasion: Occasion,
): Promise<void> {
  const { scopes, id_token: idToken, access_token: accessToken } = after;
  const data = { scopes, idToken, accessToken };
  await database.claimsPolicy.upsert({ where: { id }, create: data, update: data });
  const detail = {
    changed: {
      ...whatChanged(before.scopes, after.scopes).changed,
      ...whatChanged(before, after, ['id_token', 'access_token']).changed,
    },
  };
  await writeEvent(database, { type: 'claims.changed', detail }, occasion);
}
