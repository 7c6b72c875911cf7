// The grant of an authorization request. Consent is asked for once, yet every browser session has a grant of its own,
// so that revoking one device leaves the others.
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config/config.ts';
import { answered } from '../storage/errors.ts';
import { latestGrant } from '../storage/grants.ts';
import { type Storage, epoch } from '../storage/storage.ts';
import { type Grant, allowFirstParty, isFirstParty } from './consent.ts';

type Client = NonNullable<KoaContextWithOIDC['oidc']['client']>;

export interface RememberedGrantParts {
  readonly config: Pick<Config, 'ttl'>;
  readonly storage: Pick<Storage, 'prisma' | 'now'>;
}

/**
 * The engine's `loadExistingGrant`: the grant of this browser session; in a session without one, a copy of what the
 * person has granted to this client elsewhere. The operator's own client is granted what it asks for, except offline
 * access.
 */
export function loadExistingGrant(parts: RememberedGrantParts) {
  return async (ctx: KoaContextWithOIDC): Promise<Grant | undefined> => {
    const { client, session, provider } = ctx.oidc;
    const accountId = session?.accountId;
    if (!client || accountId === undefined) return undefined;
    const remembered = await rememberedGrant(parts, ctx, client, accountId);
    if (!isFirstParty(client)) return remembered;
    const grant = remembered ?? new provider.Grant({ accountId, clientId: client.clientId });
    if (allowFirstParty(ctx, grant)) await grant.save();
    return grant;
  };
}

async function rememberedGrant(
  { config, storage: { prisma, now } }: RememberedGrantParts,
  { oidc: { session, result, provider } }: KoaContextWithOIDC,
  { clientId }: Client,
  accountId: string,
): Promise<Grant | undefined> {
  const grantId = result?.consent?.grantId ?? session?.grantIdFor(clientId);
  const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  if (existing?.accountId === accountId && isAllowed(existing, now())) return existing;
  const elsewhere = await answered(() => latestGrant(prisma, accountId, clientId, now()));
  if (!elsewhere || !isAllowed(elsewhere, now())) return undefined;
  const { openid, resources, rejected, consentExpiresAt } = elsewhere as Record<string, unknown>;
  const granted = { openid, resources, rejected, consentExpiresAt };
  const grant = new provider.Grant({ accountId, clientId, ...granted });
  grant.exp = epoch(now()) + config.ttl.session;
  await grant.save();
  return grant;
}

/** Whether a person's consent has not expired. */
function isAllowed(grant: object, now: Date): boolean {
  const { consentExpiresAt } = grant as { consentExpiresAt?: number };
  return consentExpiresAt === undefined || consentExpiresAt > epoch(now);
}
