// symbolon secret: what is sealed under SYMBOLON_SECRET.
import type { Command } from 'commander';
import { reseal } from '../keys/reseal.ts';
import { asJson, change, print, table, withStorage } from './run.ts';
import { sealedTables } from './sealed-tables.ts';
import { addAbandonCommand } from './secret-abandon.ts';

export function addSecretCommands(secret: Command): void {
  secret
    .command('reseal')
    .description('seal everything anew under the first secret, so that the others can be removed')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        const counts = await reseal(storage, sealedTables);
        await change(storage, (_database, record) =>
          record({ type: 'secret.resealed', detail: counts }),
        );
        const rows = Object.entries(counts).map(([what, count]) => [what, String(count)]);
        print(json, counts, table(['WHAT', 'SEALED ANEW'], rows));
      }),
    );

  addAbandonCommand(secret);
}
