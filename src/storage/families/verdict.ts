// Why a refresh was refused. The client is told invalid_grant, as the specification wants; the reason goes to the
// log and, for a known family, to the audit with address and user agent.
import type { Prisma } from '../../generated/client.ts';
import { type FamilyState, isSecret } from './token.ts';
import type { EndReason, Origin } from '../revocation.ts';

/** The closed set of reasons. */
export type RefusalReason =
  | EndReason
  | 'rotated_beyond_window'
  | 'idle_expired'
  | 'absolute_expired'
  | 'consent_expired'
  | 'binding_mismatch'
  | 'level_too_low'
  | 'unknown';

export interface Refusal {
  readonly family: { id: string; accountId: string | null; clientId: string };
  readonly reason: RefusalReason;
}

type State = FamilyState & { readonly endReason: string | null };

/** Why a family is not alive any more; undefined while it is. */
export function lifeEnd(family: State, now: Date): RefusalReason | undefined {
  if (family.endedAt !== null) return family.endReason as EndReason;
  if (family.consentExpiresAt !== null && family.consentExpiresAt <= now) return 'consent_expired';
  if (family.absoluteExpiresAt <= now) return 'absolute_expired';
  return family.idleExpiresAt <= now ? 'idle_expired' : undefined;
}

/** Why a secret that may not be used now may not. */
export function refusalReason(family: State, secret: string, now: Date): RefusalReason {
  const end = lifeEnd(family, now);
  if (end !== undefined) return end;
  const wasBefore = family.previousHash !== null && isSecret(secret, family.previousHash);
  return wasBefore ? 'rotated_beyond_window' : 'reuse';
}

const AGAIN = 3_600_000; // milliseconds in which the same refusal from the same address is not written again

/** Writes a refusal to the audit; a client that keeps asking does not fill it. */
export async function recordRefusal(
  database: Prisma.TransactionClient,
  { family, reason }: Refusal,
  now: Date,
  { ip = null, userAgent = null }: Partial<Record<keyof Origin, string | null>>,
): Promise<void> {
  const since = new Date(now.getTime() - AGAIN);
  await database.$executeRaw`
    INSERT INTO audit_event (at, type, account_id, client_id, family_id, ip, user_agent, detail)
    SELECT ${now}, 'refresh.refused', ${family.accountId}, ${family.clientId}, ${family.id}, ${ip}, ${userAgent},
           jsonb_build_object('reason', ${reason}::text)
    WHERE NOT EXISTS (
      SELECT 1 FROM audit_event
      WHERE family_id = ${family.id} AND type = 'refresh.refused' AND at > ${since}
        AND ip IS NOT DISTINCT FROM ${ip} AND detail->>'reason' = ${reason})`;
}
