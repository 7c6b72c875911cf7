// Why requests cannot be answered is in the log: once, at error, with its code; and each request's own line names it. A
// real process, and a proxy in front of PostgreSQL.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { addAccount } from '../../src/accounts/accounts.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { causeOf, createOutages } from '../../src/operations/outages.ts';
import { insertClient } from '../../src/storage/clients.ts';
import { type DatabaseProxy, startDatabaseProxy } from '../faults/database-proxy.ts';
import { connection, holdFamily, queued, waiting } from '../faults/locks.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { type ProviderProcess, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';

const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const role = `limited_${randomUUID().slice(0, 8)}`;

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly status?: number;
  readonly cause?: string;
  readonly reason?: string;
  readonly failures?: number;
}

let database: TestDatabase;
let proxy: DatabaseProxy;
let provider: ProviderProcess;
let token: string;

beforeAll(async () => {
  database = await createDatabase();
  const admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'limited'`);
  await admin.query(`GRANT pg_read_all_data, pg_write_all_data TO ${role}`);
  await admin.end();
  const url = new URL(database.url);
  url.username = role;
  url.password = 'limited';
  proxy = await startDatabaseProxy(url.href);
  const prisma = connect(database.url);
  await addAccount(prisma, person, { admin: false });
  await insertClient(prisma, new Keyring([secret]), client);
  await prisma.$disconnect();
});
afterAll(async () => {
  await proxy.close();
  const admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  await admin.query(`DROP OWNED BY ${role}`);
  await admin.query(`DROP ROLE ${role}`);
  await admin.end();
  await database.drop();
});

describe('503', () => {
  beforeEach(async () => {
    provider = await startProcess({
      DATABASE_URL: proxy.url,
      SYMBOLON_SECRET: secret,
      SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
    });
    token = await newFamily(provider.url);
    return async () => {
      await provider.end();
      await proxy.mend();
    };
  });

  test('ECONNREFUSED: the server is not there', async () => {
    await proxy.refuse();
    await manyRequests();
    await told('ECONNREFUSED');
    await proxy.mend();
    const over = await line(({ msg }) => msg === 'requests are answered again');
    expect(over['level']).toBe(40);
    expect(Number(over['failures'])).toBeGreaterThanOrEqual(24); // background work may have met it too
  });

  test('53300: the server takes no more connections', async () => {
    const admin = await connection(database.url);
    await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
      role,
    ]);
    await manyRequests();
    await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    await told('53300', ['57P01']);
  });

  test('57P01: an administrator has ended the connection', async () => {
    const row = await holdFamily(database.url, token);
    const answer = refreshAt(provider.url, token);
    await queued(row.holder, 1);
    for (const pid of await waiting(row.holder))
      await row.holder.query('SELECT pg_terminate_backend($1)', [pid]);
    expect((await answer).status).toBe(503);
    await row.release();
    await told('57P01');
  });
});

test('a refusal that may mean a theft is a warning', async () => {
  provider = await startProcess({
    DATABASE_URL: database.url,
    SYMBOLON_SECRET: secret,
    SYMBOLON_ENABLE_PASSWORD_GRANT: 'true',
  });
  onTestFinished(async () => {
    await provider.end();
  });
  const first = await newFamily(provider.url);
  const second = (await refreshAt(provider.url, first)).body.refresh_token ?? '';
  await refreshAt(provider.url, second);
  expect((await refreshAt(provider.url, first)).body.error).toBe('invalid_grant');
  await refreshAt(provider.url, 'nothing');
  const refused = async (reason: string) =>
    line((one) => one.msg === 'refused' && one.reason === reason);
  expect((await refused('reuse')).level).toBe(40);
  await provider.end();
  expect(
    lines()
      .filter(({ msg }) => msg === 'refused')
      .map(({ level }) => level),
  ).toEqual([40, 30]);
});

/** Requests of clients and of people, many at once. All are answered 503. */
async function manyRequests(): Promise<void> {
  const { url } = provider;
  const page = { headers: { accept: 'text/html' } };
  const authorize = `${url}/authorize?client_id=web&response_type=code&scope=openid&redirect_uri=x`;
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => [
      refreshAt(url, token),
      fetch(authorize, page),
      fetch(`${url}/device`, page),
    ]).flat(),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
}

/**
 * The cause was told once, and by each request that met it.
 *
 * @param before what some may have met a moment earlier
 */
async function told(code: string, before: readonly string[] = []): Promise<void> {
  const fits = expect.toSatisfy((cause) => [code, ...before].includes(cause as string)) as unknown;
  await line(({ msg, status }) => msg === 'request' && status === 503);
  const requests = lines().filter(({ status }) => status === 503);
  expect(requests.map(({ cause }) => cause)).toEqual(requests.map(() => fits));
  const failed = lines().filter(({ msg }) => msg.startsWith('requests cannot be answered'));
  expect(failed.filter(({ cause }) => cause === code)).toMatchObject([
    { level: 50, failures: 1, reason: expect.stringMatching(/./) as unknown },
  ]);
  // Workers meet the same; each says so once.
  const errors = lines().filter(({ level }) => level >= 50);
  expect(new Set(errors.map(({ msg, cause }) => `${msg} ${cause}`)).size).toBe(errors.length);
  expect(errors.map(({ cause }) => cause)).toEqual(errors.map(() => fits));
}

function lines(): Line[] {
  return provider
    .output()
    .split('\n')
    .filter((text) => text.startsWith('{') && text.endsWith('}'))
    .map((text) => JSON.parse(text) as Line);
}

async function line(fits: (line: Line) => boolean): Promise<Line> {
  for (;;) {
    const found = lines().find(fits);
    if (found) return found;
    if (provider.child.stdout) await once(provider.child.stdout, 'data');
  }
}

describe('a cause', () => {
  test('is what the system said, behind all that was wrapped around it', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), {
      code: 'ECONNREFUSED',
    });
    const both = new AggregateError([refused, refused]);
    expect(causeOf(both)).toEqual({ cause: 'ECONNREFUSED', reason: refused.message });
    expect(causeOf(new Error('outer', { cause: both }))).toEqual(causeOf(refused));
    expect(causeOf(new Error('timeout exceeded when trying to connect')).cause).toBe('ETIMEDOUT');
    expect(causeOf(new Error('anything'))).toEqual({ cause: undefined, reason: 'anything' });
    expect(causeOf('text')).toEqual({ cause: undefined, reason: 'text' });
  });

  test('is told at its beginning, once a minute, and when it is over', () => {
    let now = 0;
    const told: unknown[] = [];
    const log = {
      error: (values: object, text: string) => void told.push([text, values]),
      warn: (values: object, text: string) => void told.push([text, values]),
    };
    const outages = createOutages(log as never, { failed: 'fails', over: 'works' }, () => now);
    const error = Object.assign(new Error('no'), { code: 'ECONNREFUSED' });
    const other = Object.assign(new Error('full'), { code: '53300' });
    for (let count = 0; count < 100; count++) outages.note(error);
    outages.note(other);
    outages.works(); // at the same time, others still fail
    now = 60_000;
    outages.note(error);
    now = 61_000;
    outages.works();
    outages.works();
    outages.note(error);
    const cause = { cause: 'ECONNREFUSED', reason: 'no' };
    expect(told).toEqual([
      ['fails', { ...cause, failures: 1 }],
      ['fails', { cause: '53300', reason: 'full', failures: 1 }],
      ['fails', { ...cause, failures: 100 }],
      ['works', { failures: 102, seconds: 60 }],
      ['fails', { ...cause, failures: 1 }],
    ]);
  });
});
