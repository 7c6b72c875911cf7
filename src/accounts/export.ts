// Everything that is kept about a person, as one value (GDPR Art. 15, 20). Of what proves who somebody is - passwords,
// keys, codes, tokens - only that it is there.
import type { PrismaClient } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { findArtifactsOf } from '../storage/artifacts.ts';
import { factorsOf } from './factors.ts';

/** @param now sessions that have ended by then are left out */
export async function exportPerson(
  prisma: PrismaClient,
  keyring: Keyring,
  accountId: string,
  now: Date,
) {
  const where = { accountId };
  const [account, factors, passkeys, picture, links, grants, families, events, sessions] =
    await Promise.all([
      prisma.account.findUniqueOrThrow({ where: { id: accountId } }),
      factorsOf(prisma, accountId),
      prisma.passkey.findMany({ where, omit: { publicKey: true, counter: true, accountId: true } }),
      prisma.picture.findUnique({ where }),
      prisma.link.findMany({ where, omit: { id: true, sealed: true, accountId: true } }),
      prisma.grant.findMany({ where, omit: { accountId: true } }),
      prisma.refreshFamily.findMany({
        where,
        omit: { accountId: true, currentHash: true, previousHash: true, salt: true, payload: true },
      }),
      prisma.auditEvent.findMany({
        where,
        orderBy: { id: 'asc' },
        select: { at: true, type: true, clientId: true, ip: true, userAgent: true, detail: true },
      }),
      findArtifactsOf(prisma, keyring, 'Session', accountId, now, 1000),
    ]);
  const { passwordHash, id, ...facts } = account;
  return {
    sub: id,
    ...facts,
    password: passwordHash !== null,
    factors: { totp: factors.totp, recovery_codes: factors.recoveryCodes, passkeys },
    picture: picture && {
      type: picture.type,
      content: Buffer.from(picture.content).toString('base64'),
    },
    links,
    grants,
    families,
    sessions: sessions.map(({ loginTs, exp, ...more }) => {
      const { signedIn, seenAt, amr } = more as Record<string, unknown>;
      return { signed_in_at: loginTs, from: signedIn, seen_at: seenAt, expires_at: exp, amr };
    }),
    events,
  };
}
