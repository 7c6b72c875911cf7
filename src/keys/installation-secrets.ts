// Secrets of the installation that do not change with SYMBOLON_SECRET: made once, stored in the database, sealed.
import { randomBytes } from 'node:crypto';
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';
import type { SealedTable } from './reseal.ts';

/** The secret of this name, 32 bytes. Made when it is first read. */
export async function installationSecret(
  database: Prisma.TransactionClient,
  keyring: Keyring,
  name: 'pairwise' | 'recovery' | 'audit',
): Promise<Buffer> {
  const sealed = keyring.seal(secretContext(name), randomBytes(32).toString('base64url'));
  await database.installationSecret.createMany({ data: [{ name, sealed }], skipDuplicates: true });
  const kept = await database.installationSecret.findUniqueOrThrow({ where: { name } });
  return Buffer.from(keyring.unseal(secretContext(name), kept.sealed), 'base64url');
}

/** The record's identity, under which it is sealed. */
function secretContext(name: string): string {
  return `installation secret ${name}`;
}

export const sealedInstallationSecrets: SealedTable<string> = {
  name: 'installation_secrets',
  table: 'installation_secret',
  key: 'name',
  column: 'sealed',
  told: 'name',
  context: secretContext,
};
