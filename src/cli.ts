#!/usr/bin/env node
// The `symbolon` command. It works beside a running server, on the same data.
import { Command } from 'commander';
import { addClientCommands } from './commands/client.ts';
import { addFamilyCommands } from './commands/family.ts';
import { addKeyCommands } from './commands/key.ts';
import { addMailCommands } from './commands/mail.ts';
import { addResourceCommands } from './commands/resource.ts';
import { addUserCommands } from './commands/user/user.ts';
import { asJson, print, withStorage } from './commands/run.ts';
import { backlog, sweep } from './database/sweep.ts';
import { explainExit, main as serve, sweepParts } from './main.ts';

const symbolon = new Command('symbolon')
  .description(
    'A self-hosted OpenID Connect provider. Settings come from the environment and .env; see docs/configuration.md.',
  )
  .showHelpAfterError('(symbolon --help tells more)');

symbolon.command('serve').description('run the provider until it is told to stop').action(serve);
symbolon
  .command('migrate')
  .description(
    'bring the tables of the database up to date (the server does so by itself when it starts)',
  )
  .option(...asJson)
  .action(({ json }: { json?: boolean }) =>
    withStorage(({ applied }) => {
      print(
        json,
        { applied },
        applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'The database was up to date.',
      );
      return Promise.resolve();
    }, 'apply'),
  );
symbolon
  .command('sweep')
  .description('delete what has expired (the server does so by itself, every minute)')
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
addUserCommands(symbolon);
addClientCommands(symbolon);
addFamilyCommands(symbolon);
addResourceCommands(symbolon);
addKeyCommands(symbolon);
addMailCommands(symbolon);

await symbolon.parseAsync().catch(explainExit);
