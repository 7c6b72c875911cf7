// The whole provider on a real HTTP server and a database of its own, in this process.
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { addAccount } from '../../src/accounts/accounts.ts';
import { type App, createApp } from '../../src/app.ts';
import { type Config, type Environment, readConfig } from '../../src/config/config.ts';
import { connect, connectPrepared } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { createLog } from '../../src/operations/log.ts';
import type { Mailer } from '../../src/mail/mailer.ts';
import type { Engine } from '../../src/provider/engine.ts';
import type { KeyRotation } from '../../src/provider/key-rotation.ts';
import { type ClientMetadata, insertClient } from '../../src/storage/clients.ts';
import { type Storage, createStorage } from '../../src/storage/storage.ts';
import { type TestDatabase, createDatabase } from './database.ts';

export const secret = 'a secret for tests that is long enough';

export const person = {
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  password: 'correct horse battery',
};
export const webClient = {
  client_id: 'web',
  client_secret: 'the secret of the web client',
  client_name: 'Notes',
  redirect_uris: ['http://localhost:4000/callback'],
  post_logout_redirect_uris: ['http://localhost:4000/'],
  grant_types: ['authorization_code', 'refresh_token'],
};
export const publicClient = {
  client_id: 'spa',
  client_name: 'Sketches',
  redirect_uris: ['http://localhost:4001/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'none',
};

export interface TestProvider {
  readonly issuer: string;
  readonly config: Config;
  readonly storage: Storage;
  readonly databaseUrl: string;
  readonly accountId: string;
  readonly outgoing: App['outgoing'];
  readonly mailer: Mailer;
  readonly engine: Engine;
  readonly keyRotation: KeyRotation;
  addClient(metadata: ClientMetadata): Promise<void>;
  close(): Promise<void>;
}

export interface Options {
  readonly environment?: Environment;
  /** The issuer's path. */
  readonly path?: string;
  readonly clients?: readonly ClientMetadata[];
  readonly wrap?: (storage: Storage) => Storage;
  /** Instead of a new one from the template. */
  readonly database?: TestDatabase;
}

export async function startProvider(options: Options = {}): Promise<TestProvider> {
  const database = options.database ?? (await createDatabase());
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  const config = readConfig({
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${port}${options.path ?? ''}`,
    PORT: String(port),
    ...options.environment,
  });
  const pool = connectPrepared(database.url);
  const prisma = connect(database.url);
  const plain = createStorage({ prisma, pool, keyring: new Keyring(config.secrets ?? []) });
  const storage = options.wrap?.(plain) ?? plain;
  const { koa, outgoing, mailer, engine, keyRotation } = await createApp({
    config,
    storage,
    log: createLog(process.env['TEST_LOG'] ?? 'silent'),
  });
  koa.silent = true;
  const handle = koa.callback();
  server.on('request', (request, response) => void handle(request, response));

  const account = await addAccount(prisma, person, { admin: false });
  const addClient = (metadata: ClientMetadata) => insertClient(prisma, plain.keyring, metadata);
  for (const client of options.clients ?? [webClient, publicClient]) await addClient(client);

  return {
    issuer: config.issuer,
    config,
    storage: plain,
    databaseUrl: database.url,
    accountId: account.id,
    outgoing,
    mailer,
    engine,
    keyRotation,
    addClient,
    async close() {
      await closed(server);
      await prisma.$disconnect();
      if (!pool.ending) await pool.end(); // a test may have done so
      await database.drop();
    },
  };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) =>
    server.close(() => {
      resolve();
    }),
  );
}
