// A person leaves a group while their application refreshes, exchanges a code or is changed itself: on three real
// processes, and each order that a lock can make. Nothing that needs the group outlives the leaving.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { addGroup, joinGroups, leaveGroup } from '../../src/accounts/groups.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { commandLine } from '../../src/storage/origin.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/folder.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';
import { hold, queued, rounds } from './locks.ts';

const ROUNDS = rounds(8); // in a second or two; TEST_LONG=1 does eighty
const grants = [...webClient.grant_types, 'password'];
const client = { ...webClient, grant_types: grants, allowed_groups: ['staff'] };

let database: TestDatabase;
let prisma: PrismaClient;
let processes: ProviderProcess[];
let environment: Record<string, string>;
let accountId: string;

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  processes = await Promise.all([1, 2, 3].map(() => startProcess(environment)));
  prisma = connect(database.url);
  accountId = (await addAccount(prisma, person, { admin: false })).id;
  await insertClient(prisma, new Keyring([secret]), client);
  await prisma.$transaction((transaction) => addGroup(transaction, parts(), { name: 'staff' }));
});
afterAll(async () => {
  await Promise.all(processes.map((process) => process.end()));
  await prisma.$disconnect();
  await database.drop();
});

const parts = () => {
  const storage = { prisma, keyring: new Keyring([secret]), now: () => new Date() };
  return { storage: storage as unknown as Storage, origin: commandLine };
};
const at = (index: number): string => processes[index % processes.length]?.url ?? '';
const join = () =>
  prisma.$transaction((transaction) => joinGroups(transaction, parts(), accountId, ['staff']));
const leave = () =>
  prisma.$transaction((transaction) => leaveGroup(transaction, parts(), accountId, 'staff'));
const familyOf = (token: string) =>
  prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });
const isActive = async (token: string, index: number) =>
  ((await post(`${at(index)}/introspect`, { token })).body as { active?: boolean }).active;

describe('a person leaves', () => {
  test('while their token is refreshed everywhere: whoever was first, it is over', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await join();
      const token = await newFamily(at(0));
      const requests = Array.from({ length: 6 }, (_, index) => refreshAt(at(index), token));
      const left = leave();
      const answers = await Promise.all(requests);
      await left;
      expect(await familyOf(token)).toMatchObject({ endReason: 'access_withdrawn' });
      for (const { status, body } of answers) {
        expect([200, 400]).toContain(status);
        if (status === 400) expect(body.error).toBe('invalid_grant');
      }
      const last = answers.find(({ status }) => status === 200)?.body;
      const held = last?.refresh_token ?? token;
      expect((await refreshAt(at(round), held)).body.error_description).toMatch(
        /^access_withdrawn/,
      );
      if (last?.access_token !== undefined)
        expect(await isActive(last.access_token, round)).toBe(false);
    }
  });

  test('while they sign in everywhere: what was issued is worth nothing', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await join();
      const started = newFamily(at(round)).catch(() => undefined);
      await leave();
      const token = await started;
      if (token === undefined) continue;
      const { status, body } = await refreshAt(at(round + 1), token);
      expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_grant' });
      expect(await isActive(token, round + 2)).toBe(false);
    }
  });

  test('and a refresh at its commit waits, and is refused', async () => {
    await join();
    const token = await newFamily(at(0));
    const { grantId } = await familyOf(token);
    // Holding the grant lets the refresh read, and keeps both from writing: the leaving comes first.
    const grant = await hold(database.url, 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE', [
      grantId,
    ]);
    const left = leave();
    await queued(grant.holder, 1);
    const refreshing = refreshAt(at(1), token);
    await queued(grant.holder, 2);
    await grant.release();
    await left;
    expect((await refreshing).body).toMatchObject({
      error: 'invalid_grant',
      error_description: expect.stringMatching(/^access_withdrawn/) as string,
    });
    expect(await familyOf(token)).toMatchObject({ endReason: 'access_withdrawn', generation: 0 });
  });

  test('and a refresh whose commit comes first is answered, and ends with the rest', async () => {
    await join();
    const token = await newFamily(at(0));
    const { grantId } = await familyOf(token);
    const grant = await hold(database.url, 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE', [
      grantId,
    ]);
    const refreshing = refreshAt(at(1), token);
    await queued(grant.holder, 1);
    const left = leave();
    await queued(grant.holder, 2);
    await grant.release();
    const { status, body } = await refreshing;
    await left;
    expect(status).toBe(200);
    expect(await familyOf(token)).toMatchObject({ endReason: 'access_withdrawn', generation: 1 });
    expect(await isActive(body.access_token ?? '', 2)).toBe(false);
    expect((await refreshAt(at(2), body.refresh_token ?? '')).body.error).toBe('invalid_grant');
  });
});

test('leaving one group while the application takes the other from its list ends it', async () => {
  await prisma.$transaction((transaction) => addGroup(transaction, parts(), { name: 'board' }));
  const file = await (await temporaryFolder()).put('f.json', '{ "allowed_groups": ["staff"] }');
  for (let round = 0; round < Math.ceil(ROUNDS / 25); round++) {
    await prisma.$executeRaw`
      UPDATE client SET metadata = metadata || '{"allowed_groups": ["staff", "board"]}'`;
    await join();
    await prisma.$transaction((transaction) =>
      joinGroups(transaction, parts(), accountId, ['board']),
    );
    const token = await newFamily(at(0));
    const update = run(
      ['src/cli.ts', 'client', 'update', client.client_id, '--metadata', file],
      environment,
    );
    const [{ code, stderr }] = await Promise.all([update, leave()]);
    expect({ code, stderr: stderr.replace(/^Warning: .*\n/gm, '') }).toEqual({
      code: 0,
      stderr: '',
    });
    expect(await familyOf(token)).toMatchObject({ endReason: 'access_withdrawn' });
  }
});
