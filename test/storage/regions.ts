// Several regions, simulated: each has a copy of a family's row and answers from that alone, with the project's own verdict,
// successor, retries and rotation. Copies travel as messages and are merged; the merge is not built anywhere else.
import type { Prisma } from '../../src/generated/client.ts';
import { Keyring, sha256 } from '../../src/keys/keyring.ts';
import { LostRace } from '../../src/storage/errors.ts';
import type { Retries } from '../../src/storage/families/retries.ts';
import { rotateFamily } from '../../src/storage/families/row.ts';
import {
  formatRefreshToken,
  newRefreshToken,
  parseRefreshToken,
} from '../../src/storage/families/token.ts';
import { type FamilyRules, decide } from '../../src/storage/families/verdict.ts';
import type { FamilyRead } from '../../src/storage/fast/reads.ts';

export const WINDOW = 60; // seconds
export const IDLE = 1000;
const ABSOLUTE = 5000;

type Row = FamilyRead & { lastUsedAt: Date | null; lastUsedIp: string | null };
export type Answer = { token: string } | { refused: string };

const keyring = new Keyring(['one secret that is long enough to be one']);
const rules: FamilyRules = {
  retryWindow: WINDOW,
  retryLimits: { lateAfter: 10, maxElsewhere: 3, maxAlike: 10 },
  onReuse: 'revoke_family',
  idleTtl: IDLE,
  goesFarEnough: true,
  isAllowed: true,
};
export const OWNER = { ip: '192.0.2.1', userAgent: 'the owner’s' };
export const THIEF = { ip: '192.0.2.2', userAgent: 'the thief’s' };

/** The same row from two copies: the further one, ended if either is. In whatever order copies come, the result is one. */
export function merge(one: Row, other: Row): Row {
  const further = order(one, other) >= 0 ? one : other;
  const [first] = [one, other]
    .filter(({ endedAt }) => endedAt !== null)
    .sort((a, b) => Number(a.endedAt) - Number(b.endedAt) || compare(a.endReason, b.endReason));
  return { ...further, endedAt: first?.endedAt ?? null, endReason: first?.endReason ?? null };
}

/** By generation; within one, by the later answer, then by the retries that were counted. */
function order(one: Row, other: Row): number {
  const retriesOf = ({ retries }: Row) => retries as Retries;
  return (
    one.generation - other.generation ||
    compare(hex(one), hex(other)) ||
    Number(one.rotatedAt) - Number(other.rotatedAt) ||
    (retriesOf(one).count ?? 0) - (retriesOf(other).count ?? 0) ||
    compare(JSON.stringify(one), JSON.stringify(other))
  );
}

const hex = ({ currentHash }: Row) => Buffer.from(currentHash).toString('hex');
const compare = (one: unknown, other: unknown) =>
  String(one) < String(other) ? -1 : Number(String(one) > String(other));

export class World {
  now = new Date('2026-01-01T00:00:00Z');
  readonly regions: Row[];
  readonly first: string;
  /** Copies on their way. */
  readonly messages: { to: number; row: Row }[] = [];
  /** Of each generation the values that were answered. */
  readonly issued = new Map<number, Set<string>>();
  readonly #keyrings: readonly Keyring[];

  constructor(regions: number, keyrings: readonly Keyring[] = [keyring]) {
    this.#keyrings = keyrings;
    const token = newRefreshToken('f'.repeat(22));
    this.first = formatRefreshToken(this.#keyringOf(0), token);
    this.#note(this.first);
    const row: Row = {
      id: token.familyId,
      grantId: 'grant',
      accountId: 'account',
      clientId: 'client',
      generation: 0,
      currentHash: sha256(token.secret),
      previousHash: null,
      salt: new Uint8Array(token.salt),
      rotatedAt: null,
      payload: {},
      createdAt: this.now,
      idleExpiresAt: this.in(IDLE),
      absoluteExpiresAt: this.in(ABSOLUTE),
      consentExpiresAt: null,
      lastUsedAt: this.now,
      lastUsedIp: OWNER.ip,
      lastUsedUserAgent: OWNER.userAgent,
      retries: {},
      endedAt: null,
      endReason: null,
      grant: null,
    };
    this.regions = Array.from({ length: regions }, () => row);
  }

  in(seconds: number): Date {
    return new Date(this.now.getTime() + seconds * 1000);
  }

  row(region: number): Row {
    return this.regions[region] as Row;
  }

  /** Presents a token in one region. @param meanwhile what happens after it was judged, and before it is rotated */
  async present(
    region: number,
    value: string,
    origin = OWNER,
    meanwhile?: () => Promise<void>,
  ): Promise<Answer> {
    const ring = this.#keyringOf(region);
    const token = parseRefreshToken(ring, value);
    if (!token) return { refused: 'unknown' };
    const occasion = { now: this.now, origin };
    const decision = decide(this.row(region), token, rules, occasion, ring);
    if (decision.kind === 'refused') {
      if (decision.ends !== 'nothing') this.end(region, decision.reason);
      return { refused: decision.reason };
    }
    await meanwhile?.();
    try {
      await rotateFamily(this.#database(region), { ...decision, next: {} }, occasion);
    } catch (error) {
      if (error instanceof LostRace) return { refused: 'lost race' };
      throw error;
    }
    const { familyId } = token;
    const { generation, successor: secret, derivedBy, family } = decision;
    const next = { familyId, generation: generation + 1, secret, salt: family.salt };
    const answered = formatRefreshToken(ring, next, derivedBy);
    this.#note(answered);
    this.#send(region);
    return { token: answered };
  }

  end(region: number, reason: string): void {
    const row = this.row(region);
    if (row.endedAt !== null) return;
    this.regions[region] = { ...row, endedAt: this.now, endReason: reason };
    this.#send(region);
  }

  /** One of the messages on their way arrives, and may be on its way a second time. */
  deliver(choice: number, stays: boolean): void {
    if (this.messages.length === 0) return;
    const at = choice % this.messages.length;
    const message = this.messages[at] as World['messages'][number];
    if (!stays) this.messages.splice(at, 1);
    this.regions[message.to] = merge(this.row(message.to), message.row);
  }

  /** All partitions heal: every region gets every other's row. */
  converge(): void {
    this.messages.length = 0;
    const merged = this.regions.reduce(merge);
    this.regions.fill(merged);
  }

  #keyringOf(region: number): Keyring {
    return this.#keyrings[region % this.#keyrings.length] as Keyring;
  }

  #send(from: number): void {
    const row = this.row(from);
    this.regions.forEach((_, to) => to !== from && this.messages.push({ to, row }));
  }

  #note(value: string): void {
    const generation = generationOf(value);
    this.issued.set(generation, (this.issued.get(generation) ?? new Set()).add(value));
  }

  /** What a rotation needs of a transaction, on one region's row. */
  #database(region: number): Prisma.TransactionClient {
    const database = {
      $queryRaw: () => Promise.resolve([]),
      refreshFamily: {
        findUnique: () => Promise.resolve(this.row(region)),
        update: ({ data }: { data: Partial<Row> }) =>
          Promise.resolve((this.regions[region] = { ...this.row(region), ...data })),
      },
      auditEvent: { createMany: () => Promise.resolve() },
    };
    return database as unknown as Prisma.TransactionClient;
  }
}

export const generationOf = (value: string) => Number(value.split('.')[1]);
