// symbolon client list, show, remove.
import type { Command } from 'commander';
import { removeClient } from '../../provider/client-changes.ts';
import { refreshPolicy } from '../../provider/refresh-policy.ts';
import { commandLine } from '../../storage/origin.ts';
import { asJson, change, date, print, table, withStorage } from '../run.ts';
import { noClient } from './metadata.ts';

export function addShowCommands(client: Command): void {
  client
    .command('list')
    .description('list every application')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const clients = await prisma.client.findMany({ orderBy: { id: 'asc' } });
        const rows = clients.map(({ id, metadata, createdAt }) => {
          const { client_name: name, redirect_uris: uris } = metadata as {
            client_name?: string;
            redirect_uris?: string[];
          };
          return [id, name ?? '', uris?.join(' ') ?? '', date(createdAt)];
        });
        print(
          json,
          clients.map(clientFacts),
          table(['CLIENT_ID', 'NAME', 'REDIRECT URIS', 'ADDED'], rows),
        );
      }),
    );

  client
    .command('show')
    .description('show the metadata of one application, and the policy of its refresh tokens')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ config, storage: { prisma } }) => {
        const row = await prisma.client.findUnique({ where: { id } });
        if (!row) throw noClient(id);
        const metadata = row.metadata as object;
        const policy = Object.entries(refreshPolicy(config).inEffect(metadata));
        const lines = Object.entries(clientFacts(row)).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]);
        const defaults = policy
          .filter(([name]) => !(name in metadata))
          .map(([name, value]) => [name, `${String(value)} (server default)`]);
        print(
          json,
          { ...clientFacts(row), refresh_policy: Object.fromEntries(policy) },
          table(['', ''], [...lines, ...defaults]).trim(),
        );
      }),
    );

  client
    .command('remove')
    .description('remove an application, with everything that was issued to it')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        await change(storage, async (database) => {
          const parts = { storage, origin: commandLine };
          if ((await removeClient(database, parts, id)) === undefined) throw noClient(id);
        });
        print(json, { client_id: id, removed: true }, `Removed ${id}; its tokens no longer work.`);
      }),
    );
}

function clientFacts({
  id,
  metadata,
  createdAt,
}: {
  id: string;
  metadata: unknown;
  createdAt: Date;
}): object {
  return { client_id: id, ...(metadata as object), created_at: createdAt };
}
