// Whom the end of a person's access is told: the applications that have asked for it (OpenID Connect Back-Channel Logout
// 1.0) and that the person has a grant for or a session with. Whether a token is still valid does not matter: an
// application's own session outlives it.
import type { Prisma } from '../generated/client.ts';
import { type Keyring, SealError } from '../keys/keyring.ts';
import { DOCUMENT } from './clients.ts';
import { type Logout, saveLogouts } from './deliveries.ts';
import { unsealArtifact } from './sealed-artifact.ts';

type Database = Prisma.TransactionClient;

/** The applications that a person has a grant for. */
export async function clientsOf(database: Database, accountId: string): Promise<string[]> {
  const where = { accountId };
  const grants = await database.grant.findMany({
    ...{ where, distinct: ['clientId'], select: { clientId: true } },
  });
  return grants.map(({ clientId }) => clientId);
}

/** Signs a person out of every browser. @returns the applications that the person has signed in to there */
export async function endSessions(
  database: Database,
  keyring: Keyring,
  accountId: string,
): Promise<string[]> {
  const rows = await database.$queryRaw<{ id: Uint8Array; sealed: Uint8Array }[]>`
    DELETE FROM artifact WHERE model = 'Session' AND account_id = ${accountId}
    RETURNING id, sealed`;
  return rows.flatMap(({ id, sealed }) => {
    try {
      const { authorizations = {} } = unsealArtifact(keyring, id, sealed) as Session;
      return Object.keys(authorizations);
    } catch (error) {
      if (error instanceof SealError) return []; // nobody can use it either
      throw error;
    }
  });
}

/**
 * Has applications told that people are signed out: a logout token (§2.4), one for each person and application.
 *
 * @param whom of whose applications those are told that have asked for it
 * @returns the ids of the messages to clients that are registered here; whether one that is known by its document alone
 *   wants any shows when it is sent
 * @param sid the one session that has ended; without it all of the application's have
 */
export async function tellApplications(
  database: Database,
  whom: readonly { readonly accountId: string; readonly clientId: string }[],
  { now, keyring }: { readonly now: Date; readonly keyring: Keyring },
  sid?: string,
): Promise<string[]> {
  const clientIds = [...new Set(whom.map(({ clientId }) => clientId))];
  const asked = await database.$queryRaw<{ id: string; isDocument: boolean }[]>`
    SELECT id, metadata ? ${DOCUMENT} AS "isDocument" FROM client
    WHERE id = ANY(${clientIds})
      AND (metadata ? ${DOCUMENT} OR metadata->>'backchannel_logout_uri' IS NOT NULL)`;
  const [documents, registered] = [true, false].map((kind) => {
    const ids = new Set(asked.filter(({ isDocument }) => isDocument === kind).map(({ id }) => id));
    return whom
      .filter(({ clientId }) => ids.has(clientId))
      .map(({ accountId, clientId }) => ({ clientId, accountId, sid }));
  }) as [Logout[], Logout[]];
  await saveLogouts(database, keyring, documents, now);
  return saveLogouts(database, keyring, registered, now);
}

interface Session {
  /** By the client's id. */
  readonly authorizations?: Readonly<Record<string, unknown>>;
}
