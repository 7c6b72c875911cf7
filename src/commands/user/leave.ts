// symbolon user delete, keep, export: a person leaves, is kept after all, or wants to know what is kept.
import type { Command } from 'commander';
import { withdrawDeletion } from '../../accounts/deletion.ts';
import { exportPerson } from '../../accounts/export.ts';
import { deleteAccount } from '../../accounts/removal.ts';
import { CommandError, asJson, change, confirm, print } from '../run.ts';
import { withAccount } from './account.ts';
import { endedAccess } from './told.ts';

export function deleteCommand(user: Command): void {
  user
    .command('delete')
    .description('delete a person’s account with everything that is kept about them')
    .argument('<email>')
    .option('--yes', 'do not ask')
    .option(...asJson)
    .action((email: string, { yes, json }: { yes?: boolean; json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const ask = `This deletes ${account.email} for good. Write the address once more: `;
        if (!yes) await confirm(ask, account.email, 'Nothing was deleted.');
        const ended = await change(parts.storage, (database) =>
          deleteAccount(database, parts, account),
        );
        const { facts, families, applications } = await endedAccess(parts.storage, ended);
        const text = `Deleted ${account.email}; ${families} ended.${applications}`;
        print(json, { deleted: true, sub: account.id, ...facts }, text);
      }),
    );
}

export function keepCommand(user: Command): void {
  user
    .command('keep')
    .description('keep an account that its person has asked to be deleted')
    .argument('<email>')
    .option(...asJson)
    .action((email: string, { json }: { json?: boolean }) =>
      withAccount(email, async (account, parts) => {
        const kept = await change(parts.storage, (database) =>
          withdrawDeletion(database, parts, account.id),
        );
        if (!kept) throw new CommandError(`${account.email} has not asked to be deleted.`);
        print(json, { kept, sub: account.id }, `${account.email} stays.`);
      }),
    );
}

export function exportCommand(user: Command): void {
  user
    .command('export')
    .description('print everything that is kept about a person, as JSON')
    .argument('<email>')
    .action((email: string) =>
      withAccount(email, async ({ id }, { storage }) => {
        const { prisma, keyring, now } = storage;
        const all = await exportPerson(prisma, keyring, id, now());
        await change(storage, (_database, record) =>
          record({ type: 'account.exported', accountId: id }),
        );
        print(true, all, '');
      }),
    );
}
