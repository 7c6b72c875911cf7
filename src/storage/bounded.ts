// What may be used so often only: a pushed request has one interaction at a time, an initial access token registers so
// many clients. A lock on its row has simultaneous uses wait for each other.
import { errors } from 'oidc-provider';
import type { Prisma } from '../generated/client.ts';
import type { Keyring } from '../keys/keyring.ts';
import { artifactId, findArtifact, lookups } from './artifacts.ts';
import { artifactContext } from './sealed-artifact.ts';
import type { Save } from './writes.ts';

type Database = Prisma.TransactionClient;

/**
 * Ends the interaction that a pushed request has had before, if it was opened again: whoever knows a `request_uri` could
 * have one row after another written with a line (RFC 9126 §7.3 has it used once, but a page may be loaded again).
 */
export async function endOtherInteraction(
  database: Database,
  keyring: Keyring,
  { id, payload, wasFound }: Save,
): Promise<void> {
  const { parJti } = payload as { readonly parJti?: string };
  if (parJti === undefined || wasFound) return;
  await locked(database, artifactId('PushedAuthorizationRequest', parJti));
  await database.artifact.deleteMany({
    where: {
      model: 'Interaction',
      lookup: { in: lookups(keyring, 'Interaction', parJti) },
      id: { not: artifactId('Interaction', id) },
    },
  });
}

/**
 * Uses an initial access token (RFC 7591 §3) once; after its last use it is gone. One that does not say how often it may
 * be used works once.
 *
 * @throws {errors.InvalidToken} when it was used up meanwhile
 */
export async function useInvitation(
  database: Database,
  keyring: Keyring,
  token: string,
): Promise<void> {
  const model = 'InitialAccessToken';
  const id = artifactId(model, token);
  await locked(database, id);
  const kept = await findArtifact(database, keyring, model, token);
  if (!kept) throw new errors.InvalidToken('the initial access token was used up meanwhile');
  const { uses = 1, ...payload } = kept as typeof kept & { readonly uses?: number };
  if (uses <= 1) {
    await database.artifact.delete({ where: { id } });
    return;
  }
  const sealed = keyring.seal(artifactContext(id), JSON.stringify({ ...payload, uses: uses - 1 }));
  await database.artifact.update({ where: { id }, data: { sealed } });
}

async function locked(database: Database, id: Uint8Array<ArrayBuffer>): Promise<void> {
  await database.$queryRaw`SELECT 1 FROM artifact WHERE id = ${id} FOR UPDATE`;
}
