// A secret that somebody made up for a family whose id they know: nothing ends, and the answer is, byte for byte, that for an
// id that there is not, after the same statements. With TEST_LONG=1 also by time, over thousands of trials.
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createStorage } from '../../src/storage/storage.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily, refreshAt } from '../support/token-endpoint.ts';

const grants = { grant_types: [...webClient.grant_types, 'password'] };
const own = { ...webClient, ...grants };
const other = { ...webClient, ...grants, client_id: 'other' };
const open = { ...publicClient, ...grants };

let provider: TestProvider;
/** What was asked of the database, in order. */
const asked: string[] = [];
const families: Record<string, string> = {};

beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [own, other, open],
    wrap: listening,
  });
  for (const client of [own, open])
    families[client.client_id] = await newFamily(provider.issuer, client);
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(() => provider.close());

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
afterAll(() => {
  agent.destroy();
});

interface Answer {
  readonly status: number | undefined;
  /** Without the date. */
  readonly headers: readonly string[];
  readonly body: string;
}

const endpoints = {
  '/token': (token: string) => ({ grant_type: 'refresh_token', refresh_token: token }),
  '/revoke': (token: string) => ({ token }),
  '/introspect': (token: string) => ({ token }),
};
type Endpoint = keyof typeof endpoints;

function present(
  endpoint: Endpoint,
  token: string,
  { client_id: id, client_secret: secret }: { client_id: string; client_secret?: string },
): Promise<Answer> {
  const form = new URLSearchParams(endpoints[endpoint](token));
  if (secret === undefined) form.set('client_id', id);
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    // Each answer has the id of its request: all have this one.
    'x-request-id': 'made-up',
    ...(secret !== undefined && {
      authorization: `Basic ${btoa(`${id}:${encodeURIComponent(secret)}`)}`,
    }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`${provider.issuer}${endpoint}`, { method: 'POST', agent, headers });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (body += part));
      response.on('end', () => {
        const pairs = response.rawHeaders.flatMap((name, index, all) =>
          index % 2 === 0 && name.toLowerCase() !== 'date'
            ? [`${name}: ${all[index + 1] ?? ''}`]
            : [],
        );
        resolve({ status: response.statusCode, headers: pairs, body });
      });
    });
    sent.end(form.toString());
  });
}

const secretOfBytes = (bytes: number) => randomBytes(bytes).toString('base64url');
const unknownId = () => secretOfBytes(16);
const forms: Record<string, (id: string) => string> = {
  'of the first form': (id) => `${id}.${secretOfBytes(32)}`,
  'of the second form': (id) => `symr_${id}.0.${secretOfBytes(48)}`,
  'of the second form, of a generation to come': (id) => `symr_${id}.7.${secretOfBytes(48)}`,
};

describe.each(Object.keys(endpoints) as Endpoint[])('at %s', (endpoint) => {
  const cases = Object.keys(forms).flatMap((form) =>
    [own, other, open].map((client) => [form, client.client_id, client] as const),
  );
  test.each(cases)('a made-up secret %s, presented by %s', async (form, _id, client) => {
    const token = forms[form] ?? String;
    for (const living of Object.values(families)) {
      const known = await present(endpoint, token(familyIdOf(living)), client);
      const toKnown = asked.splice(0);
      const unknown = await present(endpoint, token(unknownId()), client);
      expect(known).toEqual(unknown);
      expect(toKnown).toEqual(asked.splice(0));
      expect(toKnown).not.toEqual([]);
    }
  });
});

test('and nothing has ended', async () => {
  for (const client of [own, open]) {
    const { status } = await refreshAt(provider.issuer, families[client.client_id] ?? '', client);
    expect(status).toBe(200);
  }
  const { prisma } = provider.storage;
  expect(
    await prisma.auditEvent.count({ where: { type: { in: ['refresh.refused', 'family.ended'] } } }),
  ).toBe(0);
});

const TRIALS = 4000;

test.runIf(process.env['TEST_LONG'])(
  'nor is it told apart by its time',
  { timeout: 1_800_000 },
  async () => {
    const id = familyIdOf(families['web'] ?? '');
    for (const endpoint of Object.keys(endpoints) as Endpoint[]) {
      // The three kinds take turns, so that whatever else the machine does meets them alike.
      const times: Record<'known' | 'unknown' | 'again', number[]> = {
        ...{ known: [], unknown: [], again: [] },
      };
      const kinds = Object.keys(times) as (keyof typeof times)[];
      for (let trial = -200; trial < TRIALS; trial++) {
        for (const kind of kinds.map(
          (_one, index) => kinds[(index + trial + 300) % 3] as keyof typeof times,
        )) {
          const token = forms['of the second form']?.(kind === 'known' ? id : unknownId()) ?? '';
          const before = process.hrtime.bigint();
          await present(endpoint, token, own);
          if (trial >= 0) times[kind].push(Number(process.hrtime.bigint() - before) / 1e6);
        }
      }
      const [known, unknown, again] = kinds.map((kind) => median(times[kind])) as [
        number,
        number,
        number,
      ];
      const ratio = known / unknown;
      const noise = again / unknown;
      console.log(
        `${endpoint}: median ${unknown.toFixed(3)} ms, known id ${ratio.toFixed(4)}, unknown again ${noise.toFixed(4)}`,
      );
      expect(Math.abs(Math.log(ratio))).toBeLessThan(0.05 + 3 * Math.abs(Math.log(noise)));
    }
  },
);

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Storage that notes every statement. */
function listening(storage: Storage): Storage {
  const pool = new Proxy(storage.pool, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== 'query') return value;
      return (query: { name?: string }) => {
        const { name = 'a statement without a name' } = query;
        // Once a minute, whatever a client presents, and nothing waits for it.
        if (name !== 'note_secret_use') asked.push(name);
        return (value as (given: unknown) => unknown).call(target, query);
      };
    },
  });
  const prisma = storage.prisma.$extends({
    query: {
      $allOperations({ model = '', operation, args, query }) {
        asked.push(`${model} ${operation}`);
        return query(args);
      },
    },
  }) as unknown as Storage['prisma'];
  return createStorage({ ...storage, prisma, pool }, { now: storage.now });
}
