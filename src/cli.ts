#!/usr/bin/env node
// The `symbolon` command, put together. It works beside a running server, on the same data.
import { Command } from 'commander';
import { addClientCommands } from './commands/client.ts';
import { addFamilyCommands } from './commands/family.ts';
import { addUserCommands } from './commands/user.ts';
import { print, withStorage } from './commands/run.ts';
import { explainExit, main as serve } from './main.ts';

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
  .option('--json', 'print JSON for a program to read')
  .action(({ json }: { json?: boolean }) =>
    withStorage(({ applied }) => {
      print(
        json,
        { applied },
        applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'The database was up to date.',
      );
      return Promise.resolve();
    }),
  );
addUserCommands(symbolon);
addClientCommands(symbolon);
addFamilyCommands(symbolon);

await symbolon.parseAsync().catch(explainExit);
