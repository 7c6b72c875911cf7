// The audit: what happened, to whom, from where; never a secret. Events that belong to a change in storage are
// written in its transaction (storage/revocation.ts); these stand alone.
import type { Prisma, PrismaClient } from '../generated/client.ts';

export interface AuditEvent {
  readonly type:
    | 'sign_in'
    | 'sign_in.failed'
    | 'sign_in.limited'
    | 'second_factor.failed'
    | 'passkey.added'
    | 'passkey.removed'
    | 'totp.added'
    | 'totp.removed'
    | 'recovery_codes.made'
    | 'recovery_codes.used'
    | 'factors.reset'
    | 'consent'
    | 'token.exchanged'
    | 'access.removed'
    | 'session.ended'
    | 'name.changed'
    | 'language.changed'
    | 'picture.changed'
    | 'picture.removed'
    | 'account.added'
    | 'account.changed'
    | 'account.invited'
    | 'password.changed'
    | 'resource.added'
    | 'resource.removed'
    | 'client.invited'
    | 'key.rotated'
    | 'key.removed'
    | 'secret.resealed'
    | 'client.added'
    | 'client.changed'
    | 'client.removed';
  readonly accountId?: string;
  readonly clientId?: string;
  readonly detail?: Prisma.InputJsonObject;
}

/** @param source whoever caused it: a request, or the command line as `{}` */
export async function audit(
  prisma: Pick<PrismaClient, 'auditEvent'>,
  source: { ip?: string; get?(header: string): string },
  event: AuditEvent,
): Promise<void> {
  await prisma.auditEvent.create({
    data: {
      ...event,
      ip: source.ip ?? null,
      userAgent: source.get?.('user-agent').slice(0, 500) || null,
    },
  });
}
