// The frequent statements read what Prisma reads, wait for nobody, and one request's fault is not another's.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Batch } from '../../src/storage/fast/batch.ts';
import type { FamilyPolicy } from '../../src/storage/families/adapter.ts';
import { createAdapter } from '../../src/storage/adapter.ts';
import { insertClient, updateClient } from '../../src/storage/clients.ts';
import { artifactId, openArtifact } from '../../src/storage/artifacts.ts';
import { createFast } from '../../src/storage/fast/fast.ts';
import { currentUnit, runUnit } from '../../src/storage/unit-of-work.ts';
import { hold, holdFamily } from '../faults/locks.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { Agent } from '../support/agent.ts';
import { discover, signIn } from '../support/relying-party.ts';
import { newFamily, post, refreshAt, familyIdOf } from '../support/token-endpoint.ts';

const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
const grant = { select: { id: true, payload: true, expiresAt: true } };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [client, { ...webClient, client_id: 'other' }],
  });
});
afterAll(() => provider.close());

describe('what is read is what Prisma reads', () => {
  test('for a refresh', async () => {
    const { prisma, fast } = provider.storage;
    const token = await newFamily(provider.issuer, client);
    await refreshAt(provider.issuer, token, client);
    const id = familyIdOf(token);
    const read = await fast.readForRefresh({
      familyId: id,
      secretHash: undefined,
      clientId: 'web',
    });
    const family = await prisma.refreshFamily.findUnique({
      where: { id },
      omit: { lastUsedAt: true, lastUsedIp: true },
      include: { grant },
    });
    expect(read.family).toEqual(binary(family));
    const account = await prisma.account.findUnique({
      where: { id: provider.accountId },
      omit: { passwordHash: true, emailAscii: true, admin: true, createdAt: true, deleteAt: true },
    });
    expect(read.account).toEqual(account);
    const { metadata, secret } = await prisma.client.findUniqueOrThrow({ where: { id: 'web' } });
    expect(read.client).toEqual(binary({ id: 'web', metadata, secret }));
    expect(await fast.client('web')).toBe(read.client);
  });

  test('for an artifact', async () => {
    const { prisma, fast } = provider.storage;
    const token = await newFamily(provider.issuer, client);
    const { body } = await refreshAt(provider.issuer, token, client);
    const id = artifactId('AccessToken', body.access_token ?? '');
    const row = await prisma.artifact.findUniqueOrThrow({
      where: { id },
      select: { id: true, clientId: true, familyId: true, sealed: true, consumedAt: true, grant },
    });
    const { grant: granted, ...artifact } = row;
    const { presenter, found } = await fast.artifact(id);
    expect(presenter).toBeUndefined();
    expect(found?.artifact).toEqual(binary(artifact));
    expect(found?.grant).toEqual(granted);
    expect(found?.account?.id).toBe(provider.accountId);
    expect(found?.client?.metadata).toHaveProperty('redirect_uris');
    expect(found?.session).toBeUndefined();

    const byItsClient = await fast.artifact(id, 'web');
    expect(byItsClient.presenter).toBe(found?.client);
    expect(byItsClient.found?.client).toBe(found?.client);
    const byAnother = await fast.artifact(id, 'other');
    expect(byAnother.presenter?.id).toBe('other');
    expect(byAnother.found?.client).toBe(found?.client);
    const byNobody = await fast.artifact(id, 'nobody');
    expect(byNobody.presenter).toBeUndefined();
    expect(byNobody.found?.client).toBe(found?.client);
  });

  test('for an artifact that ends with its session', async () => {
    const { prisma, fast } = provider.storage;
    const party = await discover(provider.issuer);
    const tokens = await signIn(party, new Agent(provider.issuer), { scope: 'openid' });
    const id = artifactId('AccessToken', tokens.access_token);
    const row = await prisma.artifact.findUniqueOrThrow({ where: { id } });
    const session = await prisma.artifact.findFirstOrThrow({
      where: { model: 'Session', lookup: row.session },
    });
    const { found } = await fast.artifact(id);
    expect(found?.session).toEqual(
      binary({ id: session.id, sealed: session.sealed, consumedAt: null }),
    );
    // Where two stand for a moment, the newest; and only a session is one.
    const newer = new Date(session.expiresAt.getTime() + 1000);
    const other = { id: artifactId('Session', 'newer'), sealed: session.sealed, expiresAt: newer };
    await prisma.artifact.create({
      data: { ...other, model: 'Session', lookup: row.session },
    });
    await prisma.artifact.create({
      data: {
        ...other,
        id: artifactId('AccessToken', 'newer'),
        model: 'AccessToken',
        lookup: row.session,
        expiresAt: new Date(newer.getTime() + 1000),
      },
    });
    expect((await fast.artifact(id)).found?.session?.id).toEqual(Buffer.from(other.id));
  });

  test('a session that came along is the one that is asked for, or none', async () => {
    const { storage } = provider;
    const party = await discover(provider.issuer);
    const tokens = await signIn(party, new Agent(provider.issuer), { scope: 'openid' });
    const id = artifactId('AccessToken', tokens.access_token);
    const { found } = await storage.fast.artifact(id);
    const session = found?.session;
    if (!session) throw new Error('no session came along');
    const uid = openArtifact(storage.keyring, session).uid ?? '';
    const sessions = createAdapter({} as FamilyPolicy)('Session');
    await runUnit(storage, { ip: undefined, userAgent: undefined }, async () => {
      currentUnit().ahead.session = session;
      expect(await sessions.findByUid(uid)).toMatchObject({ uid });
      expect(await sessions.findByUid('another')).toBeUndefined();
      expect(await createAdapter({} as FamilyPolicy)('DeviceCode').findByUserCode(uid)).toBe(
        undefined,
      );
    });
  });

  test('for a resource, and nothing of what is not there', async () => {
    const { prisma, fast } = provider.storage;
    const made = await prisma.resource.create({
      data: { id: 'https://api.example', scopes: { read: 'Read' }, ttl: 60 },
      omit: { applied: true, createdAt: true, updatedAt: true },
    });
    expect(await fast.resource(made.id)).toEqual(made);
    expect(await fast.resource('https://no.example')).toBeUndefined();
    expect(await fast.client('nobody')).toBeUndefined();
    expect(await fast.artifact(artifactId('AccessToken', 'x'))).toEqual({
      presenter: undefined,
      found: undefined,
    });
    expect(await fast.lookUp('Session', [artifactId('Session', 'x')])).toBeUndefined();
    expect(
      await fast.readForRefresh({ familyId: 'nothing', secretHash: undefined, clientId: 'nobody' }),
    ).toEqual({
      client: undefined,
      family: undefined,
      account: undefined,
      resource: undefined,
    });
  });

  test('a client that has changed is another at once, its secret alone too', async () => {
    const { prisma, fast } = provider.storage;
    const data = {
      id: 'changing',
      metadata: { client_name: 'Before' },
      secret: Buffer.from('one'),
    };
    await prisma.client.create({ data });
    const before = await fast.client('changing');
    expect(await fast.client('changing')).toBe(before);
    for (const change of [{ secret: Buffer.from('two') }, { secret: null }, { metadata: {} }]) {
      await prisma.client.update({ where: { id: 'changing' }, data: change });
      expect(await fast.client('changing')).toEqual(binary({ ...data, ...change }));
      Object.assign(data, change);
    }
    await prisma.client.delete({ where: { id: 'changing' } });
    expect(await fast.client('changing')).toBeUndefined();
  });

  test('also when many ask together, each its own', async () => {
    const { fast } = provider.storage;
    const tokens = await Promise.all(
      Array.from({ length: 20 }, () => newFamily(provider.issuer, client)),
    );
    const asked = [...tokens.map(familyIdOf), 'nothing', ...tokens.map(familyIdOf).reverse()];
    const read = await Promise.all(
      asked.map((id) =>
        fast.readForRefresh({ familyId: id, secretHash: undefined, clientId: 'web' }),
      ),
    );
    expect(read.map(({ family }) => family?.id)).toEqual(
      asked.map((id) => (id === 'nothing' ? undefined : id)),
    );
  });
});

test('prepared statements are planned once, and by their indexes', async () => {
  const { pool, prisma } = provider.storage;
  const setting = async (name: string) => {
    const { rows } = await pool.query<Record<string, string>>(`SHOW ${name}`);
    return rows[0]?.[name];
  };
  expect(await setting('plan_cache_mode')).toBe('force_generic_plan');
  expect(await setting('enable_seqscan')).toBe('off');
  expect(await prisma.$queryRaw`SHOW plan_cache_mode`).toEqual([{ plan_cache_mode: 'auto' }]);
});

// Plans are made while the tables are small, and kept while they grow; and whoever tests an application with one grant
// has very many codes that hang on it.
test('rows are found by their primary key or their lookup, whatever the tables hold', async () => {
  const { pool, prisma } = provider.storage;
  const texts = new Map<string, string>();
  const recording = new Proxy(pool, {
    get: (target, name) =>
      name === 'query'
        ? ({ name: statement, text }: { name: string; text: string }) => {
            texts.set(statement, text);
            return Promise.resolve({ rows: [] });
          }
        : (Reflect.get(target, name) as unknown),
  });
  const bytes = new Uint8Array(32);
  const date = new Date();
  const kept = { id: bytes, accountId: null, sealed: bytes, expiresAt: date };
  const issued = { ...kept, clientId: null, session: null };
  const origin = { ip: undefined, userAgent: undefined };
  const family = { grantId: 'x', id: 'x', generation: 0, currentHash: bytes };
  const presented = { family, successor: 'x', idleExpiresAt: date };
  const fast = createFast(recording);
  await Promise.allSettled([
    fast.client('x'),
    fast.resource('x'),
    fast.grant('x'),
    fast.artifact(bytes, 'x'),
    fast.lookUp('Session', [bytes]),
    fast.readForRefresh({ familyId: 'x', secretHash: undefined, clientId: 'x' }),
    fast.rotate({ presented, next: {}, issued, now: date, origin } as never),
    fast.exchange({
      code: bytes,
      line: 'x',
      grantId: 'x',
      issued,
      start: undefined,
      now: date,
      origin,
    }),
    fast.authorize({ session: kept, code: issued, grantId: 'x' }),
  ]);
  expect([...texts.keys()].sort()).toEqual([
    'authorize',
    'exchange_code',
    'look_up_artifacts',
    'read_artifacts',
    'read_clients',
    'read_for_refresh',
    'read_grants',
    'read_resources',
    'rotate_and_issue',
  ]);
  const assertPlans = async () => {
    for (const text of texts.values()) {
      const { rows } = await pool.query<Record<string, string>>(`EXPLAIN (GENERIC_PLAN) ${text}`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toContain('Seq Scan');
      const indexes = [...plan.matchAll(/(?:using|Index Scan on) (\w+)/g)].map(
        ([, index]) => index,
      );
      expect(indexes).not.toEqual([]);
      expect(plan.match(/Index Cond/g)).toHaveLength(indexes.length);
      for (const index of indexes) expect(index).toMatch(/_pkey$|^artifact_lookup_idx$/);
    }
  };
  await assertPlans();
  await newFamily(provider.issuer, client);
  const { id: grantId } = await prisma.grant.findFirstOrThrow();
  await prisma.$executeRaw`
    INSERT INTO artifact (id, model, grant_id, sealed, expires_at)
    SELECT decode(md5(n::text), 'hex'), 'AuthorizationCode', ${grantId}, '', now() FROM generate_series(1, 5000) n`;
  await assertPlans();
  await prisma.$executeRaw`ANALYZE`;
  await assertPlans();
});

test('a client is what its row says now, in its metadata and its secret', async () => {
  const { prisma, keyring } = provider.storage;
  const changing = { ...client, client_id: 'changing' };
  await provider.addClient(changing);
  const token = await newFamily(provider.issuer, changing);
  const first = await refreshAt(provider.issuer, token, changing);
  expect(first.status).toBe(200);
  const next = first.body.refresh_token ?? '';
  const { client_secret: secret, ...metadata } = changing;
  await updateClient(prisma, { ...metadata, grant_types: ['authorization_code'] });
  const { body: refused } = await refreshAt(provider.issuer, next, changing);
  expect(refused.error).toBe('unauthorized_client');
  await updateClient(prisma, metadata);
  expect((await refreshAt(provider.issuer, next, changing)).status).toBe(200);

  await prisma.client.delete({ where: { id: 'changing' } });
  await insertClient(prisma, keyring, { ...changing, client_secret: `not ${secret}` });
  const former = await refreshAt(provider.issuer, next, changing);
  expect(former.body.error).toBe('invalid_client');
});

test('a family that somebody has locked holds up no other', async () => {
  const tokens = await Promise.all(
    Array.from({ length: 8 }, () => newFamily(provider.issuer, client)),
  );
  const [locked = '', ...free] = tokens;
  const row = await holdFamily(provider.databaseUrl, locked);
  const waits = refreshAt(provider.issuer, locked, client);
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(
      free.map((token) => refreshAt(provider.issuer, token, client)),
    );
    expect(answers.map(({ status }) => status)).toEqual(free.map(() => 200));
    answers.forEach(({ body }, index) => (free[index] = body.refresh_token ?? ''));
  }
  await row.release();
  expect((await waits).status).toBe(200);
});

test('nor does a grant', async () => {
  const [one, other] = await Promise.all([1, 2].map(() => newFamily(provider.issuer, client)));
  const { grantId } = await provider.storage.prisma.refreshFamily.findUniqueOrThrow({
    where: { id: familyIdOf(one ?? '') },
  });
  const row = await hold(provider.databaseUrl, 'SELECT FROM "grant" WHERE id = $1 FOR UPDATE', [
    grantId,
  ]);
  const waits = refreshAt(provider.issuer, one ?? '', client);
  expect((await refreshAt(provider.issuer, other ?? '', client)).status).toBe(200);
  await row.release();
  expect((await waits).status).toBe(200);
});

test('however often it rotates, a family is one row, changed in place', async () => {
  const { prisma } = provider.storage;
  const rotations = process.env['TEST_LONG'] === undefined ? 500 : 10_000;
  let token = await newFamily(provider.issuer, client);
  const id = familyIdOf(token);
  const updates = async () => {
    await prisma.$executeRaw`SELECT pg_stat_force_next_flush()`;
    const [row] = await prisma.$queryRaw<{ all: bigint; hot: bigint }[]>`
      SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'refresh_family'`;
    return { all: Number(row?.all), hot: Number(row?.hot) };
  };
  const before = await updates();
  for (let count = 0; count < rotations; count++) {
    const { body } = await refreshAt(provider.issuer, token, client);
    token = body.refresh_token ?? '';
  }
  expect(await prisma.refreshFamily.findUnique({ where: { id } })).toMatchObject({
    generation: rotations,
  });
  // The counters come within a second of the sessions' own.
  await expect
    .poll(async () => (await updates()).all - before.all)
    .toBeGreaterThanOrEqual(rotations * 0.9);
  const after = await updates();
  expect((after.hot - before.hot) / (after.all - before.all)).toBeGreaterThan(0.9);
});

describe('a batch', () => {
  test('answers each in its order, a lone one at once, and the many together', async () => {
    const sizes: number[] = [];
    const batch = new Batch((items: readonly number[]) => {
      sizes.push(items.length);
      return Promise.resolve(items.map((item) => item * 2));
    });
    expect(await batch.ask(1)).toBe(2);
    const many = Array.from({ length: 200 }, (_, index) => index);
    expect(await Promise.all(many.map((item) => batch.ask(item)))).toEqual(
      many.map((item) => item * 2),
    );
    expect(sizes[0]).toBe(1);
    expect(sizes.length).toBeLessThan(8);
    expect(Math.max(...sizes)).toBe(64);
  });

  test('leaves those alone whose data is good, when one’s cannot be stored', async () => {
    const batch = new Batch((items: readonly number[]) =>
      items.includes(13)
        ? Promise.reject(Object.assign(new Error('bad'), { code: '22021' }))
        : Promise.resolve(items),
    );
    const answers = await Promise.allSettled([1, 13, 2].map((item) => batch.ask(item)));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('goes without one that is late, but not at once', async () => {
    const releases: (() => void)[] = [];
    const batch = new Batch(
      (items: readonly number[]) =>
        new Promise<readonly number[]>((resolve) => {
          if (items.includes(1))
            releases.push(() => {
              resolve(items);
            });
          else resolve(items);
        }),
    );
    const late = batch.ask(1);
    await expect.poll(() => releases.length).toBe(1);
    // These come while it is on its way, and go together.
    expect(await Promise.all([2, 3].map((item) => batch.ask(item)))).toEqual([2, 3]);
    releases[0]?.();
    expect(await late).toBe(1);
  });

  test('tells all of them that the database is away', async () => {
    let asked = 0;
    const batch = new Batch((_items: readonly number[]): Promise<number[]> => {
      asked++;
      return Promise.reject(new Error('away'));
    });
    const answers = await Promise.allSettled([1, 2, 3].map((item) => batch.ask(item)));
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(asked).toBe(1);
  });
});

test('a client that is not there, and one with a NUL in its id, are refused as ever', async () => {
  for (const id of ['nobody', 'no\u0000body']) {
    const { status, body } = await post(
      `${provider.issuer}/token`,
      { grant_type: 'refresh_token', refresh_token: 'x' },
      { client_id: encodeURIComponent(id), client_secret: 'x' },
    );
    expect({ status, error: body.error }).toMatchObject({ status: expect.any(Number) as number });
    expect(status).toBeLessThan(500);
  }
});

/** Prisma gives bytes as Uint8Array, the driver as Buffer. */
function binary<T>(value: T): T {
  if (value instanceof Uint8Array) return Buffer.from(value) as T;
  const isPlain = value !== null && typeof value === 'object' && !(value instanceof Date);
  if (!isPlain || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, binary(member)]),
  ) as T;
}
