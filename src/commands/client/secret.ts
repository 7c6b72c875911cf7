// symbolon client secret: a client may have several secrets at a time, so that one is replaced without an outage.
import { type Command, InvalidArgumentError } from 'commander';
import { createOfflineProvider } from '../../provider/offline-provider.ts';
import type { OwnMetadata } from '../../provider/own-metadata.ts';
import {
  type ClientSecret,
  hashedSecret,
  newClientSecret,
  parseSecrets,
} from '../../storage/client-secrets.ts';
import {
  changeSecrets,
  findClient,
  isDocument,
  lockClient,
  replaceClientSecret,
} from '../../storage/clients.ts';
import { secretUses } from '../../storage/secret-uses.ts';
import { epoch } from '../../storage/storage.ts';
import {
  CommandError,
  asJson,
  change,
  date,
  print,
  secretFromStdin,
  table,
  withStorage,
} from '../run.ts';
import { assertLongEnough, noClient } from './metadata.ts';

export function addSecretCommand(client: Command): void {
  const secret = client.command('secret').description('the secrets of an application');

  secret
    .command('add')
    .description(
      'give an application one more secret; one that is not given is made and shown once',
    )
    .argument('<client_id>')
    .option('--expires <when>', 'a time, or after how long: 2027-01-31T00:00:00Z, 90d, 12h', timeOf)
    .option('--secret-stdin', 'read the secret from standard input')
    .option(...asJson)
    .action(async (id: string, { expires, secretStdin, json }: AddOptions) => {
      const given = secretStdin ? await secretFromStdin('client secret') : undefined;
      await withStorage(async ({ storage }) => {
        const now = epoch(storage.now());
        const expiresAt = expires?.(now) ?? 0;
        if (expires && expiresAt <= now) throw new CommandError('--expires: has passed already');
        const value = given ?? newClientSecret();
        const made = hashedSecret(value, now, expiresAt);
        await change(storage, async (database, record) => {
          const isThere = await changeSecrets(
            database,
            storage.keyring,
            id,
            (secrets = [], metadata) => {
              const why = whyNone(metadata);
              if (why !== '') throw new CommandError(`${id} cannot have another secret. ${why}`);
              if (given !== undefined) assertLongEnough(given, metadata);
              return [...secrets, made];
            },
          );
          if (!isThere) throw noClient(id);
          const detail = { secret: made.id, expires_at: timeIn(expiresAt)?.toISOString() ?? null };
          await record({ type: 'client.secret_added', clientId: id, detail });
        });
        print(
          json,
          { ...secretFacts(made), ...(given === undefined ? { client_secret: value } : {}) },
          given === undefined
            ? `Added the secret ${made.id} of ${id}.\n\n  client_secret  ${value}\n\nIt is shown this once; it cannot be read back. The others go on working.`
            : `Added the secret ${made.id} of ${id}. The others go on working.`,
        );
      });
    });

  secret
    .command('list')
    .description('list the secrets of an application, and when and from where each was last used')
    .argument('<client_id>')
    .option(...asJson)
    .action((id: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage: { prisma, keyring, now } }) => {
        const found = await findClient(prisma, keyring, id);
        if (!found) throw noClient(id);
        const stored = found.client_secret;
        const uses = await secretUses(prisma, id);
        const kept: ClientSecret[] =
          stored === undefined ? [] : (parseSecrets(stored) ?? [{ ...asItIs, salt: '', hash: '' }]);
        const facts = kept.map((one) => {
          const use = uses.get(one.id);
          return {
            ...secretFacts(one),
            expired: one.expiresAt !== 0 && one.expiresAt <= epoch(now()),
            last_used_at: use?.at ?? null,
            last_used_ip: use?.ip ?? null,
            last_used_user_agent: use?.userAgent ?? null,
          };
        });
        const rows = facts.map((one) => [
          one.id || '(kept as it is)',
          date(one.created_at),
          one.expires_at ? `${date(one.expires_at)}${one.expired ? ', expired' : ''}` : 'never',
          one.last_used_at ? date(one.last_used_at) : 'not since this was noted',
          [one.last_used_ip, one.last_used_user_agent].filter(Boolean).join(' '),
        ]);
        print(json, facts, table(['SECRET', 'ADDED', 'EXPIRES', 'LAST USED', 'FROM'], rows));
      }),
    );

  secret
    .command('remove')
    .description('take a secret from an application; what it was given stays')
    .argument('<client_id>')
    .argument('<secret>', 'its name, as client secret list shows it')
    .option(...asJson)
    .action((id: string, name: string, { json }: { json?: boolean }) =>
      withStorage(async ({ storage }) => {
        await change(storage, async (database, record) => {
          const { keyring } = storage;
          const isThere = await changeSecrets(database, keyring, id, (secrets = [], metadata) => {
            if (!secrets.some((one) => one.id === name))
              throw new CommandError(`${id} has no secret ${name}. ${whyNone(metadata)}`.trim());
            if (secrets.length === 1)
              throw new CommandError(
                `${name} is the only secret of ${id}, which could not authenticate without it. Add another first; "symbolon client disable ${id}" keeps it out.`,
              );
            return secrets.filter((one) => one.id !== name);
          });
          if (!isThere) throw noClient(id);
          await record({ type: 'client.secret_removed', clientId: id, detail: { secret: name } });
        });
        print(json, { id: name, removed: true }, `Removed the secret ${name} of ${id}.`);
      }),
    );

  secret
    .command('replace')
    .description('give an application another secret, shown once; the former one ends at once')
    .argument('<client_id>')
    .option('--secret-stdin', 'read the client secret from standard input')
    .option(...asJson)
    .action(
      async (id: string, { secretStdin, json }: { secretStdin?: boolean; json?: boolean }) => {
        const given = secretStdin ? await secretFromStdin('client secret') : undefined;
        await withStorage(async ({ config, storage }) => {
          const { keyring } = storage;
          const provider = createOfflineProvider({ config, storage });
          const value = given ?? newClientSecret();
          await change(storage, async (database, record) => {
            const current = await lockClient(database, keyring, id);
            if (!current && !(await database.client.findUnique({ where: { id } })))
              throw noClient(id);
            if (!current || !provider.needsSecret(current))
              throw new CommandError(`The client "${id}" does not use a secret.`);
            if (given !== undefined) assertLongEnough(given, current);
            await replaceClientSecret(database, keyring, { ...current, client_id: id }, value);
            await record({ type: 'client.secret_changed', clientId: id });
          });
          print(
            json,
            { client_id: id, ...(given === undefined ? { client_secret: value } : {}) },
            given === undefined
              ? `${id} has another secret.\n\n  client_secret  ${value}\n\nIt is shown this once; it cannot be read back.`
              : `${id} has another secret.`,
          );
        });
      },
    );
}

const asItIs = { id: '', createdAt: 0, expiresAt: 0 };

function secretFacts({ id, createdAt, expiresAt }: ClientSecret) {
  return { id, created_at: timeIn(createdAt), expires_at: timeIn(expiresAt) };
}

function timeIn(seconds: number): Date | null {
  return seconds === 0 ? null : new Date(seconds * 1000);
}

/** Why a client's secrets are none of an operator's business. */
function whyNone(metadata: object): string {
  const { token_endpoint_auth_method: method = 'client_secret_basic' } = metadata as OwnMetadata;
  if (isDocument(metadata))
    return 'Its metadata is the document at its address, which cannot have one.';
  if ('client_id_issued_at' in metadata)
    return 'It registered itself, and manages its secret by itself (RFC 7592).';
  if (method === 'client_secret_jwt')
    return 'With client_secret_jwt it has one, which is kept as it is. Change token_endpoint_auth_method, best to private_key_jwt.';
  return method.startsWith('client_secret') ? '' : `${method} does not use one.`;
}

type TimeOf = (now: number) => number;

function timeOf(text: string): TimeOf {
  const [, count, unit] = /^([1-9]\d{0,4})([dh])$/.exec(text) ?? [];
  if (count !== undefined) return (now) => now + Number(count) * (unit === 'd' ? 86_400 : 3600);
  const time = new Date(text).getTime();
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(time))
    throw new InvalidArgumentError('Wants a time like 2027-01-31T00:00:00Z, or 90d, or 12h.');
  return () => Math.floor(time / 1000);
}

interface AddOptions {
  expires?: TimeOf;
  secretStdin?: boolean;
  json?: boolean;
}
