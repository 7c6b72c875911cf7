// symbolon migrate and symbolon sweep: the tables, and what has expired in them.
import type { Command } from 'commander';
import { backlog, sweep } from '../database/sweep.ts';
import { sweepParts } from '../serve.ts';
import { asJson, print, withStorage } from './run.ts';

export function migrateCommand(command: Command): void {
  command.option(...asJson).action(({ json }: { json?: boolean }) =>
    withStorage(({ applied }) => {
      print(
        json,
        { applied },
        applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'The database was up to date.',
      );
      return Promise.resolve();
    }, 'apply'),
  );
}

export function sweepCommand(command: Command): void {
  command
    .option('--backlog', 'only tell how much waits')
    .option(...asJson)
    .action(({ backlog: only, json }: { backlog?: boolean; json?: boolean }) =>
      withStorage(async ({ config, storage }) => {
        const parts = sweepParts(config, storage);
        if (only) {
          const waiting = await backlog(parts);
          const { artifacts, grants, deliveries, links, families, events } = waiting;
          print(
            json,
            waiting,
            `Waiting: ${artifacts} artifacts, ${grants} grants, ${deliveries} messages, ${links} links, ${families} families, ${events} events.`,
          );
        } else {
          const deleted = await sweep(parts);
          print(json, { deleted }, `Deleted ${deleted} rows.`);
        }
      }),
    );
}
