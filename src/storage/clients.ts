// Relying parties in the database. A client's secret is kept as a salted hash, sealed; only client_secret_jwt,
// whose assertions are made with the secret itself (OIDC Core §9), needs it sealed as it is.
import { randomBytes } from 'node:crypto';
import { timingSafeEqual } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';
import { type Keyring, sha256 } from '../keys/keyring.ts';
import type { Prisma, PrismaClient } from '../generated/client.ts';

export type ClientMetadata = Record<string, unknown> & { client_id: string };

/** @returns the metadata as the engine wants it; `client_secret` is a hash unless the method needs the secret */
export async function findClient(
  prisma: PrismaClient,
  keyring: Keyring,
  id: string,
): Promise<AdapterPayload | undefined> {
  const row = await prisma.client.findUnique({ where: { id } });
  if (!row) return undefined;
  const secret = row.secret ? { client_secret: keyring.unseal(contextOf(id), row.secret) } : {};
  return { ...(row.metadata as object), client_id: id, ...secret };
}

/** Writes a new client. @throws Prisma's P2002 when the id is taken */
export async function insertClient(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  { client_id: id, client_secret: secret, ...metadata }: ClientMetadata,
): Promise<void> {
  await database.client.create({
    data: {
      id,
      metadata: metadata as Prisma.InputJsonObject,
      secret:
        typeof secret === 'string'
          ? keyring.seal(contextOf(id), storedSecret(secret, metadata))
          : null,
    },
  });
}

/** Replaces a client's metadata; its secret stays. */
export async function updateClient(
  database: Prisma.TransactionClient,
  { client_id: id, ...metadata }: ClientMetadata,
): Promise<void> {
  await database.client.update({
    where: { id },
    data: { metadata: metadata as Prisma.InputJsonObject },
  });
}

/** A fresh client secret: 256 random bits, base64url. */
export function newClientSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Whether a presented secret is the one whose hash is stored; in constant time. */
export function isClientSecret(stored: string | undefined, presented: string): boolean {
  const [scheme, salt, hash] = stored?.split('$') ?? [];
  if (scheme !== 'sha256' || salt === undefined || hash === undefined) return false;
  return timingSafeEqual(sha256(`${salt}$${presented}`), Buffer.from(hash, 'base64url'));
}

function storedSecret(secret: string, metadata: Record<string, unknown>): string {
  if (metadata['token_endpoint_auth_method'] === 'client_secret_jwt') return secret;
  const salt = randomBytes(16).toString('base64url');
  return `sha256$${salt}$${Buffer.from(sha256(`${salt}$${secret}`)).toString('base64url')}`;
}

function contextOf(id: string): string {
  return `client ${id}`;
}
