// Clients in files: a file's entry is all of a client's metadata, but for whether it is disabled.
import { isDeepStrictEqual } from 'node:util';
import { addClient, changeClient, removeClient } from '../provider/client-changes.ts';
import { groupsOf } from '../provider/own-metadata.ts';
import { clearUris } from '../provider/redirect-uris.ts';
import { countWithdrawn } from '../storage/access.ts';
import { writeEvents } from '../storage/audit.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import { type ClientMetadata, findClient, lockClient, writeSecret } from '../storage/clients.ts';
import { epoch } from '../storage/storage.ts';
import type { ClientEntry, Entry } from './entries.ts';
import type { Database, PlanParts, PlannedStep, Run } from './steps.ts';
import { type SecretsChange, compareSecrets } from './secrets.ts';
import type { Problem } from './source.ts';

/**
 * @param groups the names of those that there will be
 * @param problems what is wrong is added to them
 * @returns undefined when nothing changes
 */
export async function planClient(
  database: Database,
  parts: PlanParts,
  entry: Entry<ClientEntry>,
  groups: ReadonlySet<string>,
  problems: Problem[],
): Promise<PlannedStep | undefined> {
  const { id, value, problem } = entry;
  const { storage, needsSecret } = parts;
  const before = await findClient(database, storage.keyring, id);
  if (before?.['client_id_issued_at'] !== undefined || (!before && (await isThere(database, id)))) {
    problems.push(
      problem(
        'it registered itself, and its metadata is its own; symbolon client update restricts it',
        'client_id',
      ),
    );
    return undefined;
  }
  const { client_secret: stored, ...metadata } = before ?? {};
  const after = withDisabled(value.metadata, metadata);
  for (const name of groupsOf(after))
    if (!groups.has(name))
      problems.push(
        problem(
          `allowed_groups: there is no group "${name}", here or in the files`,
          'allowed_groups',
        ),
      );
  const secrets = compareSecrets(
    { given: value.secrets, stored, needsSecret: needsSecret(after), metadata: after },
    epoch(storage.now()),
  );
  if (typeof secrets === 'string') {
    problems.push(problem(secrets, 'client_secret'));
    return undefined;
  }
  const { changed } = whatChanged(metadata, after);
  const warnings = clearUris(after).map(
    (uri) =>
      `${JSON.stringify(uri)} is not https: whoever is on the way can take the codes that are sent there (RFC 9700 §2.6)`,
  );
  const facts = {
    kind: 'client',
    ...{ id, changed },
    ...counted(secrets),
    ...(warnings.length > 0 ? { warnings } : {}),
  } as const;
  if (!before) return { ...facts, action: 'add', run: adding(parts, after, secrets) };
  const isSame = isDeepStrictEqual(withoutNulls(metadata), after);
  if (isSame && !secrets) return undefined;
  const allowed = groupsOf(after);
  const families =
    'allowed_groups' in changed ? await countWithdrawn(database, { clientId: id, allowed }) : 0;
  const run: Run = async (database) => {
    const current = await lockClient(database, storage.keyring, id);
    if (!current) throw new Error(`${id} was removed meanwhile`);
    const ended = isSame ? {} : await changeClient(database, parts, { before: current, after });
    await writeSecrets(database, parts, id, secrets);
    return ended;
  };
  return { ...facts, action: 'change', ...(families > 0 ? { families } : {}), run };
}

/** Removes a client with everything that was issued to it. */
export async function planRemoval(
  database: Database,
  parts: PlanParts,
  id: string,
): Promise<PlannedStep> {
  const families = await database.refreshFamily.count({ where: { clientId: id, endedAt: null } });
  const run: Run = async (database) => ({
    families: (await removeClient(database, parts, id)) ?? 0,
  });
  return { action: 'remove', kind: 'client', id, changed: {}, families, run };
}

function adding(
  parts: PlanParts,
  metadata: ClientMetadata,
  secrets: SecretsChange | undefined,
): Run {
  return async (database) => {
    const id = metadata.client_id;
    await addClient(database, parts, metadata);
    await database.client.update({ where: { id }, data: { applied: true } });
    const { keyring } = parts.storage;
    if (secrets) await writeSecret(database, keyring, id, secrets.stored);
    return {};
  };
}

async function writeSecrets(
  database: Database,
  { storage, origin }: PlanParts,
  clientId: string,
  secrets: SecretsChange | undefined,
): Promise<void> {
  if (!secrets) return;
  await writeSecret(database, storage.keyring, clientId, secrets.stored);
  const { added, removed, isReplaced = false } = secrets;
  const event = (type: 'client.secret_added' | 'client.secret_removed') => (secret: string) =>
    ({ type, clientId, detail: { secret } }) as const;
  const events = [
    ...added.map(event('client.secret_added')),
    ...removed.map(event('client.secret_removed')),
    ...(isReplaced ? [{ type: 'client.secret_changed', clientId } as const] : []),
  ];
  await writeEvents(database, events, { now: storage.now(), origin });
}

function counted(secrets: SecretsChange | undefined) {
  if (!secrets) return {};
  const { stored, added, removed, isReplaced } = secrets;
  const one = isReplaced ? 1 : 0;
  return {
    secrets: {
      added: added.length + (stored === undefined ? 0 : one),
      removed: Math.max(removed.length, one),
    },
  };
}

/** A file that does not say whether a client is disabled leaves that to `symbolon client disable`. */
function withDisabled(given: ClientMetadata, before: Record<string, unknown>): ClientMetadata {
  const kept = 'disabled' in given ? {} : { disabled: before['disabled'] };
  return withoutNulls({ ...given, ...kept });
}

function withoutNulls<T extends Record<string, unknown>>(metadata: T): T {
  const kept = Object.entries(metadata).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(kept) as T;
}

/** Whether there is a row of that id: one of a client whose metadata is the document at its address. */
async function isThere(database: Database, id: string): Promise<boolean> {
  return (await database.client.count({ where: { id } })) > 0;
}
