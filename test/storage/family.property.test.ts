// Random histories of refresh-token families, through the real server on a real database: refreshes, retries,
// replays, lost answers, failed and cut commits, revocations, locks, a database that forgets, the passing of time, several
// at once, under several policies. Always:
// at most one live secret per family, no acknowledged token lost, no ended family lives again.
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Prisma, RefreshFamily } from '../../src/generated/client.ts';
import { sha256 } from '../../src/keys/keyring.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { type Storage, createStorage } from '../../src/storage/storage.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { newFamily, post, refreshAt, familyIdOf, secretOf } from '../support/token-endpoint.ts';
import { lockAccount, unlockAccount } from '../support/changes.ts';

const RUNS = process.env['TEST_LONG'] === undefined ? 100 : 2000;
const IDLE = 1000; // seconds
const ABSOLUTE = 4000;

/** A client with the policy that the model reckons with. */
interface Policy {
  readonly client: { client_id: string; client_secret?: string };
  readonly window: number; // seconds
  readonly rotates: boolean;
  readonly reuseEnds: boolean;
  readonly isLimited: boolean;
}

const lives = { refresh_token_idle_ttl: IDLE, refresh_token_absolute_ttl: ABSOLUTE };
const grants = { grant_types: [...webClient.grant_types, 'password'] };
const clients = [
  { ...publicClient, ...grants, ...lives, client_id: 'public', refresh_token_retry_window: 60 },
  {
    ...webClient,
    ...grants,
    ...lives,
    client_id: 'refusing',
    refresh_token_retry_window: 60,
    refresh_token_on_reuse: 'refuse',
  },
  {
    ...webClient,
    ...grants,
    ...lives,
    client_id: 'strict',
    refresh_token_retry_window: 0,
    refresh_token_on_reuse: 'revoke_family',
  },
  { ...webClient, ...grants, ...lives, client_id: 'constant', refresh_token_rotation: 'never' },
  {
    ...webClient,
    ...grants,
    ...lives,
    client_id: 'limited',
    refresh_token_retry_window: 60,
    refresh_token_max_families: 1,
  },
];
const policies: Policy[] = clients.map((client) => ({
  client,
  window: (client as { refresh_token_retry_window?: number }).refresh_token_retry_window ?? 0,
  rotates: client.client_id !== 'constant',
  reuseEnds: client.client_id !== 'refusing',
  isLimited: client.client_id === 'limited',
}));

let provider: TestProvider;
/** What happens to the next commit: its connection is cut before it, or after it and before its acknowledgement. */
let fault: 'before' | 'after' | undefined;

beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients,
    wrap: withFaults,
  });
});
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());
afterAll(() => provider.close());

type Step =
  | {
      do:
        | 'refresh'
        | 'lost'
        | 'cut before'
        | 'cut after'
        | 'retry'
        | 'replay'
        | 'guess'
        | 'revoke'
        | 'another'
        | 'lock';
    }
  | { do: 'together'; count: number }
  | { do: 'race' }
  | { do: 'forget'; choice: number }
  | { do: 'pass'; seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom<Step>(
      { do: 'refresh' },
      { do: 'lost' },
      { do: 'cut before' },
      { do: 'cut after' },
      { do: 'retry' },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('together' as const),
      count: fc.integer({ min: 2, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      seconds: fc.constantFrom(1, 30, 61, 500, 1001),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('forget' as const), choice: fc.nat() }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { do: 'replay' },
      { do: 'guess' },
      { do: 'revoke' },
      { do: 'another' },
      { do: 'lock' },
      { do: 'race' },
    ),
  },
);

const steps = fc.array(step, { minLength: 3, maxLength: 14 });

test(
  'whatever happens, families neither fork nor get lost nor come back',
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...policies), steps, async (policy, steps) => {
        const { client, window, rotates, reuseEnds, isLimited } = policy;
        const first = await newFamily(provider.issuer, client);
        const history = [first]; // every token that was ever answered
        const copies = [await rowOf(first)]; // of the row, after each step
        let held = first; // the last one that the client was told
        let ended = false;
        const startedAt = Date.now();
        let usedAt = startedAt; // when the family was rotated last
        let pendingSince: number | undefined; // when a successor was made that the client does not know of

        const expired = () =>
          Date.now() >= Math.min(usedAt + IDLE * 1000, startedAt + ABSOLUTE * 1000);
        const beyond = () =>
          pendingSince !== undefined && Date.now() - pendingSince >= window * 1000;
        const refused = async (token: string) => {
          const { status, body } = await refreshAt(provider.issuer, token, client);
          expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_grant' });
        };
        const learn = (token: string | undefined) => {
          expect(token).toBeDefined();
          if (pendingSince === undefined) usedAt = Date.now();
          pendingSince = undefined;
          held = token ?? '';
          if (!history.includes(held)) history.push(held);
        };
        /** Presents what the client holds; an honest client must be answered, unless time has passed. */
        const present = async () => {
          if (ended || expired() || beyond()) {
            await refused(held);
            if (!expired() && beyond()) ended ||= reuseEnds; // beyond its window it is a replay
            return;
          }
          const { status, body } = await refreshAt(provider.issuer, held, client);
          expect(status).toBe(200);
          learn(body.refresh_token);
        };
        const unanswered = async () => {
          if (ended || expired() || beyond()) return present();
          await refreshAt(provider.issuer, held, client);
          spent();
        };
        /** The provider has used the token, and the client does not know. */
        const spent = () => {
          if (!rotates) usedAt = Date.now();
          else pendingSince ??= usedAt = Date.now();
        };

        for (const next of steps) {
          switch (next.do) {
            case 'refresh':
            case 'retry':
              await present();
              break;
            case 'lost':
              await unanswered();
              break;
            case 'cut before':
            case 'cut after': {
              if (ended || expired() || beyond()) break;
              fault = next.do === 'cut before' ? 'before' : 'after';
              const { status } = await refreshAt(provider.issuer, held, client);
              expect(status).toBe(503);
              if (next.do === 'cut after') spent();
              break;
            }
            case 'together': {
              // Without a window, who comes after the first one's commit is a replay.
              if (ended || expired() || beyond() || (rotates && window === 0)) break;
              const answers = await Promise.all(
                Array.from({ length: next.count }, () => refreshAt(provider.issuer, held, client)),
              );
              expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
              const successors = new Set(answers.map(({ body }) => body.refresh_token));
              expect(successors.size).toBe(1);
              learn([...successors][0]);
              break;
            }
            case 'race': {
              const [answer] = await Promise.all([
                refreshAt(provider.issuer, held, client),
                post(`${provider.issuer}/revoke`, { token: held }, client),
              ]);
              expect([200, 400]).toContain(answer.status);
              if (answer.body.refresh_token !== undefined) history.push(answer.body.refresh_token);
              ended = true;
              break;
            }
            case 'forget': {
              // The row is as it was when the client's token was the current one, or before; then the client comes.
              if (ended || expired() || !rotates) break;
              const generation = Number(held.split('.')[1]);
              const older = copies.filter(
                (copy) =>
                  copy.generation < generation ||
                  (copy.generation === generation && copy.idleExpiresAt.getTime() > Date.now()),
              );
              const copy = older[next.choice % older.length];
              if (!copy) break;
              await restore(copy);
              pendingSince = undefined;
              await present();
              break;
            }
            case 'replay': {
              const old = history.at(-3);
              if (old === undefined) break;
              await refused(old);
              ended ||= reuseEnds;
              break;
            }
            case 'guess':
              await refused(`${familyIdOf(first)}.${'A'.repeat(43)}`);
              await refused(`symr_${familyIdOf(first)}.1.${'A'.repeat(64)}`);
              break;
            case 'revoke':
              expect(
                (await post(`${provider.issuer}/revoke`, { token: held }, client)).status,
              ).toBe(200);
              ended = true;
              break;
            case 'another': // of the same person with the same client
              await newFamily(provider.issuer, client);
              ended ||= isLimited && !expired();
              break;
            case 'lock': {
              const { storage, config, accountId } = provider;
              await lockAccount({ storage, config, origin: commandLine }, accountId);
              await refused(held);
              await unlockAccount({ storage }, accountId);
              ended = true;
              break;
            }
            case 'pass':
              vi.setSystemTime(Date.now() + next.seconds * 1000);
              break;
          }
          await checkRow(first, history);
          copies.push(await rowOf(first));
        }
        if (ended || expired()) for (const token of history) await refused(token);
        else await present(); // nothing that was acknowledged is lost
        await checkRow(first, history);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  },
);

function rowOf(token: string): Promise<RefreshFamily> {
  const where = { id: familyIdOf(token) };
  return provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where });
}

/** Makes a row what it was, as a backup does. */
async function restore({ id, payload, retries, ...columns }: RefreshFamily): Promise<void> {
  await provider.storage.prisma.refreshFamily.update({
    where: { id },
    data: {
      ...columns,
      payload: payload as Prisma.InputJsonObject,
      retries: retries as Prisma.InputJsonObject,
    },
  });
}

async function checkRow(first: string, history: readonly string[]): Promise<void> {
  const rows = await provider.storage.prisma.refreshFamily.findMany({
    where: { id: familyIdOf(first) },
  });
  expect(rows.length).toBe(1);
  const current = Buffer.from(rows[0]?.currentHash ?? []);
  const live = [...new Set(history)].filter((token) =>
    Buffer.from(sha256(secretOf(token))).equals(current),
  );
  expect(live.length).toBeLessThanOrEqual(1);
}

/** A database whose connection can be cut around the commit. */
function withFaults(storage: Storage): Storage {
  const prisma = new Proxy(storage.prisma, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== '$transaction') return value;
      return async (...args: unknown[]) => {
        const now = fault;
        fault = undefined;
        if (now === 'before') throw new Error('injected: the connection was cut before the commit');
        const result: unknown = await (value as (...given: unknown[]) => Promise<unknown>).apply(
          target,
          args,
        );
        if (now === 'after')
          throw new Error('injected: the connection was cut before the acknowledgement');
        return result;
      };
    },
  });
  // The ordinary refresh is one statement, and a transaction by itself.
  const pool = new Proxy(storage.pool, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== 'query') return value;
      return async (query: { name?: string }) => {
        const now = query.name === 'rotate_and_issue' ? fault : undefined;
        if (now) fault = undefined;
        if (now === 'before') throw new Error('injected: the connection was cut before the commit');
        const result = await (value as (given: unknown) => Promise<unknown>).call(target, query);
        if (now === 'after')
          throw new Error('injected: the connection was cut before the acknowledgement');
        return result;
      };
    },
  });
  return createStorage({ ...storage, prisma, pool }, { now: storage.now });
}
