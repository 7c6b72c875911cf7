// The keys that sign tokens: made at the first start, kept in the database with their private part sealed.
// RS256 is what a client that registers nothing gets (OIDC Core §15.1), ES256 is for those that ask for it.
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { type JWK, calculateJwkThumbprint } from 'jose';
import type { Prisma, PrismaClient } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';

const MAKING_KEYS = 5_991_002; // an advisory lock: processes that start together make the keys once

/** The private signing keys, as JWKs with `kid`, `alg` and `use`. */
export async function loadSigningKeys(prisma: PrismaClient, keyring: Keyring): Promise<JWK[]> {
  const rows = await prisma.$transaction(async (database) => {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${MAKING_KEYS})`;
    const kept = await database.signingKey.findMany({ orderBy: { createdAt: 'asc' } });
    if (kept.length > 0) return kept;
    const made = await Promise.all([
      makeKey(
        keyring,
        'RS256',
        generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
      ),
      makeKey(
        keyring,
        'ES256',
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
      ),
    ]);
    return database.signingKey.createManyAndReturn({ data: made });
  });
  return rows.map(({ kid, sealed }) => JSON.parse(keyring.unseal(contextOf(kid), sealed)) as JWK);
}

async function makeKey(
  keyring: Keyring,
  alg: string,
  key: JWK,
): Promise<Prisma.SigningKeyCreateManyInput> {
  const kid = await calculateJwkThumbprint(key); // RFC 7638
  const publicPart = createPublicKey({ key, format: 'jwk' }).export({ format: 'jwk' });
  const about = { kid, alg, use: 'sig' };
  return {
    kid,
    alg,
    publicJwk: { ...publicPart, ...about } as Prisma.InputJsonObject,
    sealed: keyring.seal(contextOf(kid), JSON.stringify({ ...key, ...about })),
  };
}

function contextOf(kid: string): string {
  return `signing key ${kid}`;
}
