// Adding, changing and removing a client, each with its event and with what ends, in the caller's transaction. The
// metadata has been validated before.
import type { AdapterPayload } from 'oidc-provider';
import { assertGroups } from '../accounts/groups.ts';
import type { Prisma } from '../generated/client.ts';
import { withdrawAccess } from '../storage/access.ts';
import { writeEvent } from '../storage/audit.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import {
  type ClientMetadata,
  insertClient,
  lockClient,
  replaceClientSecret,
  updateClient,
} from '../storage/clients.ts';
import type { Origin } from '../storage/origin.ts';
import { type AccessEnd, revokeClient } from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';
import { groupsOf } from './own-metadata.ts';

interface ChangeParts {
  readonly storage: Storage;
  readonly origin: Origin;
}

type Database = Prisma.TransactionClient;

/** The metadata of a client of whom only this is known, with defaults for what an operator most often wants. */
export function completedMetadata(given: ClientMetadata): ClientMetadata {
  const metadata: ClientMetadata = {
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_basic',
    ...given,
  };
  const types = metadata['grant_types'];
  const redirects = Array.isArray(types) && types.includes('authorization_code');
  return redirects ? metadata : { response_types: [], redirect_uris: [], ...metadata };
}

/**
 * @throws {GroupError} when it is for a group that there is not
 * @throws Prisma's P2002 when the id is taken
 */
export async function addClient(
  database: Database,
  { storage, origin }: ChangeParts,
  metadata: ClientMetadata,
): Promise<void> {
  await assertGroups(database, groupsOf(metadata));
  await insertClient(database, storage.keyring, metadata);
  const event = { type: 'client.added', clientId: metadata.client_id } as const;
  await writeEvent(database, event, { now: storage.now(), origin });
}

/**
 * Changes a client that was read by {@link lockClient} after `awaitAccessChanges`. What people may not use any more
 * ends.
 *
 * @param secret replaces its secrets; undefined: it has none then; not given: they stay
 * @throws {GroupError} when it is for a group that there is not
 */
export async function changeClient(
  database: Database,
  { storage, origin }: ChangeParts,
  {
    before,
    after,
    ...given
  }: {
    readonly before: AdapterPayload;
    readonly after: ClientMetadata;
    readonly secret?: string | undefined;
  },
): Promise<AccessEnd> {
  const { keyring } = storage;
  const occasion = { now: storage.now(), origin };
  const clientId = after.client_id;
  await assertGroups(database, groupsOf(after));
  await updateClient(database, after);
  if ('secret' in given) await replaceClientSecret(database, keyring, after, given.secret);
  const isNew = given.secret !== undefined;
  const detail = { ...whatChanged(before, after), ...(isNew && { secret: 'new' }) };
  await writeEvent(database, { type: 'client.changed', clientId, detail }, occasion);
  return withdrawAccess(database, { clientId }, { ...occasion, keyring });
}

/** Removes a client, with everything that was issued to it. @returns how many families ended; undefined: there is none */
export async function removeClient(
  database: Database,
  { storage, origin }: ChangeParts,
  id: string,
): Promise<number | undefined> {
  const occasion = { now: storage.now(), origin };
  await lockClient(database, storage.keyring, id);
  const families = await revokeClient(database, id, { reason: 'client_removed', ...occasion });
  const { count } = await database.client.deleteMany({ where: { id } });
  if (count === 0) return undefined;
  await writeEvent(database, { type: 'client.removed', clientId: id }, occasion);
  return families;
}
