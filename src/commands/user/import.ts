// symbolon user import: takes people over from elsewhere.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { type ImportResult, importPeople } from '../../accounts/import.ts';
import { commandLine } from '../../storage/origin.ts';
import { CommandError, asJson, complain, print, withStorage } from '../run.ts';

export function importCommand(user: Command): void {
  user
    .command('import')
    .description('take people over from elsewhere, with their passwords’ hashes')
    .argument('<file>', 'a line of JSON for each person (docs/accounts.md); - is standard input')
    .option('--dry-run', 'say what would be done, and do nothing')
    .option(...asJson)
    .action((file: string, { dryRun = false, json }: { dryRun?: boolean; json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const input = file === '-' ? process.stdin : createReadStream(file);
        const opened = new Promise<never>((_resolve, reject) => {
          input.once('error', ({ message }: Error) => {
            reject(new CommandError(`${file} cannot be read: ${message}`));
          });
        });
        const lines = createInterface({ input, crlfDelay: Infinity });
        const work = importPeople({ config, storage, origin: commandLine }, lines, {
          isDryRun: dryRun,
          onNotTaken: ({ line, reason }) => {
            complain(`line ${line}: ${reason}`);
          },
          onProgress: (sofar) => {
            if (process.stderr.isTTY) process.stderr.write(`${inWords(sofar, dryRun)}\r`);
          },
        });
        const result = await Promise.race([work, opened]);
        const { added, there, notTaken: not_taken } = result;
        print(json, { added, there, not_taken, dry_run: dryRun }, inWords(result, dryRun));
        if (not_taken > 0) process.exitCode = 1;
      }),
    );
}

function inWords({ added, there, notTaken }: ImportResult, isDryRun: boolean): string {
  return `${isDryRun ? 'Would add' : 'Added'} ${people(added)}; ${people(there)} here already, ${people(notTaken)} not taken.`;
}

function people(count: number): string {
  return count === 1 ? '1 person' : `${count} people`;
}
