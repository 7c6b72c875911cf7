// What is sealed is sealed anew: all of it, only as it was read, in batches.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { linkData, sealedLinks } from '../../src/accounts/links.ts';
import { sealedTables } from '../../src/commands/sealed-tables.ts';
import { connect } from '../../src/database/open.ts';
import type { PrismaClient } from '../../src/generated/client.ts';
import { Keyring, SealError, sha256 } from '../../src/keys/keyring.ts';
import { reseal } from '../../src/keys/reseal.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';

const FORMER = 'one secret that is long enough to be one';
const CURRENT = 'two secrets are better than a single one';

// Bytes that nobody opens: hashes, keyed or not, public keys, pictures.
const unsealed = [
  'artifact.id',
  'artifact.lookup',
  'artifact.session',
  'link.id',
  'passkey.public_key',
  'picture.content',
  'recovery_code.id',
  'refresh_family.current_hash',
  'refresh_family.salt',
  'refresh_family.previous_hash',
];

let database: TestDatabase;
let prisma: PrismaClient;

beforeAll(async () => {
  database = await createDatabase();
  prisma = connect(database.url);
});
beforeEach(() => prisma.link.deleteMany());
afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
});

test('no table in which something is sealed is forgotten', async () => {
  const columns = await prisma.$queryRaw<{ name: string }[]>`
    SELECT table_name || '.' || column_name AS name FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type = 'bytea'`;
  const sealed = sealedTables.map(({ table, column }) => `${table}.${column}`);
  expect([...sealed, ...unsealed].sort()).toEqual(columns.map(({ name }) => name).sort());
});

test('each is read by its primary key', async () => {
  const keys = await prisma.$queryRaw<{ name: string }[]>`
    SELECT relname || '.' || attname AS name FROM pg_index
    JOIN pg_class ON pg_class.oid = indrelid JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    WHERE indisprimary AND indnkeyatts = 1`;
  for (const { table, key } of sealedTables)
    expect(keys.map(({ name }) => name)).toContain(`${table}.${key}`);
});

async function makeLinks(secret: string, count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const keyring = new Keyring([secret]);
  const ids = Array.from({ length: count }, (_, index) => sha256(`link ${index}`));
  await prisma.link.createMany({
    data: ids.map((id) => ({
      id,
      purpose: 'sign_up',
      sealed: keyring.seal(sealedLinks.context(id), '{"kept":true}'),
      expiresAt: new Date(),
    })),
  });
  await prisma.link.create({
    data: { id: sha256('nothing'), purpose: 'invitation', expiresAt: new Date() },
  });
  return ids;
}

test.each([1, 2, 5, 100])('%i rows at a time, and then nothing is left to do', async (batch) => {
  await makeLinks(FORMER, 5);
  const keyring = new Keyring([CURRENT, FORMER]);
  expect(await reseal({ prisma, keyring }, sealedTables, batch)).toEqual({
    signing_keys: 0,
    installation_secrets: 0,
    client_secrets: 0,
    artifacts: 0,
    deliveries: 0,
    one_time_codes: 0,
    links: 5,
  });
  const fresh = new Keyring([CURRENT]);
  const links = await prisma.link.findMany({ where: { sealed: { not: null } } });
  expect(links.map((link) => linkData(fresh, link))).toEqual(Array(5).fill({ kept: true }));
  expect(await reseal({ prisma, keyring: fresh }, [sealedLinks], batch)).toEqual({ links: 0 });
});

test('what another changes meanwhile is left as that one wrote it', async () => {
  const [id] = (await makeLinks(FORMER, 3)) as [Uint8Array<ArrayBuffer>];
  const keyring = new Keyring([CURRENT, FORMER]);
  const theirs = keyring.seal(sealedLinks.context(id), '{"kept":"theirs"}');
  const [counts] = await prisma.$transaction(async (other) => {
    await other.link.update({ where: { id }, data: { sealed: theirs } });
    const resealing = reseal({ prisma, keyring }, [sealedLinks]);
    await waitsForLock();
    return [resealing];
  });
  expect(await counts).toEqual({ links: 2 });
  const link = await prisma.link.findUniqueOrThrow({ where: { id } });
  expect(linkData(new Keyring([CURRENT]), link)).toEqual({ kept: 'theirs' });
});

test('what has nothing sealed is passed over: a jti that was seen', async () => {
  await makeLinks(FORMER, 1);
  const data = { id: sha256('jti'), model: 'ReplayDetection', sealed: new Uint8Array(0) };
  await prisma.artifact.create({ data: { ...data, expiresAt: new Date() } });
  const keyring = new Keyring([CURRENT, FORMER]);
  expect(await reseal({ prisma, keyring }, sealedTables)).toMatchObject({ artifacts: 0, links: 1 });
  await prisma.artifact.delete({ where: { id: data.id } });
});

test('what cannot be opened is an error', async () => {
  await makeLinks('a third secret that nobody has listed', 1);
  const keyring = new Keyring([CURRENT, FORMER]);
  await expect(reseal({ prisma, keyring }, sealedTables)).rejects.toThrow(SealError);
});

async function waitsForLock(): Promise<void> {
  for (;;) {
    const [row] = await prisma.$queryRaw<{ waiting: bigint }[]>`
      SELECT count(*) AS waiting FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    if (row?.waiting) return;
    await pause(5);
  }
}
