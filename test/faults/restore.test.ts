// The database forgets: a dump is restored after hundreds of clients went on. Each goes on with what it holds; who kept
// a used-up token is noticed; what had ended stays ended.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { addAccount } from '../../src/accounts/accounts.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { familiesLike } from '../support/many-families.ts';
import { type OwnPostgres, ownPostgres, programs } from '../support/own-postgres.ts';
import { type ProviderProcess, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, refreshAt } from '../support/token-endpoint.ts';

const CHAINS = process.env['TEST_LONG'] === undefined ? 200 : 2000;
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

/** An honest client: every token that it was given, the last one being what it holds. */
type Chain = string[];
const held = (chain: Chain): string => chain.at(-1) ?? '';

describe.skipIf(!programs)('a dump is restored', () => {
  let server: OwnPostgres;
  let provider: ProviderProcess;
  let chains: Chain[];
  let revoked: string;
  let backupAt: Date;

  const settings = (database: string) => ({
    DATABASE_URL: server.urlOf(database),
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    SYMBOLON_ACCESS_TOKEN_TTL: '60',
  });
  const present = async (token: string) => refreshAt(provider.url, token);
  const go = async (chain: Chain) => {
    const { status, body } = await present(held(chain));
    expect({ status, error: body.error_description }).toEqual({ status: 200, error: undefined });
    chain.push(body.refresh_token ?? '');
  };
  /** Some turns of each client, several clients at once. @param turns of the client with this number */
  const goOn = async (turns: (index: number) => number) => {
    const waiting = chains.map((chain, index) => ({ chain, turns: turns(index) }));
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let next = waiting.pop(); next; next = waiting.pop())
          for (let turn = 0; turn < next.turns; turn++) await go(next.chain);
      }),
    );
  };

  beforeAll(async () => {
    server = await ownPostgres();
    await server.run('createdb', 'before');
    provider = await startProcess(settings('before'));
    const prisma = connect(server.urlOf('before'));
    const keyring = new Keyring([secret]);
    await addAccount(prisma, person, { admin: false });
    const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(prisma, keyring, web);
    revoked = await newFamily(provider.url);
    const row = await prisma.refreshFamily.findUniqueOrThrow({
      where: { id: familyIdOf(revoked) },
    });
    chains = (await familiesLike({ prisma, keyring }, row, CHAINS)).map((token) => [token]);
    await run(['src/cli.ts', 'family', 'revoke', familyIdOf(revoked)], settings('before'));

    await goOn((index) => index % 3);
    backupAt = new Date();
    await server.run('pg_dump', '-Fc', '-f', `${server.folder}/dump`, 'before');
    await goOn((index) => 2 + (index % 4));
    await prisma.$disconnect();
    await provider.end();

    await server.run('createdb', 'after');
    await server.run('pg_restore', '-d', 'after', `${server.folder}/dump`);
    provider = await startProcess(settings('after'));
  });
  afterAll(async () => {
    await provider.end();
    await server.remove();
  });

  test('every client goes on with what it holds, without an alarm', async () => {
    const noticed = chains.length - 20; // the last twenty are for the thieves below
    const honest = chains.slice(0, noticed);
    for (const chain of honest) await go(chain);
    for (const chain of honest) await go(chain);
    const prisma = connect(server.urlOf('after'));
    const ids = honest.map((chain) => familyIdOf(held(chain)));
    const caughtUp = await prisma.auditEvent.groupBy({
      by: ['familyId'],
      where: { type: 'family.caught_up', familyId: { in: ids } },
      _count: true,
    });
    expect(caughtUp.length).toBe(honest.length);
    expect(new Set(caughtUp.map(({ _count: count }) => count))).toEqual(new Set([1]));
    expect(
      await prisma.auditEvent.count({
        where: { type: { in: ['refresh.refused', 'family.ended'] }, familyId: { in: ids } },
      }),
    ).toBe(0);
    expect(await prisma.delivery.count({ where: { channel: 'mail' } })).toBe(0);
    await prisma.$disconnect();
  });

  test('two of a client’s processes at once catch up once, with one successor', async () => {
    for (const chain of chains.slice(-20, -16)) {
      const answers = await Promise.all([1, 2, 3].map(() => present(held(chain))));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      const next = new Set(answers.map(({ body }) => body.refresh_token));
      expect(next.size).toBe(1);
      chain.push([...next][0] ?? '');
      await go(chain);
    }
  });

  test('a client whose answer was lost comes with the token before: the same successor', async () => {
    for (const chain of chains.slice(-16, -12)) {
      const [before = '', last = ''] = chain.slice(-2);
      const { status, body } = await present(before);
      expect({ status, token: body.refresh_token }).toEqual({ status: 200, token: last });
      await go(chain);
    }
  });

  test('a thief with a used-up token of after the backup, who comes first', async () => {
    for (const chain of chains.slice(-12, -6)) {
      const stolen = chain.at(-3) ?? '';
      const first = await present(stolen); // answered: it is ahead of the row
      expect(first.status).toBe(200);
      await go(chain); // the honest client, once
      expect((await present(first.body.refresh_token ?? '')).body.error_description).toMatch(
        /^(reuse|rotated_beyond_window)/,
      );
      expect((await present(held(chain))).body.error_description).toMatch(/^reuse/);
    }
  });

  test('a thief who comes after the honest client', async () => {
    for (const chain of chains.slice(-6)) {
      const stolen = chain.at(-2) ?? '';
      await go(chain);
      await go(chain);
      expect((await present(stolen)).body.error_description).toMatch(/^reuse/);
      expect((await present(held(chain))).body.error_description).toMatch(/^reuse/);
    }
  });

  test('what had ended before stays ended; commands end what may have ended since', async () => {
    expect((await present(revoked)).body.error_description).toMatch(/^revoked_by_admin/);
    const started = await newFamily(provider.url);
    const unused = await newFamily(provider.url);
    await present(started);
    const prisma = connect(server.urlOf('after'));
    const unusedSince = new Date(Date.now() - 86_400_000);
    await prisma.refreshFamily.update({
      where: { id: familyIdOf(unused) },
      data: { lastUsedAt: new Date(unusedSince.getTime() - 1) },
    });
    await prisma.$disconnect();
    const revoke = (option: string, time: string) =>
      run(['src/cli.ts', 'family', 'revoke', option, time, '--json'], settings('after'));
    expect(
      JSON.parse((await revoke('--used-before', unusedSince.toISOString())).stdout),
    ).toMatchObject({
      ended: 1,
    });
    expect((await present(unused)).body.error_description).toMatch(/^revoked_by_admin/);
    expect((await refreshAt(provider.url, held(chains[0] ?? []))).status).toBe(200);
    const again = await newFamily(provider.url);
    expect(
      JSON.parse((await revoke('--issued-after', backupAt.toISOString())).stdout),
    ).toMatchObject({
      ended: 2,
    });
    expect((await present(again)).status).toBe(400);
    expect((await revoke('--used-before', 'yesterday')).stderr).toContain('A time looks like');
  });
});
