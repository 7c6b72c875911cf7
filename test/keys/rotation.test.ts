// Signing keys rotate by themselves and on command, on every running process, and no relying party meets a token that
// it cannot verify with the keys that it has kept.
import fc from 'fast-check';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { signingAlgorithms } from '../../src/config/signing-algorithms.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import {
  PUBLISHED_BEFORE,
  keyStates,
  maintainKeys,
  planKeys,
  rotateKeys,
} from '../../src/keys/signing-keys.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, run, startProcess } from '../support/process.ts';
import { person, secret, startProvider, webClient } from '../support/provider.ts';
import { post } from '../support/token-endpoint.ts';
import { schedule } from '../support/signing-keys.ts';

const DAY = 86_400_000;

describe('a key is next, then current, then retired, then gone', () => {
  interface Key {
    kid: string;
    alg: string;
    createdAt: Date;
    signsFrom: Date | null;
  }

  /** What the database does with a plan. */
  function apply(keys: Key[], now: Date, made: () => string): Key[] {
    const plan = planKeys(keys, now, schedule);
    for (const key of keys) if (plan.promote.includes(key.kid)) key.signsFrom = now;
    return [
      ...keys.filter(({ kid }) => !plan.remove.includes(kid)),
      ...plan.make.map(({ alg, signsNow }) => ({
        kid: made(),
        alg,
        createdAt: now,
        signsFrom: signsNow ? now : null,
      })),
    ];
  }

  test('at every time: one signs, one waits, and what was signed can be verified as long as it lives', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }), (steps) => {
        let [keys, count, time]: [Key[], number, number] = [[], 0, Date.UTC(2026, 0, 1)];
        const signed: { kid: string; until: number }[] = [];
        for (const days of [0, ...steps]) {
          time += days * DAY;
          const now = new Date(time);
          keys = apply(keys, now, () => String(count++));
          const states = keyStates(keys, now, schedule);
          for (const alg of signingAlgorithms) {
            const of = (state: string) =>
              keys.filter((key) => key.alg === alg && states.get(key.kid) === state);
            expect(of('current')).toHaveLength(1);
            expect(of('next')).toHaveLength(1);
            const [current] = of('current');
            // Published long enough before it signed, but for the very first one.
            const lead = (current?.signsFrom?.getTime() ?? 0) - (current?.createdAt.getTime() ?? 0);
            if (Number(current?.kid) >= 2 * signingAlgorithms.length)
              expect(lead).toBeGreaterThanOrEqual(PUBLISHED_BEFORE);
            signed.push({ kid: current?.kid ?? '', until: time + schedule.keptFor });
          }
          const published = new Set(keys.map(({ kid }) => kid));
          for (const { kid, until } of signed)
            if (until > time) expect(published.has(kid)).toBe(true);
        }
      }),
    );
  });

  test('nothing is due on an ordinary day', () => {
    let count = 0;
    const start = new Date('2026-01-01');
    const keys = apply([], start, () => String(count++));
    const tomorrow = new Date(start.getTime() + DAY);
    expect(planKeys(keys, tomorrow, schedule)).toEqual({
      promote: [],
      make: [],
      remove: [],
      retire: [],
    });
  });
});

test('in the database: rotated by time, and swept when nothing lives that they signed', async () => {
  const database = await createDatabase();
  const prisma = connect(database.url);
  const keyring = new Keyring([secret]);
  const start = new Date('2026-01-01');
  const after = (days: number) => new Date(start.getTime() + days * DAY);
  const count = async (now: Date) => {
    await Promise.all([1, 2, 3].map(() => maintainKeys(prisma, keyring, now, schedule)));
    const keys = await prisma.signingKey.findMany();
    const states = [...keyStates(keys, now, schedule).values()];
    return (['next', 'current', 'retired', 'gone'] as const).map(
      (state) => states.filter((one) => one === state).length,
    );
  };
  expect(await count(start)).toEqual([4, 4, 0, 0]);
  expect(await count(after(89))).toEqual([4, 4, 0, 0]);
  expect(await count(after(90))).toEqual([4, 4, 4, 0]);
  expect(await count(after(103))).toEqual([4, 4, 4, 0]);
  expect(await count(after(104))).toEqual([4, 4, 0, 0]);
  await prisma.$disconnect();
  await database.drop();
});

test('on command: as soon as everybody can know the next key, or at once', async () => {
  const database = await createDatabase();
  const prisma = connect(database.url);
  const keyring = new Keyring([secret]);
  const start = new Date('2026-01-01');
  const later = new Date(start.getTime() + DAY / 2);
  await maintainKeys(prisma, keyring, start, schedule);
  const planned = await rotateKeys(prisma, keyring, later, schedule, false);
  for (const { signsFrom } of planned)
    expect(signsFrom.getTime()).toBe(start.getTime() + PUBLISHED_BEFORE);
  const atOnce = await rotateKeys(prisma, keyring, later, schedule, true);
  expect(atOnce.map(({ kid }) => kid).sort()).toEqual(planned.map(({ kid }) => kid).sort());
  for (const { signsFrom } of atOnce) expect(signsFrom).toEqual(later);
  await prisma.$disconnect();
  await database.drop();
});

test('a process takes up what another has changed, and a token of the former key stays valid', async () => {
  const provider = await startProvider();
  const { prisma, keyring } = provider.storage;
  const keys = async () => {
    const response = await fetch(`${provider.issuer}/jwks`);
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
  };
  const before = await keys();
  const { signingAlgorithms: algorithms } = provider.config;
  await rotateKeys(prisma, keyring, new Date(), { ...schedule, algorithms }, true);
  expect(await keys()).toEqual(before);
  const running = provider.keyRotation.start();
  await eventually(async () => {
    expect((await keys()).length).toBe(before.length + algorithms.length);
  });
  await running.stop();
  expect(await keys()).toEqual(expect.arrayContaining(before));
  await provider.close();
});

describe('under load, with two processes', () => {
  let database: TestDatabase;
  let prisma: PrismaClient;
  let environment: Record<string, string>;
  let processes: ProviderProcess[];

  beforeAll(async () => {
    database = await createDatabase();
    prisma = connect(database.url);
    environment = {
      DATABASE_URL: database.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      LOG_LEVEL: 'warn',
    };
    processes = await Promise.all([1, 2].map(() => startProcess(environment)));
    await addAccount(prisma, person, { admin: false });
    await prisma.resource.create({ data: { id: 'https://api.example', scopes: { read: '' } } });
    await insertClient(prisma, new Keyring([secret]), {
      ...webClient,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      post_logout_redirect_uris: [],
    });
  });
  afterAll(async () => {
    await Promise.all(processes.map((process) => process.end()));
    await prisma.$disconnect();
    await database.drop();
  });

  test('no request fails, and every token verifies with the keys that were fetched before', async () => {
    const [first] = processes;
    const kept = createLocalJWKSet(
      (await (await fetch(`${first?.url ?? ''}/jwks`)).json()) as never,
    );
    const used = processes.map(() => new Set<string>());
    let isOver = false;
    const load = processes.map(async ({ url }, index) => {
      while (!isOver) {
        const { status, body } = await post(`${url}/token`, {
          grant_type: 'client_credentials',
          resource: 'https://api.example',
          scope: 'read',
        });
        expect(status).toBe(200);
        const { protectedHeader } = await jwtVerify(body.access_token ?? '', kept);
        used[index]?.add(protectedHeader.kid ?? '');
      }
    });
    const rotated = await run(['src/cli.ts', 'key', 'rotate', '--now'], environment);
    expect(rotated).toMatchObject({ code: 0, stderr: '' });
    // Both sign with the next key, with no restart.
    await eventually(() => {
      expect(used.map((kids) => kids.size)).toEqual([2, 2]);
    });
    isOver = true;
    await Promise.all(load);
    expect(used[0]).toEqual(used[1]);
    for (const { output } of processes) expect(output()).not.toContain('failed');
  });
});
