// Real processes on one PostgreSQL: they behave as one, and nothing that was acknowledged is lost when they are
// killed. What is done by the hundred is done in one process by races.test.ts.
import { Agent as HttpAgent, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, freePort, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, post, refreshAt, familyIdOf } from '../support/token-endpoint.ts';
import { type Moment, startDatabaseProxy } from './database-proxy.ts';
import { holdFamily, queued, rounds, until } from './locks.ts';

const ROUNDS = rounds(50); // of each number of simultaneous requests
const KILLS = rounds(20);

const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };

let database: TestDatabase;
let prisma: PrismaClient;
let environment: Record<string, string>;
let processes: ProviderProcess[];

const at = (index: number): string => processes[index % processes.length]?.url ?? '';
const familyOf = (token: string) =>
  prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });

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
    // A reverse proxy in front of them: every request goes to the next process.
    let turn = 0;
    const agent = agentOn(() => at(turn++));
    expect((await exchangeAt(at(turn), await codeOf(agent))).status).toBe(200);
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
    'kill -9 at random moments of refreshing loses nothing that was acknowledged',
    { timeout: 600_000 },
    async () => {
      let token = await newFamily(at(0));
      let acknowledged = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const victim = await startProcess(environment);
        const moment = Math.random() * 50; // milliseconds after its first answer
        let timer: NodeJS.Timeout | undefined;
        // Refreshes go on until the process is dead; what came back is what the client holds.
        for (;;) {
          const answer = await refreshAt(victim.url, token).catch(() => undefined);
          if (!answer) break; // the connection broke
          expect(answer.status, `killed after ${moment} ms`).toBe(200);
          token = answer.body.refresh_token ?? '';
          acknowledged++;
          timer ??= setTimeout(() => victim.child.kill('SIGKILL'), moment);
        }
        clearTimeout(timer);
        await victim.end('SIGKILL');
        const answer = await refreshAt(at(kill), token);
        expect(answer.status, `killed after ${moment} ms`).toBe(200);
        token = answer.body.refresh_token ?? '';
      }
      const { generation, endedAt } = await familyOf(token);
      expect(endedAt).toBeNull();
      expect(acknowledged).toBeGreaterThanOrEqual(KILLS);
      // Every rotation was acknowledged, or its retry was: none was skipped.
      expect(generation).toBeGreaterThanOrEqual(acknowledged);
      expect(generation).toBeLessThanOrEqual(acknowledged + KILLS);
    },
  );

  for (const [moment, generation] of [
    ['before', 0],
    ['after', 1],
  ] as const satisfies [Moment, number][]) {
    test(`kill -9 right ${moment} the commit: a retry elsewhere gives the successor`, async () => {
      const token = await newFamily(at(0));
      const proxy = await startDatabaseProxy(database.url);
      const victim = await startProcess({ ...environment, DATABASE_URL: proxy.url });
      const held = proxy.holdCommit(moment);
      const answer = refreshAt(victim.url, token).catch(() => undefined);
      await held;
      await victim.end('SIGKILL');
      expect(await answer).toBeUndefined();
      await proxy.close();
      expect(await familyOf(token)).toMatchObject({ generation, endedAt: null });
      const [one, other] = await Promise.all([refreshAt(at(0), token), refreshAt(at(1), token)]);
      expect([one.status, other.status]).toEqual([200, 200]);
      expect(one.body.refresh_token).toBe(other.body.refresh_token);
      expect(await familyOf(token)).toMatchObject({ generation: 1, endedAt: null });
      expect((await refreshAt(at(2), one.body.refresh_token ?? '')).status).toBe(200);
    });
  }
});

describe('SIGTERM', () => {
  test('finishes a request in flight, takes no other, and exits with 0', async () => {
    const leaving = await startProcess(environment);
    const token = await newFamily(at(0));
    const row = await holdFamily(database.url, token);
    const inFlight = refreshAt(leaving.url, token);
    await queued(row.holder, 1);
    const ended = leaving.end('SIGTERM');
    await refusing(leaving.url);
    await row.release();
    const answer = await inFlight;
    expect(answer.status).toBe(200);
    expect(await ended).toBe(0);
    expect((await refreshAt(at(0), answer.body.refresh_token ?? '')).status).toBe(200);
  });

  test('a kept connection is told to close with its answer, so that a proxy goes elsewhere', async () => {
    const leaving = await startProcess(environment);
    const token = await newFamily(at(0));
    const row = await holdFamily(database.url, token);
    const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
    const inFlight = refreshThrough(agent, leaving.url, token);
    await queued(row.holder, 1);
    const ended = leaving.end('SIGTERM');
    await refusing(leaving.url);
    await row.release();
    const { status, connection } = await inFlight;
    agent.destroy();
    expect(await ended).toBe(0);
    expect({ status, connection }).toEqual({ status: 200, connection: 'close' });
  });
});

describe('a changed SYMBOLON_SECRET', () => {
  let changed: ProviderProcess;
  beforeAll(async () => {
    changed = await startProcess({
      ...environment,
      SYMBOLON_SECRET: `the next secret - just as long as it has to be,${secret}`,
    });
  });
  afterAll(() => changed.end());

  test('between a rotation and its retry gives the same successor', async () => {
    const token = await newFamily(at(0));
    const successor = (await refreshAt(at(0), token)).body.refresh_token ?? '';
    expect((await refreshAt(changed.url, token)).body.refresh_token).toBe(successor);
    const next = await refreshAt(changed.url, successor); // derived under the new one
    expect(next.status).toBe(200);
    expect((await refreshAt(changed.url, successor)).body.refresh_token).toBe(
      next.body.refresh_token,
    );
    expect(await familyOf(token)).toMatchObject({ generation: 2, endedAt: null });
  });

  test('between sign-in and the next request leaves the person signed in', async () => {
    let process = at(0);
    const agent = agentOn(() => process);
    await codeOf(agent);
    process = changed.url;
    const page = await agent.open(authorizationUrl({ prompt: 'none' }));
    const code = page.away?.searchParams.get('code') ?? '';
    expect((await exchangeAt(changed.url, code)).status).toBe(200);
  });

  test('in the middle of signing in loses neither the interaction nor the code', async () => {
    let process = at(0);
    const agent = agentOn(() => process);
    const page = await agent.open(authorizationUrl());
    expect(page.html.querySelector('form[action$="/sign-in"]')).not.toBeNull();
    process = changed.url;
    let next = await agent.submit(page, { email: person.email, password: person.password });
    if (!next.away) next = await agent.submit(next, {}, /consent$/);
    const code = next.away?.searchParams.get('code') ?? '';
    expect((await exchangeAt(changed.url, code)).status).toBe(200);
    process = at(0);
    const former = await codeOf(agentOn(() => process));
    expect((await exchangeAt(changed.url, former)).status).toBe(200);
  });

  test('keeps the signing keys and what was signed', async () => {
    const keys = await Promise.all(
      [at(0), changed.url].map(async (url) => (await fetch(`${url}/jwks`)).text()),
    );
    expect(keys[0]).toBe(keys[1]);
  });
});

/** A browser whose requests go where they are sent, as through a reverse proxy. */
function agentOn(target: () => string): Agent {
  return new Agent(environment['SYMBOLON_ISSUER'] ?? '', (url) => {
    const routed = new URL(url);
    routed.host = new URL(target()).host;
    return routed;
  });
}

const redirectUri = client.redirect_uris[0] ?? '';

function authorizationUrl(more: Record<string, string> = {}): URL {
  const url = new URL(`${environment['SYMBOLON_ISSUER'] ?? ''}/authorize`);
  url.search = new URLSearchParams({
    client_id: 'web',
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid offline_access',
    ...more,
  }).toString();
  return url;
}

const codeOf = async (agent: Agent): Promise<string> =>
  (await agent.authorize(authorizationUrl())).searchParams.get('code') ?? '';

const exchangeAt = (url: string, code: string) =>
  post(`${url}/token`, { grant_type: 'authorization_code', code, redirect_uri: redirectUri });

/** A refresh through an agent that keeps its connection. */
function refreshThrough(
  agent: HttpAgent,
  url: string,
  token: string,
): Promise<{ status: number | undefined; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/token`,
      {
        agent,
        method: 'POST',
        auth: `web:${encodeURIComponent(client.client_secret)}`,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      },
      (response) => {
        response.resume().on('end', () => {
          resolve({ status: response.statusCode, connection: response.headers.connection });
        });
      },
    );
    sent.on('error', reject);
    sent.end(new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }).toString());
  });
}

/** Waits until a process takes no more connections. */
function refusing(url: string): Promise<void> {
  return until(
    () =>
      fetch(`${url}/jwks`, { headers: { connection: 'close' } }).then(
        () => false,
        () => true,
      ),
    `${url} takes no more connections`,
  );
}
