// symbolon client disable, enable: an application is kept out for a time, and loses nothing.
import type { Command } from 'commander';
import type { Storage } from '../../storage/storage.ts';
import { setDisabled } from '../../storage/clients.ts';
import { CommandError, asJson, change, print, withStorage } from '../run.ts';
import { noClient } from './metadata.ts';

export function addDisableCommands(client: Command): void {
  client
    .command('disable')
    .description('keep an application out until it is enabled; what it was given stays')
    .argument('<client_id>')
    .option('--reason <text>', 'what its developers are told', '')
    .option(...asJson)
    .action((id: string, { reason, json }: { reason: string; json?: boolean }) =>
      withStorage(async ({ storage }) => {
        if (reason.length > 200) throw new CommandError('--reason: wants 200 characters at most');
        await set(storage, id, reason);
        print(json, { client_id: id, disabled: reason }, `Disabled ${id}. What it has, waits.`);
      }),
    );

  client
    .command('enable')
    .description('let an application in again')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        await set(storage, id, null);
        print(json, { client_id: id, disabled: null }, `Enabled ${id}.`);
      }),
    );
}

function set(storage: Storage, id: string, reason: string | null): Promise<void> {
  return change(storage, async (database, record) => {
    if (!(await setDisabled(database, id, reason))) throw noClient(id);
    if (reason === null) await record({ type: 'client.enabled', clientId: id });
    else await record({ type: 'client.disabled', clientId: id, detail: { reason } });
  });
}
