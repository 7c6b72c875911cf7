// Two ways to write, one result: every ordinary write is done by its one statement (fast/) and, on a provider whose
// statements always say no, by the transaction (commit.ts). All rows are equal, whatever the request has brought.
import * as client from 'openid-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Fast } from '../../src/storage/fast/fast.ts';
import { openArtifact } from '../../src/storage/artifacts.ts';
import { Agent, signInForm } from '../support/agent.ts';
import { type TestProvider, person, startProvider, webClient } from '../support/provider.ts';
import { type RelyingParty, authorizationRequest, discover } from '../support/relying-party.ts';

const JWT_API = 'https://jwt.api.example';
const OPAQUE_API = 'https://opaque.api.example';
const clients = [
  webClient,
  { ...webClient, client_id: 'bound', dpop_bound_access_tokens: true },
  { ...webClient, client_id: 'leaving', offline_access_ends_with_session: true },
];

type Done = Record<'rotate' | 'exchange' | 'authorize', number>;

/** Counts what was done in one statement. */
function counting(fast: Fast, done: Done): Fast {
  const counted = (name: keyof Done, isDone: boolean) => {
    if (isDone) done[name]++;
    return isDone;
  };
  return {
    ...fast,
    rotate: async (write) => counted('rotate', await fast.rotate(write)),
    exchange: async (write) => counted('exchange', await fast.exchange(write)),
    authorize: async (write) => counted('authorize', await fast.authorize(write)),
  };
}

const no = () => Promise.resolve(false);

interface Side {
  readonly provider: TestProvider;
  /** Where its next requests come from. */
  readonly from: Record<string, string>;
}

const done: Done = { rotate: 0, exchange: 0, authorize: 0 };
let sides: Side[];
let step = 0;

beforeAll(async () => {
  const environment = { SYMBOLON_TRUST_PROXY: 'true' };
  const ordinary = startProvider({
    environment,
    clients,
    wrap: (storage) => ({ ...storage, fast: counting(storage.fast, done) }),
  });
  const long = startProvider({
    environment,
    clients,
    wrap: (storage) => ({
      ...storage,
      fast: { ...storage.fast, rotate: no, exchange: no, authorize: no },
    }),
  });
  sides = (await Promise.all([ordinary, long])).map((provider) => ({ provider, from: {} }));
  for (const { provider } of sides) {
    const { prisma } = provider.storage;
    for (const [id, format] of [
      [JWT_API, 'jwt'],
      [OPAQUE_API, 'opaque'],
    ] as const)
      await prisma.resource.create({ data: { id, format, scopes: { read: 'Read' } } });
  }
});
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-03-01T12:00:00Z') });
  step = 0;
  Object.assign(done, { rotate: 0, exchange: 0, authorize: 0 });
  for (const { provider } of sides) {
    const { prisma } = provider.storage;
    await prisma.refreshFamily.deleteMany();
    await prisma.grant.deleteMany();
    await prisma.artifact.deleteMany();
    await prisma.auditEvent.deleteMany();
    await prisma.delivery.deleteMany();
  }
});
afterEach(() => void vi.useRealTimers());
afterAll(async () => {
  for (const { provider } of sides) await provider.close();
});

/** Every step is at another time, from another address, with another browser. */
function goOn(): void {
  step++;
  vi.setSystemTime(Date.now() + 11_000);
  for (const { from } of sides) {
    from['x-forwarded-for'] = `203.0.113.${step}`;
    from['user-agent'] = `Browser of step ${step}`;
  }
}

interface Visit {
  readonly side: Side;
  readonly agent: Agent;
  readonly party: RelyingParty;
  readonly options: client.DPoPOptions | undefined;
}

async function visit(side: Side, clientId: string): Promise<Visit> {
  const { provider, from } = side;
  const registered = clients.find(({ client_id: id }) => id === clientId);
  const party = await discover(provider.issuer, registered);
  party.configuration[client.customFetch] = (url, init) =>
    fetch(url, { ...init, headers: { ...init.headers, ...from } });
  const DPoP =
    clientId === 'bound'
      ? client.getDPoPHandle(party.configuration, await client.randomDPoPKeyPair())
      : undefined;
  return {
    side,
    party,
    agent: new Agent(provider.issuer, undefined, from),
    options: DPoP && { DPoP },
  };
}

/** Signs in and consents. @returns what exchanges the code */
async function authorize(
  { party, agent }: Visit,
  parameters: Record<string, string>,
  consent: Record<string, string>,
) {
  const { url, finish } = await authorizationRequest(party, parameters);
  let page = await agent.open(url);
  if (page.html.querySelector('input[name="password"]'))
    page = await agent.submit(page, { email: person.email, password: person.password }, signInForm);
  if (page.html.querySelector('form[action$="/consent"]'))
    page = await agent.submit(page, consent, /\/consent$/);
  const { away } = page;
  if (!away) throw new Error(`stuck at ${page.url.href}`);
  return (options: client.DPoPOptions | undefined) => finish(away, options);
}

/** All rows, without what is random: an id is a number, the same wherever the id stands. */
async function rowsOf({ provider }: Side): Promise<string[]> {
  const { prisma, keyring } = provider.storage;
  const artifacts = await prisma.artifact.findMany();
  const rows: [string, object][] = [
    ...(await prisma.grant.findMany({ omit: { createdAt: true } })).map((row): [string, object] => [
      'grant',
      row,
    ]),
    ...(await prisma.refreshFamily.findMany()).map((row): [string, object] => ['family', row]),
    ...(await prisma.auditEvent.findMany({ omit: { id: true, position: true } })).map(
      (row): [string, object] => ['event', row],
    ),
    ...(await prisma.delivery.findMany({ omit: { sealed: true } })).map((row): [string, object] => [
      'delivery',
      row,
    ]),
    ...artifacts.map((row): [string, object] => [
      'artifact',
      // What was remembered of a jti has nothing sealed.
      { ...row, sealed: row.sealed.length === 0 ? null : openArtifact(keyring, row) },
    ]),
  ];
  const texts = rows.map(([table, row]) =>
    `${table} ${JSON.stringify(row, readable)}`.replaceAll(provider.issuer, '<issuer>'),
  );
  const sorted = texts.sort((a, b) => (shape(a) < shape(b) ? -1 : 1));
  const known = new Map<string, number>();
  return sorted.map((text) =>
    text.replace(RANDOM, (id) => {
      if (!known.has(id)) known.set(id, known.size);
      return `<${known.get(id)}>`;
    }),
  );
}

const RANDOM = /(?<![\w-])[\w-]{20,}(?![\w-])/g;

function shape(text: string): string {
  return text.replace(RANDOM, '#');
}

// Bytes as text, members in the order of their names.
function readable(_name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url');
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const { type, data } = value as { type?: string; data?: number[] };
  if (type === 'Buffer' && data) return Buffer.from(data).toString('base64url');
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface Case {
  readonly name: string;
  readonly client?: string;
  readonly parameters: Record<string, string>;
  readonly consent?: Record<string, string>;
  /** How many refreshes follow. */
  readonly rotations?: number;
  /** Authorizations of the same browser that follow, and their codes exchanged. */
  readonly again?: number;
  readonly expected: Done;
}

const offline = 'openid profile offline_access';
// The first family of a new grant extends it, which is not ordinary; those of the rounds that follow do not.
const cases: readonly Case[] = [
  {
    name: 'opaque access tokens',
    parameters: { scope: offline },
    rotations: 3,
    expected: { rotate: 3, exchange: 0, authorize: 0 },
  },
  {
    name: 'JWT access tokens',
    parameters: { scope: `${offline} read`, resource: JWT_API },
    again: 1,
    rotations: 2,
    expected: { rotate: 4, exchange: 1, authorize: 1 },
  },
  {
    name: 'opaque access tokens of a resource',
    parameters: { scope: `${offline} read`, resource: OPAQUE_API },
    again: 1,
    rotations: 2,
    expected: { rotate: 4, exchange: 1, authorize: 1 },
  },
  {
    name: 'bound tokens',
    client: 'bound',
    parameters: { scope: offline },
    again: 1,
    rotations: 2,
    expected: { rotate: 4, exchange: 1, authorize: 1 },
  },
  {
    name: 'a consent for a time',
    parameters: { scope: offline },
    consent: { duration: '2592000' },
    again: 1,
    rotations: 1,
    expected: { rotate: 2, exchange: 1, authorize: 1 },
  },
  {
    name: 'families that are only started',
    parameters: { scope: offline },
    again: 1,
    expected: { rotate: 0, exchange: 1, authorize: 1 },
  },
  {
    name: 'no family: tokens that end with their session',
    parameters: { scope: 'openid profile' },
    again: 2,
    expected: { rotate: 0, exchange: 3, authorize: 2 },
  },
  {
    name: 'families that end with their session',
    client: 'leaving',
    parameters: { scope: offline },
    again: 1,
    rotations: 2,
    expected: { rotate: 4, exchange: 1, authorize: 1 },
  },
];

describe('both ways write the same rows', () => {
  test.each(cases)('$name', async (one) => {
    const { parameters, consent = {}, rotations = 0, again = 0, expected } = one;
    const visits = await Promise.all(sides.map((side) => visit(side, one.client ?? 'web')));
    const all = <T>(act: (visit: Visit, index: number) => Promise<T>): Promise<T[]> => {
      goOn();
      return Promise.all(visits.map(act));
    };
    for (let round = 0; round <= again; round++) {
      const codes = await all((each) => authorize(each, parameters, consent));
      let tokens = await all(
        ({ options }, index) => codes[index]?.(options) ?? Promise.reject(new Error('no code')),
      );
      for (let count = 0; count < rotations; count++) {
        const former = tokens;
        tokens = await all(({ party, options }, index) =>
          client.refreshTokenGrant(
            party.configuration,
            former[index]?.refresh_token ?? '',
            undefined,
            options,
          ),
        );
      }
    }
    const [ordinary = [], long = []] = await Promise.all(sides.map(rowsOf));
    expect(long).toEqual(ordinary);
    expect(done).toEqual(expected);
    // Where the last refresh came from is among what was compared, and for how long it was allowed.
    if (rotations > 0) expect(ordinary.join('\n')).toContain(`Browser of step ${step}`);
    if (consent['duration']) expect(ordinary.join('\n')).toContain('"consentExpiresAt":"2026-');
  });
});
