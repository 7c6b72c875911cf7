// When and from where each secret of a client was last used, so that an operator knows which may go. Noted beside the
// request, not within it: nobody waits for it, and it is no harm if one is lost.
import type { Pool } from 'pg';
import type { PrismaClient } from '../generated/client.ts';
import type { Origin } from './origin.ts';

const EVERY = 60_000; // milliseconds between two notes of one process
const MOST = 10_000; // secrets that a process remembers

/** Notes the use of a secret, once a minute. */
export type NoteSecretUse = (clientId: string, secretId: string, origin: Origin) => void;

/** @param now the database's time */
export function noteSecretUses({
  pool,
  now,
}: {
  readonly pool: Pool;
  readonly now: () => Date;
}): NoteSecretUse {
  const noted = new Map<string, number>();
  return (clientId, secretId, { ip = null, userAgent = null }) => {
    const at = now();
    const key = `${clientId} ${secretId}`;
    if (at.getTime() - (noted.get(key) ?? 0) < EVERY) return;
    if (noted.size >= MOST) noted.clear();
    noted.set(key, at.getTime());
    pool
      .query({
        name: 'note_secret_use',
        text: `
          INSERT INTO client_secret_use AS kept (client_id, secret_id, at, ip, user_agent)
          SELECT id, $2, $3, $4, $5 FROM client WHERE id = $1
          ON CONFLICT (client_id, secret_id) DO UPDATE
          SET at = excluded.at, ip = excluded.ip, user_agent = excluded.user_agent WHERE kept.at < excluded.at`,
        values: [clientId, secretId, at, ip, userAgent],
      })
      .catch(() => noted.delete(key)); // the next use is noted
  };
}

/** The last use of each secret, by its id. */
export async function secretUses(prisma: PrismaClient, clientId: string) {
  const uses = await prisma.clientSecretUse.findMany({ where: { clientId } });
  return new Map(uses.map((use) => [use.secretId, use]));
}
