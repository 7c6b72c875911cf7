// symbolon client secret: gives an application another secret.
import type { Command } from 'commander';
import { createOfflineProvider } from '../provider/offline-provider.ts';
import {
  type ClientMetadata,
  isDocument,
  leastSecretLength,
  newClientSecret,
  replaceClientSecret,
} from '../storage/clients.ts';
import { CommandError, asJson, change, print, secretFromStdin, withStorage } from './run.ts';

export function addSecretCommand(client: Command): void {
  client
    .command('secret')
    .description('give an application another secret, shown once; the former one ends at once')
    .argument('<client_id>')
    .option('--secret-stdin', 'read the client secret from standard input')
    .option(...asJson)
    .action(
      async (id: string, { secretStdin, json }: { secretStdin?: boolean; json?: boolean }) => {
        const given = secretStdin ? await secretFromStdin('client secret') : undefined;
        await withStorage(async ({ config, storage }) => {
          const { prisma, keyring } = storage;
          const row = await prisma.client.findUnique({ where: { id } });
          if (!row) throw new CommandError(`There is no client "${id}".`);
          const metadata: ClientMetadata = { ...(row.metadata as object), client_id: id };
          const provider = createOfflineProvider({ config, storage });
          if (isDocument(metadata) || !provider.needsSecret(metadata))
            throw new CommandError(`The client "${id}" does not use a secret.`);
          if (given !== undefined) assertLongEnough(given, metadata);
          const secret = given ?? newClientSecret();
          await change(storage, async (database, record) => {
            await replaceClientSecret(database, keyring, metadata, secret);
            await record({ type: 'client.secret_changed', clientId: id });
          });
          print(
            json,
            { client_id: id, ...(given === undefined ? { client_secret: secret } : {}) },
            given === undefined
              ? `${id} has another secret.\n\n  client_secret  ${secret}\n\nIt is shown this once; it cannot be read back.`
              : `${id} has another secret.`,
          );
        });
      },
    );
}

/** @throws {CommandError} when a secret that somebody has chosen is too short for its use */
export function assertLongEnough(secret: string, metadata: ClientMetadata): void {
  const least = leastSecretLength(metadata);
  if (secret.length < least)
    throw new CommandError(
      `client_secret: has ${secret.length} characters; at least ${least} are wanted, at random. Leave --secret-stdin out, and one is made.`,
    );
}
