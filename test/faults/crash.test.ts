// PostgreSQL is killed at random while clients refresh and revoke, and started again, whether or not rotations wait for
// the disk. No client is locked out, none has two successors, no revocation that was acknowledged is lost.
import { describe, expect, onTestFinished, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { familiesLike } from '../support/many-families.ts';
import { ownPostgres, programs } from '../support/own-postgres.ts';
import { freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, post, refreshAt } from '../support/token-endpoint.ts';
import { HonestClient, generationOf, randomBy } from './clients.ts';
import { LONG, until } from './locks.ts';

const KILLS = Number(process.env['TEST_KILLS'] ?? (LONG ? 200 : 6));
const CLIENTS = 16;
const PROCESSES = 2;
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1e9);

describe.skipIf(!programs).each(['durable', 'relaxed'])('rotations that are %s', (commit) => {
  test(`PostgreSQL is killed ${KILLS} times (TEST_SEED=${seed})`, { timeout: 0 }, async () => {
    const random = randomBy(seed);
    // What is not waited for stays in memory as long as it can, so that every kill forgets some of it.
    const server = await ownPostgres([
      '-c',
      'wal_writer_delay=10s',
      '-c',
      'wal_writer_flush_after=1GB',
    ]);
    onTestFinished(() => server.remove());
    await server.run('createdb', 'symbolon');
    const environment = {
      DATABASE_URL: server.urlOf('symbolon'),
      SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ROTATION_COMMIT: commit,
      LOG_LEVEL: 'fatal',
    };
    const processes = await Promise.all(
      Array.from({ length: PROCESSES }, () => startProcess(environment)),
    );
    onTestFinished(async () => {
      await Promise.all(processes.map((process) => process.end()));
    });
    const anywhere = () => processes[Math.floor(random() * PROCESSES)]?.url ?? '';
    const prisma = connect(server.urlOf('symbolon'));
    onTestFinished(() => prisma.$disconnect());
    const keyring = new Keyring([secret]);
    await addAccount(prisma, person, { admin: false });
    const web = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
    await insertClient(prisma, keyring, web);
    const id = familyIdOf(await newFamily(anywhere()));
    const row = await prisma.refreshFamily.findUniqueOrThrow({ where: { id } });
    const many = async (count: number) => {
      const tokens = await familiesLike({ prisma, keyring }, row, count);
      return tokens.map((token) => new HonestClient(token));
    };
    const clients = await many(CLIENTS);
    const ids = clients.map((client) => client.id);

    let answers = 0;
    let revocations = 0;
    const revoked: HonestClient[] = [];
    const forgotten = new Map<string, number>(); // by family and row: by how many generations the client was ahead
    for (let kill = 0; kill < KILLS; kill++) {
      // In every other round nothing but rotations, so that no other commit takes them to the disk.
      const isMixed = kill % 2 === 0;
      const leaving = isMixed ? await many(3) : [];
      const until = answers + CLIENTS * 4 + Math.floor(random() * CLIENTS * 12);
      let killed: Promise<void> | undefined;
      const count = () => {
        if (++answers >= until) killed ??= server.kill();
      };
      await Promise.all([
        ...clients.map(async (client) => {
          while (!killed) {
            const isTwin = isMixed && random() < 0.1;
            const isAnswered = await client.refresh(
              isTwin ? [anywhere(), anywhere()] : [anywhere()],
            );
            if (isAnswered) count();
          }
        }),
        ...leaving.map(async (client) => {
          const turns = Math.floor(random() * 8);
          for (let turn = 0; turn < turns && !killed; turn++) await client.refresh([anywhere()]);
          if (killed) return;
          const { status } = await post(`${anywhere()}/revoke`, { token: client.held }, web);
          if (status === 200) revoked.push(client);
          else expect(status).toBe(503);
        }),
      ]);
      await killed;
      await server.start();

      const rows = await prisma.refreshFamily.findMany({
        where: { id: { in: ids } },
        select: { id: true, generation: true },
      });
      for (const client of clients) {
        const generation = rows.find((found) => found.id === client.id)?.generation ?? -1;
        const ahead = generationOf(client.held) - generation;
        if (ahead > 0) forgotten.set(`${client.id} at ${generation}`, ahead);
      }
      const ended = await prisma.refreshFamily.count({
        where: { id: { in: revoked.map((client) => client.id) }, endReason: 'revoked_by_client' },
      });
      expect(ended, `after kill ${kill}`).toBe(revoked.length);
      expect(clients.flatMap(({ faults }) => faults)).toEqual([]);
      revocations = revoked.length;
    }
    for (const client of clients) await untilAnswered(client, anywhere);

    expect(clients.flatMap(({ faults }) => faults)).toEqual([]);
    const rows = await prisma.refreshFamily.findMany({ where: { id: { in: ids } } });
    expect(rows.filter(({ endedAt }) => endedAt !== null)).toEqual([]);
    expect(new Map(rows.map((found) => [found.id, found.generation]))).toEqual(
      new Map(clients.map((client) => [client.id, generationOf(client.held)])),
    );
    const where = { familyId: { in: ids } };
    const caughtUp = await prisma.auditEvent.count({
      where: { ...where, type: 'family.caught_up' },
    });
    expect(
      await prisma.auditEvent.count({ where: { ...where, type: { not: 'family.caught_up' } } }),
    ).toBe(0);
    expect(await prisma.delivery.count({ where: { channel: 'mail' } })).toBe(0);
    for (const client of revoked)
      expect((await refreshAt(anywhere(), client.held)).body.error_description).toMatch(
        /^revoked_by_client/,
      );
    const generations = [...forgotten.values()].reduce((sum, ahead) => sum + ahead, 0);
    console.log(
      `${commit}: ${KILLS} kills, ${answers} refreshes, ${revocations} revocations, ${generations} generations forgotten, ${caughtUp} catch-ups`,
    );
    expect(caughtUp).toBe(forgotten.size);
    if (commit === 'durable') expect(generations).toBe(0);
    else expect(generations).toBeGreaterThan(0);

    // Nothing lives beside what the client holds.
    const [client] = clients;
    const used = client?.tokens.at(-3) ?? '';
    expect((await refreshAt(anywhere(), used)).body.error_description).toMatch(/^reuse/);
    expect((await refreshAt(anywhere(), client?.held ?? '')).status).toBe(400);
  });
});

/** Some connections of the provider break only now. */
const untilAnswered = (client: HonestClient, anywhere: () => string) =>
  until(() => client.refresh([anywhere()]), 'a client goes on');
