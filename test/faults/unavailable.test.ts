// While the database cannot answer, a client is told to try again, a person sees a page that says so, and nothing is
// spent; afterwards the same requests succeed by themselves. A real process, and a proxy in front of PostgreSQL.
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { Agent } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { type Answer, newFamily, post, refreshAt, familyIdOf } from '../support/token-endpoint.ts';
import { type DatabaseProxy, startDatabaseProxy } from './database-proxy.ts';
import { connection, hold, holdFamily, queued, until, waiting } from './locks.ts';

const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const key = await generateKeyPair('ES256');
const web = {
  ...webClient,
  grant_types: [...webClient.grant_types, 'password', BEARER],
  jwks: { keys: [await exportJWK(key.publicKey)] },
};
const redirectUri = webClient.redirect_uris[0] ?? '';

let database: TestDatabase;
let prisma: PrismaClient; // past the proxy
let proxy: DatabaseProxy;
let provider: ProviderProcess;

beforeAll(async () => {
  database = await createDatabase();
  proxy = await startDatabaseProxy(database.url);
  provider = await startProcess({
    DATABASE_URL: proxy.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
    LOG_LEVEL: 'warn',
  });
  prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), web);
});
afterAll(async () => {
  await provider.end();
  await proxy.close();
  await prisma.$disconnect();
  await database.drop();
});
afterEach(() => proxy.mend());

describe('a database that takes no connections', () => {
  test('503 to clients and to people; then the same token refreshes', async () => {
    const token = await newFamily(provider.url);
    await whileDatabaseIsClosed(async () => {
      for (let attempt = 0; attempt < 3; attempt++) isUnavailable(await refresh(token));
      await allPagesSaySo();
      // What needs no database is there.
      for (const path of ['/jwks', '/.well-known/openid-configuration'])
        expect((await fetch(provider.url + path)).status).toBe(200);
    });
    await goesOn(token, 1);
  });

  test('nor the server itself', async () => {
    const token = await newFamily(provider.url);
    await proxy.refuse();
    for (let attempt = 0; attempt < 3; attempt++) isUnavailable(await refresh(token));
    await allPagesSaySo();
    await proxy.mend();
    await goesOn(token, 1);
  });

  test('a code that could not be exchanged can be exchanged afterwards, once', async () => {
    const code = await authorizationCode();
    await whileDatabaseIsClosed(async () => {
      isUnavailable(await exchange(code));
    });
    const { status, body } = await exchange(code);
    expect(status).toBe(200);
    await goesOn(body.refresh_token ?? '', 1);
    expect((await exchange(code)).body.error).toBe('invalid_grant');
  });

  test('a person in the middle of signing in goes on afterwards', async () => {
    const agent = new Agent(provider.url);
    const page = await agent.open(authorizationUrl());
    const credentials = { email: person.email, password: person.password };
    await whileDatabaseIsClosed(async () => {
      const refusal = await agent.submit(page, credentials, /sign-in$/);
      expect(refusal.status).toBe(503);
      expect(refusal.html.text).toContain('Nothing was changed');
    });
    const next = await agent.submit(page, credentials, /sign-in$/);
    const { away } = next.away ? next : await agent.submit(next, {}, /consent$/);
    expect((await exchange(away?.searchParams.get('code') ?? '')).status).toBe(200);
  });
});

describe('a connection that breaks in the middle of a request', () => {
  test('before the commit arrives: nothing is spent', async () => {
    const token = await newFamily(provider.url);
    const held = proxy.holdCommit('before');
    const answer = refresh(token);
    const cut = await held;
    cut();
    isUnavailable(await answer);
    await goesOn(token, 1);
  });

  test('after the commit was carried out: the retry gives the very successor', async () => {
    const token = await newFamily(provider.url);
    const held = proxy.holdCommit('after');
    const answer = refresh(token);
    const cut = await held;
    const { currentHash } = await family(token);
    cut();
    isUnavailable(await answer);
    expect(await family(token)).toMatchObject({ generation: 1, currentHash, endedAt: null });
    const retry = await refresh(token);
    expect(retry.status).toBe(200);
    expect(await family(token)).toMatchObject({ generation: 1, currentHash });
    await goesOn(retry.body.refresh_token ?? '', 2);
  });

  test('while the commit waits, its backend is terminated: nothing is spent', async () => {
    const token = await newFamily(provider.url);
    const row = await holdFamily(database.url, token);
    const answer = refresh(token);
    await queued(row.holder, 1);
    await terminate(row.holder);
    isUnavailable(await answer);
    await row.release();
    await goesOn(token, 1);
  });

  test('while a transaction waits, its connection breaks: nothing is spent', async () => {
    const token = await newFamily(provider.url);
    const { body } = await refresh(token);
    // A retry counts itself in a transaction: it may lock its row, and waits with the update.
    const table = await hold(database.url, 'LOCK TABLE refresh_family IN SHARE MODE');
    const retry = refresh(token);
    await queued(table.holder, 1);
    await proxy.refuse();
    isUnavailable(await retry);
    isUnavailable(await refresh(token)); // by now the process has seen all its connections end
    await proxy.mend();
    await table.release();
    await goesOn(body.refresh_token ?? '', 2);
  });

  // Every question that a request asks the database, one table after the other: whichever is not answered, the
  // client hears 503, or the request has not needed that table.
  const requests: Record<string, () => Promise<() => Promise<Result>>> = {
    refresh: async () => {
      const token = await newFamily(provider.url);
      return () => refresh(token);
    },
    'code exchange': async () => {
      const code = await authorizationCode();
      return () => exchange(code);
    },
    'password grant': () => Promise.resolve(() => post(`${provider.url}/token`, passwordForm, web)),
    'jwt-bearer grant': async () => {
      const assertion = await new SignJWT({ scope: 'openid offline_access' })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer('web')
        .setSubject(person.email)
        .setAudience(provider.url)
        .setJti(crypto.randomUUID())
        .setExpirationTime('1m')
        .sign(key.privateKey);
      const form = { grant_type: BEARER, assertion, scope: 'openid offline_access' };
      return () => post(`${provider.url}/token`, form, web);
    },
    userinfo: async () => {
      const { body } = await post(`${provider.url}/token`, passwordForm, web);
      return () => get('/userinfo', { authorization: `Bearer ${body.access_token ?? ''}` });
    },
    introspection: async () => {
      const token = await newFamily(provider.url);
      return () => post(`${provider.url}/introspect`, { token }, web);
    },
    revocation: async () => {
      const token = await newFamily(provider.url);
      return () => post(`${provider.url}/revoke`, { token }, web);
    },
    'pushed request': () =>
      Promise.resolve(() =>
        post(`${provider.url}/par`, { client_id: 'web', ...authorizationParameters }, web),
      ),
    'home page': () => Promise.resolve(() => get('/')),
    authorization: () => Promise.resolve(() => new Agent(provider.url).open(authorizationUrl())),
    'silent authorization': async () => {
      const agent = await signedIn();
      return () => agent.open(authorizationUrl());
    },
    'sign-in page': async () => {
      const agent = new Agent(provider.url);
      const { url } = await agent.open(authorizationUrl());
      return () => agent.open(url);
    },
    'sign-in': async () => {
      const agent = new Agent(provider.url);
      const page = await agent.open(authorizationUrl());
      return () =>
        agent.submit(page, { email: person.email, password: person.password }, /sign-in$/);
    },
    'sign-out page': async () => {
      const agent = await signedIn();
      return () => agent.open('/logout');
    },
    'sign-out': async () => {
      const agent = await signedIn();
      const page = await agent.open('/logout');
      return () => agent.submit(page, { logout: 'yes' });
    },
    'device page': () => Promise.resolve(() => new Agent(provider.url).open('/device')),
  };
  for (const [name, prepare] of Object.entries(requests)) {
    test(`${name}: whichever table does not answer, it is 503`, async () => {
      const [asked, wrong]: [string[], string[]] = [[], []];
      for (const table of [
        'client',
        'account',
        '"grant"',
        'artifact',
        'refresh_family',
        'audit_event',
      ]) {
        const request = await prepare();
        const row = await hold(database.url, `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
        const results: Result[] = [];
        const answered = request().then((result) => results.push(result));
        let terminated = 0;
        await until(async () => {
          terminated += await terminate(row.holder);
          return results.length > 0;
        }, `${name} is answered`);
        await row.release();
        await answered;
        const [{ status, away }] = results as [Result];
        if (terminated === 0) continue;
        asked.push(table);
        // RFC 6749 §4.1.2.1: a relying party hears it by a redirect.
        const said = away?.searchParams.get('error') ?? status;
        if (said !== 503 && said !== 'temporarily_unavailable') wrong.push(`${table}: ${said}`);
      }
      expect(asked).not.toEqual([]);
      expect(wrong).toEqual([]);
    });
  }
});

describe('a database that is silent', () => {
  // One test, so that the time-outs pass once, for all of them.
  test('503 once the time is over, and nothing is spent', async () => {
    const line = await startDatabaseProxy(database.url);
    const far = await startProcess({
      DATABASE_URL: line.url,
      SYMBOLON_ISSUER: provider.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
      SYMBOLON_ENABLE_JWT_BEARER_GRANT: 'true',
      LOG_LEVEL: 'warn',
    });
    try {
      const tokens = [];
      for (const { url } of [provider, provider, far, far]) tokens.push(await newFamily(url));
      const [atCommit = '', atRead = '', unheard = '', unheardToo = ''] = tokens;
      const timed = async (answer: Promise<Answer>) => {
        const started = Date.now();
        isUnavailable(await answer);
        expect(Date.now() - started).toBeLessThan(120_000);
      };
      const answers = [];

      // The server hears and cannot go on: at the commit's UPDATE, and at the very first question.
      const row = await holdFamily(database.url, atCommit);
      answers.push(timed(refresh(atCommit)));
      await queued(row.holder, 1);
      const table = await hold(database.url, 'LOCK TABLE client IN ACCESS EXCLUSIVE MODE');
      answers.push(timed(refresh(atRead)));
      await queued(table.holder, 2);
      // The server does not hear: what is sent to it disappears on the way.
      line.swallow();
      answers.push(timed(refreshAt(far.url, unheard, web)));
      answers.push(timed(refreshAt(far.url, unheardToo, web)));

      await Promise.all(answers);
      await row.release();
      await table.release();
      await line.mend();
      await until(async () => (await fetch(far.url)).ok, 'the other process is back');
      for (const token of tokens) await goesOn(token, 1);
      expect((await refreshAt(far.url, await newFamily(far.url), web)).status).toBe(200);
    } finally {
      await far.end();
      await line.close();
    }
  });
});

interface Result {
  readonly status: number;
  readonly away?: URL;
}

const authorizationParameters = {
  response_type: 'code',
  redirect_uri: redirectUri,
  scope: 'openid offline_access',
};
const passwordForm = {
  grant_type: 'password',
  username: person.email,
  password: person.password,
  scope: 'openid offline_access',
};

function isUnavailable({ status, headers, body }: Answer): void {
  expect({ status, error: body.error }).toEqual({ status: 503, error: 'temporarily_unavailable' });
  expect(headers.get('content-type')).toContain('application/json');
  expect(headers.get('retry-after')).toBe('1');
  expect(headers.get('cache-control')).toBe('no-store');
}

async function allPagesSaySo(): Promise<void> {
  for (const path of ['/', authorizationUrl().href, '/device', '/logout']) {
    const { status, headers, html } = await new Agent(provider.url).open(path);
    expect(status, path).toBe(503);
    expect(headers.get('content-type')).toContain('text/html');
    expect(headers.get('retry-after')).toBe('1');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(html.querySelector('h1')?.text).toBe('Please try again in a moment');
  }
}

/** The token is the family's current one, and brings it to this generation. */
async function goesOn(token: string, generation: number): Promise<void> {
  expect((await refresh(token)).status).toBe(200);
  const { grantId, ...found } = await family(token);
  expect(found).toMatchObject({ generation, endedAt: null });
  expect(await prisma.grant.count({ where: { id: grantId ?? '' } })).toBe(1);
}

async function whileDatabaseIsClosed(work: () => Promise<void>): Promise<void> {
  const url = new URL(database.url);
  const name = url.pathname.slice(1);
  url.pathname = '/postgres';
  const admin = await connection(url.href);
  await prisma.$disconnect();
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  try {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
      name,
    ]);
    await work();
  } finally {
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  }
}

/** Ends the backends that wait for a lock. @returns how many there were */
async function terminate(client: pg.Client): Promise<number> {
  const pids = await waiting(client);
  for (const pid of pids) await client.query('SELECT pg_terminate_backend($1)', [pid]);
  return pids.length;
}

const refresh = (token: string) => refreshAt(provider.url, token, web);

const family = (token: string) =>
  prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });

const get = async (path: string, headers: Record<string, string> = {}): Promise<Result> => ({
  status: (await fetch(provider.url + path, { headers })).status,
});

const exchange = (code: string) =>
  post(
    `${provider.url}/token`,
    { grant_type: 'authorization_code', code, redirect_uri: redirectUri },
    web,
  );

function authorizationUrl(): URL {
  const url = new URL(`${provider.url}/authorize`);
  url.search = new URLSearchParams({ client_id: 'web', ...authorizationParameters }).toString();
  return url;
}

async function authorizationCode(): Promise<string> {
  const callback = await new Agent(provider.url).authorize(authorizationUrl());
  return callback.searchParams.get('code') ?? '';
}

async function signedIn(): Promise<Agent> {
  const agent = new Agent(provider.url);
  await agent.authorize(authorizationUrl());
  return agent;
}
