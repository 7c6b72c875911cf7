// symbolon client: registers and manages relying parties. Metadata is that of OpenID Connect Dynamic Client
// Registration 1.0 §2; the engine validates it before anything is written.
import type { Command } from 'commander';
import { errors } from 'oidc-provider';
import { assertGroups } from '../accounts/groups.ts';
import { cibaGrant, deviceCode, jwtBearer, tokenExchange } from '../provider/grant-types.ts';
import type { OwnMetadata } from '../provider/own-metadata.ts';
import { type OfflineProvider, createOfflineProvider } from '../provider/offline-provider.ts';
import { clearUris } from '../provider/redirect-uris.ts';
import { refreshPolicy } from '../provider/refresh-policy.ts';
import { awaitAccessChanges, withdrawAccess } from '../storage/access.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import {
  type ClientMetadata,
  findClient,
  insertClient,
  newClientSecret,
  updateClient,
} from '../storage/clients.ts';
import { isTaken } from '../storage/errors.ts';
import { commandLine } from '../storage/origin.ts';
import { revokeClient } from '../storage/revocation.ts';
import { endedAccess } from './user/told.ts';
import { addInviteCommand } from './client-invite.ts';
import { addSecretCommand, assertLongEnough } from './client-secret.ts';
import {
  CommandError,
  asJson,
  change,
  date,
  jsonFile,
  print,
  secretFromStdin,
  table,
  withStorage,
} from './run.ts';

const grantNames: Record<string, string> = {
  device_code: deviceCode,
  ciba: cibaGrant,
  token_exchange: tokenExchange,
  jwt_bearer: jwtBearer,
};

interface AddOptions {
  redirectUri?: string[];
  secretStdin?: boolean;
  public?: boolean;
  grant?: string[];
  name?: string;
  metadata?: string;
  json?: boolean;
}

export function addClientCommands(client: Command): void {
  client
    .command('add')
    .description('register an application; a secret that is not given is made and shown once')
    .argument('<client_id>')
    .option('--redirect-uri <uri...>', 'where people are sent back to')
    .option('--secret-stdin', 'read the client secret from standard input')
    .option(
      '--public',
      'the application cannot keep a secret (a single-page or mobile application)',
    )
    .option(
      '--grant <type...>',
      'authorization_code, refresh_token, client_credentials, device_code, ciba, token_exchange, jwt_bearer (default: the first two)',
    )
    .option('--name <name>', 'what people see')
    .option('--metadata <file>', 'a JSON file with more client metadata')
    .option(...asJson)
    .action(async (id: string, options: AddOptions) => {
      if (options.public && options.secretStdin)
        throw new CommandError(
          '--public and --secret-stdin exclude each other: a public client has no secret.',
        );
      const given = await givenMetadata(id, options);
      const secret = options.secretStdin ? await secretFromStdin('client secret') : undefined;
      await withStorage(async ({ config, storage }) => {
        const provider = createOfflineProvider({ config, storage });
        const needsSecret = provider.needsSecret(given);
        if (secret !== undefined && !needsSecret)
          throw new CommandError(
            `client_secret: ${String(given['token_endpoint_auth_method'])} does not use one`,
          );
        if (secret !== undefined) assertLongEnough(secret, given);
        const metadata: ClientMetadata = needsSecret
          ? { ...given, client_secret: secret ?? newClientSecret() }
          : given;
        await validate(provider, metadata);
        try {
          await change(storage, async (database, record) => {
            await assertGroups(database, groupsOf(metadata));
            await insertClient(database, storage.keyring, metadata);
            await record({ type: 'client.added', clientId: id });
          });
        } catch (error) {
          if (isTaken(error))
            throw new CommandError(
              `client_id: there is a client "${id}" already. Remove it first, or choose another id.`,
            );
          throw error;
        }
        const made = needsSecret && secret === undefined;
        print(
          options.json,
          made ? metadata : { ...metadata, client_secret: undefined },
          made
            ? `Added ${id}.\n\n  client_id      ${id}\n  client_secret  ${String(metadata['client_secret'])}\n\nThe secret is shown this once; it cannot be read back.`
            : `Added ${id}.`,
        );
      });
    });

  client
    .command('list')
    .description('list every application')
    .option(...asJson)
    .action(({ json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma } }) => {
        const clients = await prisma.client.findMany({ orderBy: { id: 'asc' } });
        const rows = clients.map(({ id, metadata, createdAt }) => {
          const { client_name: name, redirect_uris: uris } = metadata as {
            client_name?: string;
            redirect_uris?: string[];
          };
          return [id, name ?? '', uris?.join(' ') ?? '', date(createdAt)];
        });
        print(
          json,
          clients.map(clientFacts),
          table(['CLIENT_ID', 'NAME', 'REDIRECT URIS', 'ADDED'], rows),
        );
      }),
    );

  client
    .command('show')
    .description('show the metadata of one application, and the policy of its refresh tokens')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ config, storage: { prisma } }) => {
        const row = await prisma.client.findUnique({ where: { id } });
        if (!row) throw new CommandError(`There is no client "${id}".`);
        const metadata = row.metadata as object;
        const policy = Object.entries(refreshPolicy(config).inEffect(metadata));
        const lines = Object.entries(clientFacts(row)).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]);
        const defaults = policy
          .filter(([name]) => !(name in metadata))
          .map(([name, value]) => [name, `${String(value)} (server default)`]);
        print(
          json,
          { ...clientFacts(row), refresh_policy: Object.fromEntries(policy) },
          table(['', ''], [...lines, ...defaults]).trim(),
        );
      }),
    );

  client
    .command('update')
    .description('change the metadata of an application; what the file sets to null is removed')
    .argument('<client_id>')
    .requiredOption('--metadata <file>', 'a JSON file with the metadata that changes')
    .option(...asJson)
    .action(async (id: string, { metadata: file, json }: { metadata: string; json?: boolean }) => {
      const changes = await jsonFile('--metadata', file);
      refuseFixed(changes);
      await withStorage(async ({ config, storage }) => {
        const { prisma, keyring } = storage;
        const current = await findClient(prisma, keyring, id);
        if (!current) throw new CommandError(`There is no client "${id}".`);
        const { client_secret: secret, ...metadata } = withoutNulls({ ...current, ...changes });
        if (metadata['token_endpoint_auth_method'] !== current.token_endpoint_auth_method) {
          throw new CommandError(
            'token_endpoint_auth_method: cannot be changed, since the secret is kept as this method needs it. Remove the client and add it again.',
          );
        }
        await validate(createOfflineProvider({ config, storage }), {
          ...metadata,
          client_id: id,
          ...(secret ? { client_secret: secret } : {}),
        });
        const ended = await change(storage, async (database, record) => {
          await awaitAccessChanges(database);
          await assertGroups(database, groupsOf(metadata));
          await updateClient(database, { ...metadata, client_id: id });
          const detail = whatChanged(current, { ...metadata, client_id: id });
          await record({ type: 'client.changed', clientId: id, detail });
          const occasion = { now: storage.now(), origin: commandLine, keyring };
          return withdrawAccess(database, { clientId: id }, occasion);
        });
        const { facts, families, applications } = await endedAccess(storage, ended);
        const withdrawn = facts.ended > 0 ? `; ${families} ended.${applications}` : '.';
        print(json, metadata, `Changed ${id}${withdrawn}`);
      });
    });

  addSecretCommand(client);
  addInviteCommand(client);

  client
    .command('remove')
    .description('remove an application, with everything that was issued to it')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        await change(storage, async (database, record) => {
          const now = storage.now();
          const revocation = { reason: 'client_removed', now, origin: commandLine } as const;
          await revokeClient(database, id, revocation);
          const { count } = await database.client.deleteMany({ where: { id } });
          if (count === 0) throw new CommandError(`There is no client "${id}".`);
          await record({ type: 'client.removed', clientId: id });
        });
        print(json, { client_id: id, removed: true }, `Removed ${id}; its tokens no longer work.`);
      }),
    );
}

function groupsOf(metadata: Record<string, unknown>): readonly string[] {
  return (metadata as OwnMetadata).allowed_groups ?? [];
}

async function givenMetadata(id: string, options: AddOptions): Promise<ClientMetadata> {
  const file = options.metadata === undefined ? {} : await jsonFile('--metadata', options.metadata);
  refuseFixed(file);
  const grants = options.grant?.map((name) => grantNames[name] ?? name);
  const metadata: ClientMetadata = {
    client_id: id,
    grant_types: grants ?? ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: options.public ? 'none' : 'client_secret_basic',
    ...(options.redirectUri ? { redirect_uris: options.redirectUri } : {}),
    ...(options.name === undefined ? {} : { client_name: options.name }),
    ...file,
  };
  const types = metadata['grant_types'];
  const redirects = Array.isArray(types) && types.includes('authorization_code');
  return redirects ? metadata : { response_types: [], redirect_uris: [], ...metadata };
}

function withoutNulls(metadata: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
}

function refuseFixed(metadata: Record<string, unknown>): void {
  for (const name of ['client_id', 'client_secret']) {
    if (name in metadata)
      throw new CommandError(
        `${name}: is not taken from the metadata file; give it on the command line when the client is added.`,
      );
  }
}

async function validate(provider: OfflineProvider, metadata: ClientMetadata): Promise<void> {
  try {
    const unknown = await provider.validate(metadata);
    if (unknown.length > 0)
      throw new CommandError(`${unknown.join(', ')}: not known as client metadata.`);
    for (const uri of clearUris(metadata))
      process.stderr.write(
        `Warning: ${JSON.stringify(uri)} is not https. Whoever is on the way can take the codes that are sent there (RFC 9700 §2.6).\n`,
      );
  } catch (error) {
    if (error instanceof errors.OIDCProviderError)
      throw new CommandError(
        `The client's metadata was refused: ${error.error_description ?? error.message}`,
      );
    throw error;
  }
}

function clientFacts({
  id,
  metadata,
  createdAt,
}: {
  id: string;
  metadata: unknown;
  createdAt: Date;
}): object {
  return { client_id: id, ...(metadata as object), created_at: createdAt };
}
