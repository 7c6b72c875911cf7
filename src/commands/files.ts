// symbolon apply and symbolon export: what the installation has, from files and as files.
import type { Command } from 'commander';
import { applyFiles, planFiles } from '../files/apply.ts';
import { asYaml, exportFiles } from '../files/export.ts';
import { FilesError } from '../files/source.ts';
import { stepsInWords } from '../files/words.ts';
import { commandLine } from '../storage/origin.ts';
import { CommandError, asJson, print, withStorage } from './run.ts';
import { endedAccess } from './user/told.ts';

const PENDING = 2; // the exit code of a plan with changes

interface ApplyOptions {
  filename: string[];
  plan?: boolean;
  prune?: boolean;
  json?: boolean;
}

export function applyCommand(command: Command): void {
  command
    .requiredOption('-f, --filename <path...>', 'files or folders with YAML or JSON')
    .option('--plan', 'only show what would change; exits with 0 for nothing, 2 for something')
    .option('--prune', 'remove what files have made and describe no more')
    .option(...asJson)
    .action(({ filename: paths, plan = false, prune = false, json }: ApplyOptions) =>
      withStorage(async ({ config, storage }) => {
        const parts = { config, storage, origin: commandLine };
        try {
          if (plan) {
            const steps = await planFiles(parts, { paths, prune });
            print(json, { changes: steps }, stepsInWords(steps, 'planned'));
            if (steps.length > 0) process.exitCode = PENDING;
            return;
          }
          const { steps, ...ended } = await applyFiles(parts, { paths, prune });
          const { facts, families, applications } = await endedAccess(storage, ended);
          const withdrawn = facts.ended > 0 ? `\n${families} ended.${applications}` : '';
          print(json, { changes: steps, ...facts }, `${stepsInWords(steps, 'done')}${withdrawn}`);
        } catch (error) {
          if (error instanceof FilesError) throw new CommandError(error.message);
          throw error;
        }
      }),
    );
}

export function exportCommand(command: Command): void {
  command.option(...asJson).action(({ json }: { json?: boolean }) =>
    withStorage(async ({ config, storage }) => {
      const claims = config.claims === undefined ? storage.kept.claims : undefined;
      const exported = await exportFiles(storage, claims);
      print(json, exported, asYaml(exported).trimEnd());
    }),
  );
}
