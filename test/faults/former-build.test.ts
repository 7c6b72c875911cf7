// An upgrade, process by process: the build of the minor version before and this one serve one database, while clients
// refresh. A client may meet either at any time.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type TestDatabase, createDatabase, createRole } from '../support/database.ts';
import { type ProviderProcess, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';
import { findAccountByEmail } from '../../src/accounts/accounts.ts';
import { Agent } from '../support/agent.ts';
import { query, until } from '../database/processes.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const FORMER = '69111ca'; // the last commit of 0.1.0
const root = fileURLToPath(new URL('../../', import.meta.url));
const git = (...args: string[]) =>
  execFileSync('git', args, { cwd: root, maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'ignore'] });

/** The former build in a folder of its own; undefined when the history is not there (a shallow clone, an archive). */
function formerBuild(): string | undefined {
  let archive: Buffer;
  try {
    archive = git('archive', FORMER);
  } catch {
    console.warn(`Commit ${FORMER} is not here: the upgrade from it is not tested.`);
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), 'symbolon-former-'));
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  execFileSync(process.execPath, ['scripts/generate.mjs'], { cwd: folder, stdio: 'ignore' });
  return folder;
}

/** A request for the issuer, sent to this process. */
const through = (server: ProviderProcess, asked: URL) =>
  new URL(asked.pathname + asked.search, server.url);

const former = formerBuild();

describe.skipIf(!former)('beside processes of the former build', () => {
  const { client_id: id, client_secret: password } = webClient;
  const web = { client_id: id, client_secret: password };
  let database: TestDatabase;
  let old: ProviderProcess;
  let fresh: ProviderProcess;
  // What a proxy has to send requests to.
  let servers: ProviderProcess[] = [];
  let load: Promise<unknown>;
  let isOver = false;
  const refused: unknown[] = [];
  let refreshes = 0;

  /** Refreshes one chain after the other's answer, at whichever process, until it is over. */
  async function chain(token: string): Promise<void> {
    for (let turn = 0; !isOver; turn++) {
      const server = servers[turn % servers.length] ?? fresh;
      const { status, body } = await refreshAt(server.url, token, web);
      // While the tables are changed, a refresh may have to come again.
      if (status !== 200 && status !== 503) refused.push({ status, body });
      token = body.refresh_token ?? token;
      refreshes++;
    }
  }

  const at = async (server: ProviderProcess, token: string) => {
    const { status, body } = await refreshAt(server.url, token, web);
    expect({ status, error: body.error_description }).toEqual({ status: 200, error: undefined });
    return body.refresh_token ?? '';
  };

  /** Adds the client to the former build's tables: its row is made in tables of this build, which have more columns. */
  async function addClient(url: string) {
    const made = await createDatabase();
    const [here, there] = [connect(made.url), connect(url)];
    const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(here, new Keyring([secret]), client);
    const [row] = await here.client.findMany();
    await there.$executeRaw`
      INSERT INTO client (id, metadata, secret, updated_at)
      VALUES (${row?.id}, ${row?.metadata}, ${row?.secret}, now())`;
    await Promise.all([here.$disconnect(), there.$disconnect()]);
    await made.drop();
  }

  beforeAll(async () => {
    database = await createRole();
    const settings = {
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ISSUER: 'http://localhost:1',
    };
    old = await startProcess(settings, former);
    await addClient(database.url);
    const agent = new Agent(settings.SYMBOLON_ISSUER, (asked) => through(old, asked));
    const link = /http:\/\/localhost:1(\/\S*set-?up\S*)/i.exec(old.output())?.[1] ?? '';
    expect((await agent.submit(await agent.open(link), person)).status).toBe(200);
    servers = [old];
    const tokens: string[] = [];
    for (let chains = 0; chains < 4; chains++) tokens.push(await newFamily(old.url, web));
    load = Promise.all(tokens.map(chain));
    await until(() => refreshes > 40);
    fresh = await startProcess(settings); // migrates, beside them
    servers = [old, fresh];
  });
  afterAll(async () => {
    isOver = true;
    await load;
    await fresh.end();
    await database.drop();
    if (former !== undefined) rmSync(former, { recursive: true, force: true });
  });

  test('a client that meets either is always answered, and a retry has the same answer', async () => {
    for (const started of [old, fresh]) {
      let token = await newFamily(started.url, web);
      for (let turn = 0; turn < 10; turn++) {
        const [one, other] = turn % 2 === 0 ? [old, fresh] : [fresh, old];
        const next = await at(one, token);
        expect(await at(other, token)).toBe(next);
        token = next;
      }
      const both = await Promise.all([at(old, token), at(fresh, token)]);
      expect(both[0]).toBe(both[1]);
      expect(await at(old, both[0])).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    }
  });

  test('a sign-in and its code go on at the other', async () => {
    const verifier = 'v'.repeat(43);
    for (const turn of [0, 1]) {
      const [one, other] = turn === 0 ? [old, fresh] : [fresh, old];
      let asked = turn;
      const agent = new Agent('http://localhost:1', (url) =>
        through(asked++ % 2 === 0 ? old : fresh, url),
      );
      const url = new URL('http://localhost:1/authorize');
      url.search = new URLSearchParams({
        client_id: id,
        redirect_uri: webClient.redirect_uris[0] ?? '',
        response_type: 'code',
        scope: 'openid offline_access',
        prompt: 'consent',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }).toString();
      const code = (await agent.authorize(url)).searchParams.get('code') ?? '';
      const { status, body } = await post(
        `${one.url}/token`,
        {
          grant_type: 'authorization_code',
          code,
          code_verifier: verifier,
          redirect_uri: webClient.redirect_uris[0] ?? '',
        },
        web,
      );
      expect({ status, error: body.error_description }).toEqual({ status: 200, error: undefined });
      await at(other, body.refresh_token ?? '');
    }
  });

  test('accounts that it adds, and addresses that it changes, are found here', async () => {
    const prisma = connect(database.url);
    // What the former build writes.
    await query(
      database.url,
      `INSERT INTO account (id, email, updated_at) VALUES
         ('bob', 'bob@example.com', now()), ('eve', 'eve@example.com', now())`,
    );
    expect((await findAccountByEmail(prisma, 'BOB@example.com'))?.id).toBe('bob');
    await query(database.url, "UPDATE account SET email_ascii = email WHERE id = 'bob'");
    await query(database.url, "UPDATE account SET email = 'bob@example.org' WHERE id = 'bob'");
    expect(await findAccountByEmail(prisma, 'bob@example.com')).toBeNull();
    expect((await findAccountByEmail(prisma, 'bob@example.org'))?.id).toBe('bob');
    await prisma.$disconnect();
  });

  test('once the former build is gone, tokens have the second form, and those of the first are answered', async () => {
    const [first, other] = [await newFamily(old.url, web), await newFamily(fresh.url, web)];
    const second = await at(fresh, first);
    expect(second).not.toMatch(/^symr_/);
    servers = [fresh];
    await old.end();
    // The former address is free again, and both columns agree.
    await until(async () => {
      const [{ stale } = { stale: '' }] = await query<{ stale: string }>(
        database.url,
        'SELECT count(*) AS stale FROM account WHERE email <> email_ascii',
      );
      return stale === '0';
    });
    let token = other;
    await until(async () => (token = await at(fresh, token)).startsWith('symr_'));
    const third = await at(fresh, second);
    expect(third).toMatch(new RegExp(`^symr_${familyIdOf(first)}\\.2\\.`));
    expect(await at(fresh, second)).toBe(third); // a retry with a token of the first form
    // Two generations back it shows nothing by itself any more: it is refused, and ends nothing.
    const fourth = await at(fresh, third);
    expect((await refreshAt(fresh.url, second, web)).body.error).toBe('invalid_grant');
    await at(fresh, fourth);

    isOver = true;
    await load;
    expect(refused).toEqual([]);
    console.log(`${refreshes} refreshes during the upgrade, none refused`);
  });
});
