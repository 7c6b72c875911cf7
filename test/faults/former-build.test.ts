// An upgrade, process by process: the build before refresh tokens of the second form and this one serve one database.
// A client may meet either at any time.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type TestDatabase, createRole } from '../support/database.ts';
import { type ProviderProcess, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, refreshAt } from '../support/token-endpoint.ts';
import { addAccount } from '../../src/accounts/accounts.ts';
import { until } from '../database/processes.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const FORMER = '17b43564a2'; // the last commit whose tokens have the first form alone
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

const former = formerBuild();

describe.skipIf(!former)('beside processes of the former build', () => {
  let database: TestDatabase;
  let old: ProviderProcess;
  let fresh: ProviderProcess;
  const { client_id: id, client_secret: password } = webClient;
  const web = { client_id: id, client_secret: password };
  const at = async (server: ProviderProcess, token: string) => {
    const { status, body } = await refreshAt(server.url, token, web);
    expect({ status, error: body.error_description }).toEqual({ status: 200, error: undefined });
    return body.refresh_token ?? '';
  };

  beforeAll(async () => {
    database = await createRole();
    const settings = {
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ISSUER: 'http://localhost:1',
    };
    old = await startProcess(settings, former);
    fresh = await startProcess(settings);
    const prisma = connect(database.url);
    await addAccount(prisma, person, { admin: false });
    const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(prisma, new Keyring([secret]), client);
    await prisma.$disconnect();
  });
  afterAll(async () => {
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

  test('once the former build is gone, tokens have the second form, and those of the first are answered', async () => {
    const [first, other] = [await newFamily(old.url, web), await newFamily(fresh.url, web)];
    const second = await at(fresh, first);
    expect(second).not.toMatch(/^symr_/);
    await old.end();
    let token = other;
    await until(async () => (token = await at(fresh, token)).startsWith('symr_'));
    const third = await at(fresh, second);
    expect(third).toMatch(new RegExp(`^symr_${familyIdOf(first)}\\.2\\.`));
    expect(await at(fresh, second)).toBe(third); // a retry with a token of the first form
    // Two generations back it shows nothing by itself any more: it is refused, and ends nothing.
    const fourth = await at(fresh, third);
    expect((await refreshAt(fresh.url, second, web)).body.error).toBe('invalid_grant');
    await at(fresh, fourth);
  });
});
