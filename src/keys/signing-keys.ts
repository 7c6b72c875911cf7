// The keys that sign tokens, in the database with their private part sealed. For each algorithm one key signs, and one
// is published already and will sign next. A key that has signed stays published until the last token that it signed
// has expired: next → current → retired → gone.
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { type JWK, calculateJwkThumbprint } from 'jose';
import { type SigningAlgorithm, signingAlgorithms } from '../config/signing-algorithms.ts';
import { locks } from '../database/locks.ts';
import type { Prisma, PrismaClient, SigningKey } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';
import type { SealedTable } from './reseal.ts';

/** Milliseconds for which a key is published before it signs, so that every cached JWKS has it by then. */
export const PUBLISHED_BEFORE = 86_400_000;

/** Times in milliseconds. */
export interface KeySchedule {
  /** How long a key signs. */
  readonly rotateEvery: number;
  /** How long a key that has signed stays published: the longest lifetime of what it signed. */
  readonly keptFor: number;
  /** The algorithms that have keys. */
  readonly algorithms: readonly SigningAlgorithm[];
}

/** The keys that a provider has. */
export interface SigningKeys {
  /** As JWKs with `kid`, `alg` and `use`: first those that sign. */
  readonly keys: readonly JWK[];
  /** The algorithms that one of them signs with now. */
  readonly algorithms: readonly SigningAlgorithm[];
}

export type KeyState = 'next' | 'current' | 'retired' | 'gone';

type KeyTimes = Pick<SigningKey, 'kid' | 'alg' | 'createdAt' | 'signsFrom'> & {
  readonly retiredAt?: Date | null;
};

/** The state of each key, by its `kid`. */
export function keyStates(
  keys: readonly KeyTimes[],
  now: Date,
  { keptFor }: Pick<KeySchedule, 'keptFor'>,
): Map<string, KeyState> {
  const states = new Map<string, KeyState>();
  for (const alg of new Set(keys.map((key) => key.alg))) {
    const ofAlg = keys
      .filter((key) => key.alg === alg)
      .sort((a, b) => startOf(b) - startOf(a) || (a.kid < b.kid ? -1 : 1));
    let followedAt = Infinity; // when the next key began to sign
    for (const key of ofAlg) {
      const signsFrom = startOf(key);
      if (signsFrom > now.getTime()) states.set(key.kid, 'next');
      else {
        const endedAt = Math.min(followedAt, key.retiredAt?.getTime() ?? Infinity);
        const isKept = endedAt + keptFor > now.getTime();
        states.set(key.kid, endedAt > now.getTime() ? 'current' : isKept ? 'retired' : 'gone');
        followedAt = signsFrom;
      }
    }
  }
  return states;
}

export interface KeyPlan {
  /** The keys that begin to sign, by `kid`. */
  readonly promote: readonly string[];
  /** The algorithms that get a new key: a next one, and also a current one if there is none. */
  readonly make: readonly { alg: SigningAlgorithm; signsNow: boolean }[];
  readonly remove: readonly string[];
  /** The keys that sign no more, since their algorithm was withdrawn. */
  readonly retire: readonly string[];
}

/** The changes that are due now. The keys of other algorithms than the schedule's sign no more. */
export function planKeys(keys: readonly KeyTimes[], now: Date, schedule: KeySchedule): KeyPlan {
  const states = keyStates(keys, now, schedule);
  // The earliest first: another process, whose clock is ahead, may have promoted a key already.
  const ordered = keys.toSorted((a, b) => startOf(a) - startOf(b) || 0);
  const promote: string[] = [];
  const make: { alg: SigningAlgorithm; signsNow: boolean }[] = [];
  for (const alg of schedule.algorithms) {
    const inState = (state: KeyState) =>
      ordered.filter((key) => key.alg === alg && states.get(key.kid) === state);
    const [current] = inState('current');
    const [next, ...others] = inState('next');
    const isOver = current && startOf(current) + schedule.rotateEvery <= now.getTime();
    const isKnown = next && next.createdAt.getTime() + PUBLISHED_BEFORE <= now.getTime();
    const isDue = next && (current ? isOver && isKnown && next.signsFrom === null : true);
    if (isDue) promote.push(next.kid);
    if (!current && !next) make.push({ alg, signsNow: true });
    if (!next || (isDue && others.length === 0)) make.push({ alg, signsNow: false });
  }
  const isWithdrawn = ({ alg }: KeyTimes) => !schedule.algorithms.some((one) => one === alg);
  const kidsOf = (state: KeyState, counts: (key: KeyTimes) => boolean = () => true) =>
    keys.filter((key) => states.get(key.kid) === state && counts(key)).map(({ kid }) => kid);
  // A next key has signed nothing.
  const remove = [...kidsOf('gone'), ...kidsOf('next', isWithdrawn)];
  return { promote, make, remove, retire: kidsOf('current', isWithdrawn) };
}

/** The keys that were changed, by `kid`. */
export type KeyChanges = Partial<Record<KeyChange, readonly string[]>>;
type KeyChange = 'added' | 'rotated' | 'removed' | 'retired';

/** Records a change, in its transaction. */
export type RecordKeys = (database: Prisma.TransactionClient, changes: KeyChanges) => Promise<void>;

/** Makes, promotes and removes the keys that are due. Any process may do so at any time. */
export async function maintainKeys(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
  wanted: KeySchedule,
  record?: RecordKeys,
): Promise<void> {
  const existing = await prisma.signingKey.findMany();
  const schedule = { ...wanted, algorithms: await stillWanted(prisma, existing, now, wanted) };
  const due = planKeys(existing, now, schedule);
  if (Object.values(due).every((some: readonly unknown[]) => some.length === 0)) return;
  // Made before the lock is taken. A key that another process has made meanwhile makes ours superfluous.
  const made = await Promise.all(
    due.make.map(async (wanted) => ({ ...wanted, key: await makeKey(keyring, wanted.alg, now) })),
  );
  await prisma.$transaction(async (database) => {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.rotatingKeys})`;
    const plan = planKeys(await database.signingKey.findMany(), now, schedule);
    for (const kid of plan.promote) await signFrom(database, kid, now);
    const data = plan.make.flatMap(({ alg, signsNow }) => {
      const key = made.find((one) => one.alg === alg && one.signsNow === signsNow)?.key;
      return key ? [{ ...key, signsFrom: signsNow ? now : null }] : [];
    });
    await database.signingKey.createMany({ data });
    await database.signingKey.deleteMany({ where: { kid: { in: [...plan.remove] } } });
    const where = { kid: { in: [...plan.retire] }, retiredAt: null };
    const { count } = await database.signingKey.updateMany({ where, data: { retiredAt: now } });
    const { promote: rotated, remove: removed, retire } = plan;
    const [added, retired] = [data.map(({ kid }) => kid), count > 0 ? retire : []];
    await record?.(database, { added, rotated, removed, retired });
  });
}

/**
 * The schedule's algorithms, and those besides that sign now and that a registered client or resource asks for: what was
 * registered before an algorithm was withdrawn goes on.
 */
async function stillWanted(
  prisma: PrismaClient,
  keys: readonly KeyTimes[],
  now: Date,
  schedule: KeySchedule,
): Promise<SigningAlgorithm[]> {
  const states = keyStates(keys, now, schedule);
  const signing = (alg: SigningAlgorithm) =>
    keys.some((key) => key.alg === alg && states.get(key.kid) === 'current');
  const withdrawn = signingAlgorithms.filter(
    (alg) => !schedule.algorithms.includes(alg) && signing(alg),
  );
  if (withdrawn.length === 0) return [...schedule.algorithms];
  // A client of FAPI 2.0 that names none gets PS256.
  const used = await prisma.$queryRaw<{ alg: string }[]>`
    SELECT DISTINCT alg FROM client, LATERAL (VALUES
      (metadata->>'id_token_signed_response_alg'), (metadata->>'userinfo_signed_response_alg'),
      (metadata->>'introspection_signed_response_alg'), (metadata->>'authorization_signed_response_alg'),
      (CASE WHEN metadata->>'security_profile' = 'fapi2' THEN 'PS256' END)) AS asked (alg)
    WHERE alg IS NOT NULL
    UNION SELECT alg FROM resource WHERE alg IS NOT NULL`;
  return [
    ...schedule.algorithms,
    ...withdrawn.filter((one) => used.some(({ alg }) => alg === one)),
  ];
}

/**
 * Replaces the keys that sign by the next ones, once these have been published long enough, or at once.
 *
 * @param atOnce for a key that was disclosed: relying parties with an older JWKS must fetch it again
 * @param record records the change, in its transaction
 * @returns the keys that take over, with the time from which they sign
 */
export async function rotateKeys(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
  schedule: KeySchedule,
  atOnce: boolean,
  record?: RecordKeys,
): Promise<{ kid: string; alg: string; signsFrom: Date }[]> {
  await maintainKeys(prisma, keyring, now, schedule, record);
  const rotated = await prisma.$transaction(async (database) => {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.rotatingKeys})`;
    const keys = await database.signingKey.findMany();
    const states = keyStates(keys, now, schedule);
    const next = keys.filter(({ kid }) => states.get(kid) === 'next');
    await record?.(database, { rotated: next.map(({ kid }) => kid) });
    return Promise.all(
      next.map(async ({ kid, alg, createdAt }) => {
        const known = createdAt.getTime() + PUBLISHED_BEFORE;
        const signsFrom = atOnce ? now : new Date(Math.max(known, now.getTime()));
        await signFrom(database, kid, signsFrom);
        return { kid, alg, signsFrom };
      }),
    );
  });
  await maintainKeys(prisma, keyring, now, schedule, record);
  return rotated;
}

/** A fingerprint that changes with the keys, computed without opening any. */
export async function fingerprintKeys(
  prisma: PrismaClient,
  now: Date,
  schedule: KeySchedule,
): Promise<string> {
  const keys = await prisma.signingKey.findMany({
    select: { kid: true, alg: true, createdAt: true, signsFrom: true, retiredAt: true },
    orderBy: { kid: 'asc' },
  });
  const states = keyStates(keys, now, schedule);
  return keys.map(({ kid }) => `${kid} ${states.get(kid)}`).join('\n');
}

/** The private keys, and the algorithms that they sign with. */
export async function loadSigningKeys(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
  schedule: KeySchedule,
): Promise<SigningKeys> {
  const keys = await prisma.signingKey.findMany({
    orderBy: [{ createdAt: 'asc' }, { kid: 'asc' }],
  });
  const states = keyStates(keys, now, schedule);
  const published = (['current', 'next', 'retired'] as const).flatMap((state) =>
    keys.filter(({ kid }) => states.get(kid) === state),
  );
  return {
    keys: published.map(
      ({ kid, sealed }) => JSON.parse(keyring.unseal(signingKeyContext(kid), sealed)) as JWK,
    ),
    algorithms: signingAlgorithms.filter((alg) =>
      keys.some((key) => key.alg === alg && states.get(key.kid) === 'current'),
    ),
  };
}

/** The record's identity, under which its private part is sealed. */
function signingKeyContext(kid: string): string {
  return `signing key ${kid}`;
}

export const sealedSigningKeys: SealedTable<string> = {
  name: 'signing_keys',
  table: 'signing_key',
  key: 'kid',
  column: 'sealed',
  told: 'kid',
  context: signingKeyContext,
};

async function signFrom(
  database: Prisma.TransactionClient,
  kid: string,
  signsFrom: Date,
): Promise<void> {
  await database.signingKey.update({ where: { kid }, data: { signsFrom } });
}

/** Makes a key's record. Its id never starts with a hyphen, which a command line would take for an option. */
export async function makeKey(
  keyring: Keyring,
  alg: SigningAlgorithm,
  now: Date,
): Promise<Prisma.SigningKeyCreateManyInput> {
  const key = (await newPrivateKey(alg)).export({ format: 'jwk' });
  const kid = await calculateJwkThumbprint(key); // RFC 7638
  if (kid.startsWith('-')) return makeKey(keyring, alg, now);
  const jwk = JSON.stringify({ ...key, kid, alg, use: 'sig' });
  return { kid, alg, sealed: keyring.seal(signingKeyContext(kid), jwk), createdAt: now };
}

const generate = promisify(generateKeyPair);

async function newPrivateKey(alg: SigningAlgorithm) {
  switch (alg) {
    case 'RS256':
    case 'PS256':
      return (await generate('rsa', { modulusLength: 2048 })).privateKey;
    case 'ES256':
      return (await generate('ec', { namedCurve: 'P-256' })).privateKey;
    case 'EdDSA':
      return (await generate('ed25519')).privateKey;
  }
}

// A next key has no start time yet.
function startOf({ signsFrom }: KeyTimes): number {
  return signsFrom?.getTime() ?? Infinity;
}
