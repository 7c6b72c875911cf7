// Real processes on one PostgreSQL: they behave as one, and nothing that was acknowledged is lost when they are
// killed or the database is.
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { type Answer, newFamily, post, refreshAt } from '../support/token-endpoint.ts';

const LONG = process.env['TEST_LONG'] !== undefined;
const ROUNDS = LONG ? 500 : 25; // of each number of simultaneous requests
const KILLS = LONG ? 200 : 20;

const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;
let processes: ProviderProcess[];

const at = (index: number): string => processes[index % processes.length]?.url ?? '';
const familyOf = (token: string) =>
  prisma.refreshFamily.findUniqueOrThrow({ where: { id: token.split('.')[0] ?? '' } });

beforeAll(async () => {
  database = await createDatabase('template0'); // empty: the processes migrate it
  environment = {
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ISSUER: `http://localhost:${await freePort()}`,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    LOG_LEVEL: 'warn',
  };
  processes = await Promise.all([1, 2, 3].map(() => startProcess(environment)));
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), client);
});
afterAll(async () => {
  await Promise.all(processes.map((process) => process.end()));
  await prisma.$disconnect();
  await database.drop();
});

describe('three processes that started together on an empty database', () => {
  test('applied each migration once and have the same keys', async () => {
    const applied = await prisma.$queryRaw<
      { migration_name: string }[]
    >`SELECT migration_name FROM _prisma_migrations`;
    const names = applied.map(({ migration_name: name }) => name);
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
    const keys = await Promise.all(
      processes.map(async ({ url }) => (await fetch(`${url}/jwks`)).text()),
    );
    expect(new Set(keys).size).toBe(1);
  });

  test('a sign-in begun at one is finished at another', async () => {
    // A reverse proxy in front of both: every request goes to the next process.
    let turn = 0;
    const agent = new Agent(environment['SYMBOLON_ISSUER'] ?? '', (url) => {
      const target = new URL(url);
      target.host = new URL(at(turn++)).host;
      return target;
    });
    const url = new URL(`${environment['SYMBOLON_ISSUER'] ?? ''}/authorize`);
    url.search = new URLSearchParams({
      client_id: 'web',
      response_type: 'code',
      redirect_uri: client.redirect_uris[0] ?? '',
      scope: 'openid offline_access',
    }).toString();
    const callback = await agent.authorize(url);
    const form = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: client.redirect_uris[0] ?? '',
    };
    expect((await post(`${at(turn)}/token`, form)).status).toBe(200);
    expect(turn).toBeGreaterThan(4);
  });
});

describe('simultaneous refreshes of one token, spread over the processes', () => {
  for (const count of [2, 6, 18, 43]) {
    test(`${count}: every answer carries the same successor`, { timeout: 600_000 }, async () => {
      let token = await newFamily(at(0));
      for (let round = 1; round <= ROUNDS; round++) {
        const presented = token;
        const answers = await Promise.all(
          Array.from({ length: count }, (_, index) => refreshAt(at(index), presented)),
        );
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
        const successors = new Set(answers.map(({ body }) => body.refresh_token));
        expect(successors.size).toBe(1);
        token = [...successors][0] ?? '';
        expect((await familyOf(token)).generation).toBe(round);
      }
    });

    test(
      `${count} and a revocation: nothing outlives it, nobody gets a 5xx`,
      { timeout: 600_000 },
      async () => {
        for (let round = 0; round < Math.ceil(ROUNDS / 5); round++) {
          const token = await newFamily(at(0));
          const requests = Array.from({ length: count }, (_, index) => refreshAt(at(index), token));
          const revocation = post(`${at(round)}/revoke`, { token });
          const answers = await Promise.all(requests);
          expect((await revocation).status).toBe(200);
          for (const { status, body } of answers) {
            expect([200, 400]).toContain(status);
            if (status === 400) expect(body.error).toBe('invalid_grant');
          }
          const held = answers.find(({ status }) => status === 200)?.body.refresh_token ?? token;
          expect((await refreshAt(at(1), held)).body.error).toBe('invalid_grant');
          expect(await familyOf(token)).toMatchObject({ endReason: 'revoked_by_client' });
        }
      },
    );
  }

  test('an old token then ends the family', async () => {
    const token = await newFamily(at(0));
    const second = (await refreshAt(at(1), token)).body.refresh_token ?? '';
    const third = (await refreshAt(at(2), second)).body.refresh_token ?? '';
    expect((await refreshAt(at(0), token)).body.error).toBe('invalid_grant');
    expect((await refreshAt(at(1), third)).body.error).toBe('invalid_grant');
  });
});

describe('killed processes', () => {
  test(
    'kill -9 at any moment of a refresh loses nothing that was acknowledged',
    { timeout: 600_000 },
    async () => {
      let token = await newFamily(at(0));
      for (let kill = 0; kill < KILLS; kill++) {
        const victim = await startProcess(environment);
        // Refreshes go on until the process is dead; what came back is what the client holds.
        const killed = (async () => {
          for (let use = 0; ; use++) {
            if (use === kill % 7) setImmediate(() => victim.child.kill('SIGKILL'));
            const answer = await refreshAt(victim.url, token).catch(() => undefined);
            if (answer?.status !== 200) return answer;
            token = answer.body.refresh_token ?? '';
          }
        })();
        expect(await killed).toBeUndefined(); // the connection broke; it was never told invalid_grant
        await victim.end('SIGKILL');
        const answer = await refreshAt(at(kill), token);
        expect(answer.status).toBe(200);
        token = answer.body.refresh_token ?? '';
      }
      expect(await familyOf(token)).toMatchObject({ endedAt: null });
    },
  );

  test('SIGTERM finishes a request in flight', async () => {
    const leaving = await startProcess(environment);
    const token = await newFamily(at(0));
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM refresh_family WHERE id = $1 FOR UPDATE', [
      token.split('.')[0],
    ]);
    const inFlight = refreshAt(leaving.url, token);
    await lockWait(holder);
    const ended = leaving.end('SIGTERM');
    await refused(leaving.url);
    await holder.query('COMMIT');
    await holder.end();
    const answer: Answer = await inFlight;
    expect(answer.status).toBe(200);
    expect(await ended).toBe(0);
    expect((await refreshAt(at(0), answer.body.refresh_token ?? '')).status).toBe(200);
  });
});

describe('a changed SYMBOLON_SECRET', () => {
  test('between a rotation and its retry gives the same successor, and clients still authenticate', async () => {
    const token = await newFamily(at(0));
    const successor = (await refreshAt(at(0), token)).body.refresh_token;
    const changed = await startProcess({
      ...environment,
      SYMBOLON_SECRET: `the next secret - just as long as it has to be,${secret}`,
    });
    expect((await refreshAt(changed.url, token)).body.refresh_token).toBe(successor);
    expect(await changed.end()).toBe(0);
  });
});

describe('while the database cannot answer', () => {
  let admin: pg.Client;
  beforeEach(async () => {
    const url = new URL(database.url);
    url.pathname = '/symbolon';
    admin = new pg.Client({ connectionString: url.href });
    await admin.connect();
    return () => admin.end();
  });

  test('the client gets 503 and Retry-After, nothing is spent, and it recovers by itself', async () => {
    const token = await newFamily(at(0));
    const name = new URL(database.url).pathname.slice(1);
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
      name,
    ]);
    for (const { url } of processes) {
      const answer = await refreshAt(url, token);
      expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(answer.headers.get('cache-control')).toBe('no-store');
      const page = await fetch(`${url}/`, { headers: { accept: 'text/html' } });
      expect(page.status).toBe(503);
      expect(await page.text()).toContain('Please try again in a moment');
    }
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    const answer = await refreshAt(at(0), token);
    expect(answer.status).toBe(200);
    expect((await familyOf(token)).generation).toBe(1);
  });
});

/** Waits until another session waits for a lock that this one holds. */
async function lockWait(holder: pg.Client): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    const { rows } = await holder.query<{ waiting: boolean }>(
      'SELECT exists(SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))) AS waiting',
    );
    if (rows[0]?.waiting) return;
  }
  throw new Error('nothing came to wait');
}

/** Waits until a process takes no more connections. */
async function refused(url: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    const taken = await fetch(`${url}/jwks`, { headers: { connection: 'close' } }).then(
      () => true,
      () => false,
    );
    if (!taken) return;
  }
  throw new Error(`${url} still takes connections`);
}
