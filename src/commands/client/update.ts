// symbolon client update: changes a relying party's metadata. Nothing ends but what people may not use any more.
import type { Command } from 'commander';
import { changeClient } from '../../provider/client-changes.ts';
import { createOfflineProvider } from '../../provider/offline-provider.ts';
import { awaitAccessChanges } from '../../storage/access.ts';
import { newClientSecret, parseSecrets } from '../../storage/client-secrets.ts';
import { lockClient } from '../../storage/clients.ts';
import { commandLine } from '../../storage/origin.ts';
import { CommandError, asJson, change, jsonFile, print, withStorage } from '../run.ts';
import { endedAccess } from '../user/told.ts';
import { noClient, refuseFixed, validate, withoutNulls } from './metadata.ts';

export function addUpdateCommand(client: Command): void {
  client
    .command('update')
    .description('change the metadata of an application; what the file sets to null is removed')
    .argument('<client_id>')
    .option('--metadata <file>', 'a JSON file with the metadata that changes')
    .option('--add-redirect-uri <uri...>', 'one more place that people are sent back to')
    .option('--remove-redirect-uri <uri...>', 'one less')
    .option('--add-post-logout-redirect-uri <uri...>', 'one more place after signing out')
    .option('--remove-post-logout-redirect-uri <uri...>', 'one less')
    .option(...asJson)
    .action(async (id: string, options: UpdateOptions) => {
      if (Object.keys(options).every((name) => name === 'json'))
        throw new CommandError('Nothing to change: give --metadata, or a URI to add or remove.');
      const file = options.metadata;
      const changes = file === undefined ? {} : await jsonFile('--metadata', file);
      refuseFixed(changes);
      await withStorage(async ({ config, storage }) => {
        const { keyring } = storage;
        const provider = createOfflineProvider({ config, storage });
        const { metadata, isNew, withSecret, ended } = await change(storage, async (database) => {
          await awaitAccessChanges(database);
          const current = await lockClient(database, keyring, id);
          if (!current) throw noClient(id);
          const { client_secret: before, ...metadata } = withoutNulls(
            withUris({ ...current, ...changes }, options),
          );
          const { secret, isNew } = secretFor(provider.needsSecret(metadata), metadata, before);
          const withSecret: { client_secret?: string } =
            secret === undefined ? {} : { client_secret: secret };
          await validate(provider, { ...metadata, client_id: id, ...withSecret });
          const after = { ...metadata, client_id: id };
          const parts = { storage, origin: commandLine };
          const ended = await changeClient(database, parts, {
            ...{ before: current, after },
            // The secrets stay as they are, unless the method needs another, or none.
            ...(isNew || secret === undefined ? { secret } : {}),
          });
          return { metadata, isNew, withSecret, ended };
        });
        const { facts, families, applications } = await endedAccess(storage, ended);
        const withdrawn = facts.ended > 0 ? `; ${families} ended.${applications}` : '.';
        const shown = `\n\n  client_secret  ${withSecret.client_secret ?? ''}\n\nThe method needs this one. It is shown this once; it cannot be read back.`;
        print(
          options.json,
          isNew ? { ...metadata, ...withSecret } : metadata,
          `Changed ${id}${withdrawn}${isNew ? shown : ''}`,
        );
      });
    });
}

const lists = {
  redirect_uris: ['addRedirectUri', 'removeRedirectUri'],
  post_logout_redirect_uris: ['addPostLogoutRedirectUri', 'removePostLogoutRedirectUri'],
} as const;

/** Metadata with the URIs that are added, and without those that are removed. @throws {CommandError} when there is none */
function withUris(
  metadata: Record<string, unknown>,
  options: UpdateOptions,
): Record<string, unknown> {
  const changed = { ...metadata };
  for (const [name, [add, remove]] of Object.entries(lists)) {
    const [added, removed] = [options[add] ?? [], options[remove] ?? []];
    if (added.length + removed.length === 0) continue;
    const before = (metadata[name] ?? []) as readonly string[];
    const missing = removed.find((uri) => !before.includes(uri));
    if (missing !== undefined)
      throw new CommandError(`${name}: ${missing} is not registered, so it cannot be removed.`);
    const kept = before.filter((uri) => !removed.includes(uri));
    changed[name] = [...new Set([...kept, ...added])];
  }
  return changed;
}

/** The secret with which a client goes on: what it has, or another where the method cannot use that. */
function secretFor(
  isNeeded: boolean,
  { token_endpoint_auth_method: method }: Record<string, unknown>,
  before: unknown,
): { readonly secret: string | undefined; readonly isNew: boolean } {
  if (!isNeeded) return { secret: undefined, isNew: false };
  if (typeof before !== 'string') return { secret: newClientSecret(), isNew: true };
  // To check what is signed with a secret takes the secret itself, and of the others only hashes are kept.
  const isNew = method === 'client_secret_jwt' && parseSecrets(before) !== undefined;
  return { secret: isNew ? newClientSecret() : before, isNew };
}

interface UpdateOptions {
  metadata?: string;
  addRedirectUri?: string[];
  removeRedirectUri?: string[];
  addPostLogoutRedirectUri?: string[];
  removePostLogoutRedirectUri?: string[];
  json?: boolean;
}
