// The commands by name. Only the one that is named is loaded, with what it needs: help is there at once.
import { Command } from 'commander';
import { explainExit } from './exit.ts';

/** Adds to a command its options or its own commands. */
type Add = (command: Command) => void;

const commands: Readonly<Record<string, readonly [description: string, load: () => Promise<Add>]>> =
  {
    serve: [
      'run the provider until it is told to stop',
      async () => {
        const { main } = await import('../serve.ts');
        return (command) => command.action(main);
      },
    ],
    status: [
      'ask the running provider whether it is well; exits with 0 or 1, for people and health checks',
      async () => (await import('./status.ts')).statusCommand,
    ],
    demo: [
      'see it at work on this machine: a provider, an application, a person',
      async () => {
        const { demo } = await import('../demo/main.ts');
        return (command) => command.action(demo);
      },
    ],
    migrate: [
      'bring the tables of the database up to date (the server does so by itself when it starts)',
      async () => (await import('./tables.ts')).migrateCommand,
    ],
    sweep: [
      'delete what has expired (the server does so by itself, every minute)',
      async () => (await import('./tables.ts')).sweepCommand,
    ],
    apply: [
      'make clients, resources, groups, scopes and claims what files describe',
      async () => (await import('./files.ts')).applyCommand,
    ],
    export: [
      'print clients, resources, groups, scopes and claims as a file for apply',
      async () => (await import('./files.ts')).exportCommand,
    ],
    user: ['people who can sign in', async () => (await import('./user/user.ts')).addUserCommands],
    group: [
      'groups of people: what applications are told, and for whom they are',
      async () => (await import('./group.ts')).addGroupCommands,
    ],
    convert: [
      'files of another provider, turned into what “user import” and “apply” take',
      async () => (await import('./convert/convert.ts')).addConvertCommands,
    ],
    client: [
      'relying parties: the applications that people sign in to',
      async () => (await import('./client/client.ts')).addClientCommands,
    ],
    family: [
      'refresh-token families: everything that descends from one authorization',
      async () => (await import('./family.ts')).addFamilyCommands,
    ],
    resource: [
      'resource servers: what access tokens may be for',
      async () => (await import('./resource.ts')).addResourceCommands,
    ],
    key: ['the keys that sign tokens', async () => (await import('./key.ts')).addKeyCommands],
    secret: [
      'what is sealed under SYMBOLON_SECRET',
      async () => (await import('./secret.ts')).addSecretCommands,
    ],
    audit: [
      'what happened: every change, every end, every refusal, and by whom',
      async () => (await import('./audit.ts')).addAuditCommands,
    ],
    mail: ['mails to people', async () => (await import('./mail.ts')).addMailCommands],
  };

const symbolon = new Command('symbolon')
  .description(
    'A self-hosted OpenID Connect provider. Settings come from the environment and .env; see docs/configuration.md.',
  )
  .enablePositionalOptions()
  .showHelpAfterError('(symbolon --help tells more)');

const named = process.argv.slice(2);
for (const [name, [description, load]] of Object.entries(commands)) {
  const command = symbolon.command(name).description(description);
  if (named.includes(name)) (await load())(command);
}

await symbolon.parseAsync().catch(explainExit);
