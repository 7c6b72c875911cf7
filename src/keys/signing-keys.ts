// The keys that sign tokens, in the database with their private part sealed. For each algorithm one key signs, and one
// is published already and will sign next. A key that has signed stays published until the last token that it signed
// has expired: next → current → retired → gone.
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { type JWK, calculateJwkThumbprint } from 'jose';
import { locks } from '../database/locks.ts';
import type { Prisma, PrismaClient, SigningKey } from '../generated/client.ts';
import type { Keyring } from './keyring.ts';
import type { SealedTable } from './reseal.ts';

/** RS256 is the default of clients (OIDC Core §15.1); ES256 is recommended. */
export const signingAlgorithms = ['RS256', 'ES256', 'PS256', 'EdDSA'] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

/** Milliseconds for which a key is published before it signs, so that every cached JWKS has it by then. */
export const PUBLISHED_BEFORE = 86_400_000;

/** Times in milliseconds. */
export interface KeySchedule {
  /** How long a key signs. */
  readonly rotateEvery: number;
  /** How long a key that has signed stays published: the longest lifetime of what it signed. */
  readonly keptFor: number;
}

export type KeyState = 'next' | 'current' | 'retired' | 'gone';

type KeyTimes = Pick<SigningKey, 'kid' | 'alg' | 'createdAt' | 'signsFrom'>;

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
    let retiredAt: number | undefined; // when the next key began to sign
    for (const key of ofAlg) {
      const signsFrom = startOf(key);
      if (signsFrom > now.getTime()) states.set(key.kid, 'next');
      else if (retiredAt === undefined) states.set(key.kid, 'current');
      else states.set(key.kid, retiredAt + keptFor > now.getTime() ? 'retired' : 'gone');
      if (signsFrom <= now.getTime()) retiredAt = signsFrom;
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
}

/** The changes that are due now. */
export function planKeys(keys: readonly KeyTimes[], now: Date, schedule: KeySchedule): KeyPlan {
  const states = keyStates(keys, now, schedule);
  // The earliest first: another process, whose clock is ahead, may have promoted a key already.
  const ordered = keys.toSorted((a, b) => startOf(a) - startOf(b) || 0);
  const promote: string[] = [];
  const make: { alg: SigningAlgorithm; signsNow: boolean }[] = [];
  for (const alg of signingAlgorithms) {
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
  const remove = keys.filter(({ kid }) => states.get(kid) === 'gone').map(({ kid }) => kid);
  return { promote, make, remove };
}

/** Makes, promotes and removes the keys that are due. Any process may do so at any time. */
export async function maintainKeys(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
  schedule: KeySchedule,
): Promise<void> {
  const due = planKeys(await prisma.signingKey.findMany(), now, schedule);
  if (due.make.length + due.promote.length + due.remove.length === 0) return;
  // Made before the lock is taken. A key that another process has made meanwhile makes ours superfluous.
  const made = await Promise.all(
    due.make.map(async (wanted) => ({ ...wanted, key: await makeKey(keyring, wanted.alg, now) })),
  );
  await prisma.$transaction(async (database) => {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.rotatingKeys})`;
    const plan = planKeys(await database.signingKey.findMany(), now, schedule);
    for (const kid of plan.promote) await signFrom(database, kid, now);
    await database.signingKey.createMany({
      data: plan.make.flatMap(({ alg, signsNow }) => {
        const key = made.find((one) => one.alg === alg && one.signsNow === signsNow)?.key;
        return key ? [{ ...key, signsFrom: signsNow ? now : null }] : [];
      }),
    });
    await database.signingKey.deleteMany({ where: { kid: { in: [...plan.remove] } } });
  });
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
  record?: (database: Prisma.TransactionClient) => Promise<void>,
): Promise<{ kid: string; alg: string; signsFrom: Date }[]> {
  await maintainKeys(prisma, keyring, now, schedule);
  const rotated = await prisma.$transaction(async (database) => {
    await database.$executeRaw`SELECT pg_advisory_xact_lock(${locks.rotatingKeys})`;
    const keys = await database.signingKey.findMany();
    const states = keyStates(keys, now, schedule);
    const next = keys.filter(({ kid }) => states.get(kid) === 'next');
    await record?.(database);
    return Promise.all(
      next.map(async ({ kid, alg, createdAt }) => {
        const known = createdAt.getTime() + PUBLISHED_BEFORE;
        const signsFrom = atOnce ? now : new Date(Math.max(known, now.getTime()));
        await signFrom(database, kid, signsFrom);
        return { kid, alg, signsFrom };
      }),
    );
  });
  await maintainKeys(prisma, keyring, now, schedule);
  return rotated;
}

/** A fingerprint that changes with the keys, computed without opening any. */
export async function fingerprintKeys(
  prisma: PrismaClient,
  now: Date,
  schedule: KeySchedule,
): Promise<string> {
  const keys = await prisma.signingKey.findMany({
    select: { kid: true, alg: true, createdAt: true, signsFrom: true },
    orderBy: { kid: 'asc' },
  });
  const states = keyStates(keys, now, schedule);
  return keys.map(({ kid }) => `${kid} ${states.get(kid)}`).join('\n');
}

/** The private keys as JWKs with `kid`, `alg` and `use`: first those that sign. */
export async function loadSigningKeys(
  prisma: PrismaClient,
  keyring: Keyring,
  now: Date,
  schedule: KeySchedule,
): Promise<JWK[]> {
  const keys = await prisma.signingKey.findMany({
    orderBy: [{ createdAt: 'asc' }, { kid: 'asc' }],
  });
  const states = keyStates(keys, now, schedule);
  const published = (['current', 'next', 'retired'] as const).flatMap((state) =>
    keys.filter(({ kid }) => states.get(kid) === state),
  );
  return published.map(
    ({ kid, sealed }) => JSON.parse(keyring.unseal(signingKeyContext(kid), sealed)) as JWK,
  );
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
