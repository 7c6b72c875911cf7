// symbolon client: secrets, URIs one by one, another way to authenticate, keeping an application out - real commands.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAccount } from '../src/accounts/accounts.ts';
import { connect } from '../src/database/open.ts';
import type { PrismaClient } from '../src/generated/client.ts';
import { Keyring } from '../src/keys/keyring.ts';
import { insertClient } from '../src/storage/clients.ts';
import { commandsWith } from './support/commands.ts';
import { type TestDatabase, createDatabase } from './support/database.ts';
import { temporaryFolder } from './support/folder.ts';
import { type ProviderProcess, freePort, startProcess } from './support/process.ts';
import { person, secret, webClient } from './support/provider.ts';
import { newFamily, refreshAt } from './support/token-endpoint.ts';

let database: TestDatabase;
let environment: Record<string, string>;
let server: ProviderProcess;
let prisma: PrismaClient;
const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), web);
  const issuer = `http://localhost:${await freePort()}`;
  server = await startProcess({ ...environment, SYMBOLON_ISSUER: issuer });
});
afterAll(async () => {
  await server.end();
  await prisma.$disconnect();
  await database.drop();
});

const { symbolon } = commandsWith(() => environment);
const client = (...args: string[]) => symbolon(['client', ...args]);
const json = async <T>(...args: string[]): Promise<T> => {
  const { code, stdout, stderr } = await client(...args, '--json');
  expect({ args, code, stderr: stderr.replace(/^Warning: .*\n/gm, '') }).toEqual({
    ...{ args, code: 0, stderr: '' },
  });
  return JSON.parse(stdout) as T;
};
interface Made {
  readonly id: string;
  readonly client_secret: string;
}

test(
  'one secret takes the place of another while everything goes on',
  { timeout: 600_000 },
  async () => {
    let held = await newFamily(server.url, web);
    const refresh = async (as: { client_secret: string }) => {
      const { status, body } = await refreshAt(server.url, held, { client_id: 'web', ...as });
      if (status === 200) held = body.refresh_token ?? '';
      return body.error ?? status;
    };
    const made = await json<Made>('secret', 'add', 'web', '--expires', '90d');
    expect(await refresh(web)).toBe(200);
    expect(await refresh(made)).toBe(200);
    const list = await json<(Made & Record<string, unknown>)[]>('secret', 'list', 'web');
    expect(list).toMatchObject([
      { expires_at: null, expired: false },
      { id: made.id, expired: false, last_used_user_agent: 'node' },
    ]);
    const until = new Date(String(list[1]?.['expires_at'])).getTime() - Date.now();
    expect(Math.round(until / 86_400_000)).toBe(90);
    expect(JSON.stringify(list)).not.toContain(made.client_secret);
    expect(await json('secret', 'remove', 'web', list[0]?.id ?? '')).toMatchObject({
      removed: true,
    });
    expect(await refresh(web)).toBe('invalid_client');
    expect(await refresh(made)).toBe(200);
    const last = await client('secret', 'remove', 'web', made.id);
    expect(last.stderr).toContain('is the only secret of web');
    expect((await client('secret', 'remove', 'web', '01234567')).stderr).toContain('has no secret');
    expect((await client('secret', 'add', 'none')).stderr).toContain('There is no client "none".');
    expect((await client('secret', 'add', 'web', '--expires', 'soon')).stderr).toContain('90d');

    // Kept out for a while.
    await json('disable', 'web', '--reason', 'moving');
    expect(await refresh(made)).toBe('unauthorized_client');
    await json('enable', 'web');
    expect(await refresh(made)).toBe(200);

    // Another way to authenticate: what was issued goes on.
    const folder = await temporaryFolder();
    const update = async (metadata: object) =>
      json<Made>('update', 'web', '--metadata', await folder.put('f', JSON.stringify(metadata)));
    expect(await update({ token_endpoint_auth_method: 'client_secret_post' })).not.toHaveProperty(
      'client_secret',
    );
    const signed = await update({ token_endpoint_auth_method: 'client_secret_jwt' });
    expect(signed.client_secret).toHaveLength(43); // of the others only hashes are there
    expect((await client('secret', 'add', 'web')).stderr).toContain(
      'With client_secret_jwt it has one',
    );
    expect(await update({ token_endpoint_auth_method: 'none' })).not.toHaveProperty(
      'client_secret',
    );
    expect((await client('secret', 'add', 'web')).stderr).toContain('none does not use one');
    const { status, body } = await refreshAt(server.url, held, { client_id: 'web' });
    expect(status).toBe(200);
    held = body.refresh_token ?? '';
    const back = await update({ token_endpoint_auth_method: 'client_secret_basic' });
    expect(await refresh(back)).toBe(200);

    const more = 'https://notes.example/callback';
    const uris = await json<Record<string, unknown>>(
      ...['update', 'web', '--add-redirect-uri', more],
      ...['--remove-redirect-uri', ...web.redirect_uris, '--add-post-logout-redirect-uri', more],
    );
    expect(uris).toMatchObject({
      redirect_uris: [more],
      post_logout_redirect_uris: [...web.post_logout_redirect_uris, more],
    });
    const gone = await client('update', 'web', '--remove-redirect-uri', ...web.redirect_uris);
    expect(gone.stderr).toContain('is not registered, so it cannot be removed');
    expect((await client('update', 'web')).stderr).toContain('Nothing to change');
    const events = await prisma.auditEvent.findMany({
      where: { clientId: 'web', actorKind: 'operator' },
      orderBy: { id: 'asc' },
    });
    expect(events.map(({ type }) => type)).toEqual([
      ...['client.secret_added', 'client.secret_removed', 'client.disabled', 'client.enabled'],
      ...Array.from({ length: 5 }, () => 'client.changed'),
    ]);
    expect(JSON.stringify(events.map(({ detail }) => detail))).not.toContain(signed.client_secret);
  },
);

test(
  'what a setting has to allow is refused with the setting’s name',
  { timeout: 120_000 },
  async () => {
    const folder = await temporaryFolder();
    const refused = async (args: string[], metadata?: object) => {
      const file = metadata && (await folder.put('m.json', JSON.stringify(metadata)));
      const { code, stderr } = await client(
        ...['add', 'new', ...args, ...(file === undefined ? [] : ['--metadata', file])],
      );
      expect(code).toBe(1);
      return stderr;
    };
    for (const [grant, setting] of [
      ['ciba', 'SYMBOLON_ENABLE_CIBA=true'],
      ['token_exchange', 'SYMBOLON_ENABLE_TOKEN_EXCHANGE=true'],
    ])
      expect(await refused(['--grant', grant ?? ''])).toMatch(
        new RegExp(`^The client's metadata was refused: .* with the setting ${setting}\\.\n$`),
      );
    const uri = ['--redirect-uri', 'https://new.example/callback'];
    const stderr = await refused(uri, {
      id_token_encrypted_response_alg: 'RSA-OAEP',
      backchannel_token_delivery_mode: 'poll',
      favourite_colour: 'blue',
    });
    expect(stderr.split('\n')).toEqual([
      ...['id_token_encrypted_response_alg', 'backchannel_token_delivery_mode'].map(
        (name, index) =>
          `${name}: not known as client metadata while ${['SYMBOLON_ENABLE_ENCRYPTION', 'SYMBOLON_ENABLE_CIBA'][index] ?? ''}=true is not set.`,
      ),
      expect.stringMatching(
        /^favourite_colour: not known as client metadata. Known: allowed_groups, /,
      ),
      '',
    ]);
    expect(await refused(uri, { id_token_signed_response_alg: 'EdDSA' })).toContain(
      'SYMBOLON_SIGNING_ALGORITHMS',
    );
    environment['SYMBOLON_ENABLE_CIBA'] = 'true';
    const made = await json('add', 'asker', '--grant', 'ciba');
    delete environment['SYMBOLON_ENABLE_CIBA'];
    expect(made).toMatchObject({ backchannel_token_delivery_mode: 'poll' });
  },
);
