// symbolon client add: registers a relying party.
import type { Command } from 'commander';
import { addClient, completedMetadata } from '../../provider/client-changes.ts';
import { cibaGrant, deviceCode, jwtBearer, tokenExchange } from '../../provider/grant-types.ts';
import { createOfflineProvider } from '../../provider/offline-provider.ts';
import { newClientSecret } from '../../storage/client-secrets.ts';
import type { ClientMetadata } from '../../storage/clients.ts';
import { isTaken } from '../../storage/errors.ts';
import { commandLine } from '../../storage/origin.ts';
import {
  CommandError,
  asJson,
  change,
  jsonFile,
  print,
  secretFromStdin,
  withStorage,
} from '../run.ts';
import { assertLongEnough, refuseFixed, validate } from './metadata.ts';

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

export function addAddCommand(client: Command): void {
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
          await change(storage, (database) =>
            addClient(database, { storage, origin: commandLine }, metadata),
          );
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
}

async function givenMetadata(id: string, options: AddOptions): Promise<ClientMetadata> {
  const file = options.metadata === undefined ? {} : await jsonFile('--metadata', options.metadata);
  refuseFixed(file);
  const grants = options.grant?.map((name) => grantNames[name] ?? name);
  return completedMetadata({
    client_id: id,
    ...(grants?.includes(cibaGrant) ? { backchannel_token_delivery_mode: 'poll' } : {}),
    ...(grants === undefined ? {} : { grant_types: grants }),
    ...(options.public ? { token_endpoint_auth_method: 'none' } : {}),
    ...(options.redirectUri ? { redirect_uris: options.redirectUri } : {}),
    ...(options.name === undefined ? {} : { client_name: options.name }),
    ...file,
  });
}
