// A standby that lags takes over: the primary is killed under load, and what the standby has not heard of is
// forgotten. Every client goes on with what it holds, at the same processes of the provider.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { familiesLike } from '../support/many-families.ts';
import { ownPostgres, programs } from '../support/own-postgres.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, refreshAt } from '../support/token-endpoint.ts';
import { HonestClient, generationOf, randomBy } from './clients.ts';
import { rounds, until } from './locks.ts';

const CLIENTS = rounds(24);
const PROCESSES = 3;
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1e9);

describe.skipIf(!programs)(`a standby that lags takes over (TEST_SEED=${seed})`, () => {
  const random = randomBy(seed);
  const ends: (() => Promise<unknown>)[] = []; // of what was started, however far that went
  let processes: ProviderProcess[];
  let prisma: PrismaClient; // of the standby
  let clients: HonestClient[];
  /** What the standby knows when the primary is killed: the generation of each family. */
  let known: Map<string, number>;

  const anywhere = () => processes[Math.floor(random() * PROCESSES)]?.url ?? '';
  const somewhere = () => (random() < 0.1 ? [anywhere(), anywhere()] : [anywhere()]);

  beforeAll(async () => {
    const primary = await ownPostgres();
    ends.push(primary.remove);
    const standby = await ownPostgres([], primary);
    ends.push(standby.remove);
    await primary.run('createdb', 'symbolon');
    const hosts = [primary, standby].map(({ port }) => `127.0.0.1:${port}`).join(',');
    const environment = {
      DATABASE_URL: `postgresql://postgres@${hosts}/symbolon?sslmode=disable&target_session_attrs=read-write`,
      SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      LOG_LEVEL: 'warn',
    };
    processes = await Promise.all(
      Array.from({ length: PROCESSES }, () => startProcess(environment)),
    );
    ends.push(() => Promise.all(processes.map((process) => process.end())));
    const former = connect(primary.urlOf('symbolon'));
    const keyring = new Keyring([secret]);
    await addAccount(former, person, { admin: false });
    const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(former, keyring, web);
    const first = await newFamily(anywhere());
    const row = await former.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(first) } });
    const tokens = await familiesLike({ prisma: former, keyring }, row, CLIENTS);
    clients = tokens.map((token) => new HonestClient(token));
    prisma = connect(standby.urlOf('symbolon'));
    ends.push(() => prisma.$disconnect());

    // Refreshed all the while, whatever happens; of four clients one rests.
    let isOver = false;
    const busy = clients.filter((_, index) => index % 4 > 0);
    for (const client of clients) await client.refresh(somewhere());
    const load = busy.map(async (client) => {
      while (!isOver) await client.refresh(somewhere());
    });
    const allGoOn = async () => {
      const from = busy.map(({ tokens }) => tokens.length);
      await until(() => {
        for (const { child, output } of processes)
          if (child.exitCode !== null) throw new Error(`a process has ended:\n${output()}`);
        return Promise.resolve(
          busy.every((client, index) => client.tokens.length > (from[index] ?? 0) + 2),
        );
      }, 'every busy client goes on');
    };
    await allGoOn();

    // The standby has heard of all that those who rest have done; then it hears no more.
    const [at] = await former.$queryRaw<
      { lsn: string }[]
    >`SELECT pg_current_wal_lsn()::text AS lsn`;
    await former.$disconnect();
    await until(async () => {
      const [state] = await prisma.$queryRaw<{ hasIt: boolean }[]>`SELECT
        pg_last_wal_replay_lsn() >= ${at?.lsn}::text::pg_lsn AS "hasIt"`;
      return state?.hasIt === true;
    }, 'the standby has what was done so far');
    await standby.run('psql', '-qc', "ALTER SYSTEM SET primary_conninfo = ''");
    await standby.run('psql', '-qc', 'SELECT pg_reload_conf()');
    // It has replayed all whole records, and looks now and then whether there are more.
    await until(async () => {
      const [state] = await prisma.$queryRaw<{ isOver: boolean }[]>`SELECT
        NOT EXISTS (SELECT FROM pg_stat_wal_receiver) AND
        EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup'
          AND wait_event = 'RecoveryRetrieveRetryInterval') AS "isOver"`;
      return state?.isOver === true;
    }, 'the standby has stopped to follow');
    const rows = await prisma.refreshFamily.findMany({ select: { id: true, generation: true } });
    known = new Map(rows.map(({ id, generation }) => [id, generation]));
    await allGoOn();

    await primary.kill();
    await standby.run('pg_ctl', '-D', standby.data, '-w', '-t', '600', 'promote');
    await allGoOn();
    isOver = true;
    await Promise.all(load);
    // Some connections of the provider break only now.
    for (const client of clients) await until(() => client.refresh([anywhere()]), 'each goes on');
  });
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  });

  const idsOf = (some: HonestClient[]) => some.map(({ id }) => id);

  test('every client went on with what it held, and none has two successors', async () => {
    expect(clients.flatMap(({ faults }) => faults)).toEqual([]);
    const rows = await prisma.refreshFamily.findMany({ where: { id: { in: idsOf(clients) } } });
    expect(rows.filter(({ endedAt }) => endedAt !== null)).toEqual([]);
    expect(new Map(rows.map(({ id, generation }) => [id, generation]))).toEqual(
      new Map(clients.map(({ id, held }) => [id, generationOf(held)])),
    );
  });

  test('one event of a family that was ahead, and no alarm', async () => {
    const busy = clients.filter((_, index) => index % 4 > 0);
    const events = await prisma.auditEvent.findMany({ where: { type: 'family.caught_up' } });
    const told = events.map(({ familyId, detail }) => ({ familyId, ...(detail as object) }));
    expect(events.length).toBe(busy.length);
    for (const { id } of busy)
      expect(told).toContainEqual({
        ...{ familyId: id, from: known.get(id) },
        to: expect.any(Number) as number,
      });
    expect(
      await prisma.auditEvent.count({
        where: { type: { in: ['refresh.refused', 'family.ended', 'refresh.retried_elsewhere'] } },
      }),
    ).toBe(0);
    expect(await prisma.delivery.count({ where: { channel: 'mail' } })).toBe(0);
  });

  test('a used-up token of what was forgotten is reuse, as ever', async () => {
    const client = clients[1];
    const stolen = client?.tokens.at(-4) ?? '';
    expect(generationOf(stolen)).toBeGreaterThan(known.get(client?.id ?? '') ?? Infinity);
    expect((await refreshAt(anywhere(), stolen)).body.error_description).toMatch(/^reuse/);
    expect((await refreshAt(anywhere(), client?.held ?? '')).body.error_description).toMatch(
      /^reuse/,
    );
  });
});
