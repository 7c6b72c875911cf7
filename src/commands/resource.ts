// symbolon resource: the resource servers that access tokens can be issued for (RFC 8707).
import type { Command } from 'commander';
import type { Resource } from '../generated/client.ts';
import { isTaken } from '../storage/errors.ts';
import { commandLine } from '../storage/origin.ts';
import {
  addResource,
  findResource,
  removeResource,
  resourceFacts,
  resourceInput,
  scopesOf,
} from '../storage/resources.ts';
import { CommandError, asJson, change, print, secondsIn, table, withStorage } from './run.ts';

interface AddOptions {
  name?: string;
  scope?: string[];
  format: string;
  ttl?: string;
  alg?: string;
  json?: boolean;
}

export function addResourceCommands(resource: Command): void {
  resource
    .command('add')
    .description('add a resource server')
    .argument('<indicator>', 'its URI, the audience of its access tokens')
    .option('--name <name>', 'what people see')
    .option(
      '--scope <scope...>',
      'a scope, with a sentence for the consent page: "notes:read=Read your notes"',
    )
    .option('--format <format>', 'jwt (RFC 9068) or opaque', 'jwt')
    .option('--ttl <seconds>', 'how long its access tokens live (default: the server’s)')
    .option('--alg <alg>', 'what its JWTs are signed with: RS256, ES256, PS256 or EdDSA')
    .option(...asJson)
    .action(async (id: string, options: AddOptions) => {
      const { name, format, ttl, alg } = options;
      const scopes = Object.fromEntries(
        (options.scope ?? []).map((text): [string, string] => {
          const [scope = '', ...sentence] = text.split('=');
          return [scope, sentence.join('=')];
        }),
      );
      const parsed = resourceInput.safeParse({
        id,
        name,
        scopes,
        format,
        ttl: ttl === undefined ? undefined : secondsIn('--ttl', ttl),
        alg,
      });
      if (!parsed.success) {
        const [issue] = parsed.error.issues;
        throw new CommandError(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
      }
      await withStorage(async ({ config, storage }) => {
        const { data } = parsed;
        if (data.alg && !config.signingAlgorithms.includes(data.alg))
          throw new CommandError(`alg: ${data.alg} has no keys here (SYMBOLON_SIGNING_ALGORITHMS)`);
        try {
          const occasion = { now: storage.now(), origin: commandLine };
          const made = await change(storage, (database) => addResource(database, data, occasion));
          print(options.json, shownResource(made), `Added ${id}.`);
        } catch (error) {
          if (isTaken(error)) throw new CommandError(`There is a resource ${id} already.`);
          throw error;
        }
      });
    });

  resource
    .command('list')
    .description('list every resource server')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const all = await prisma.resource.findMany({ orderBy: { id: 'asc' } });
        const rows = all.map((one) => [
          one.id,
          one.name ?? '',
          one.format,
          Object.keys(scopesOf(one)).join(' '),
        ]);
        print(json, all.map(shownResource), table(['INDICATOR', 'NAME', 'TOKENS', 'SCOPES'], rows));
      }),
    );

  resource
    .command('show')
    .description('show one resource server')
    .argument('<indicator>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const found = await findResource(prisma, id);
        if (!found) throw new CommandError(`There is no resource ${id}.`);
        const { scopes, ...rest } = shownResource(found);
        const lines = [
          ...Object.entries(rest).map(([name, value]) => [name, String(value)]),
          ...Object.entries(scopes).map(([scope, sentence]) => [`scope ${scope}`, sentence]),
        ];
        print(json, shownResource(found), table(['', ''], lines).trim());
      }),
    );

  resource
    .command('remove')
    .description('remove a resource server: no more access tokens for it')
    .argument('<indicator>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        const occasion = { now: storage.now(), origin: commandLine };
        await change(storage, async (database) => {
          if (!(await removeResource(database, id, occasion)))
            throw new CommandError(`There is no resource ${id}.`);
        });
        print(json, { resource: id, removed: true }, `Removed ${id}.`);
      }),
    );
}

/** With the algorithm that is in effect. */
function shownResource({ alg, ...resource }: Resource) {
  return resourceFacts({ ...resource, alg: resource.format === 'jwt' ? (alg ?? 'RS256') : null });
}
