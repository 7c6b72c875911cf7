// What is ordinary: one statement writes all of it. Whatever else a request has to write, of any kind, makes it not so.
import { describe, expect, test } from 'vitest';
import { Keyring } from '../../src/keys/keyring.ts';
import {
  ordinaryAuthorization,
  ordinaryExchange,
  ordinaryRefresh,
} from '../../src/storage/ordinary.ts';
import type { Save, Writes } from '../../src/storage/writes.ts';

const keyring = new Keyring(['a secret for tests that is long enough']);
const now = new Date('2026-01-01T00:00:00Z');
const occasion = { now, origin: { ip: '203.0.113.7', userAgent: 'Test browser' } };
const nothing: Writes = {
  saves: [],
  spendings: [],
  removals: [],
  grantEnds: [],
  lineEnds: [],
  family: undefined,
  client: undefined,
  standings: [],
  messages: [],
  logouts: [],
  mails: [],
  notices: [],
  events: [],
};

const save = (model: string, more: Partial<Save> = {}): Save => ({
  model,
  id: `a ${model}`,
  payload: { grantId: 'grant', clientId: 'web', accountId: 'ada' },
  json: '{}',
  expiresAt: now,
  wasFound: false,
  ...more,
});
const token = { familyId: 'family', secret: 'secret', proof: undefined };
const rules = {
  retryWindow: 60,
  retryLimits: { lateAfter: 10, maxElsewhere: 3, maxAlike: 10 },
  onReuse: 'revoke_family',
  idleTtl: 1000,
  goesFarEnough: true,
  isAllowed: true,
} as const;
const row = {
  id: 'family',
  grantId: 'grant',
  accountId: 'ada',
  clientId: 'web',
  generation: 0,
  currentHash: new Uint8Array(32),
  previousHash: null,
  salt: new Uint8Array(16),
  rotatedAt: null,
  payload: {},
  createdAt: now,
  idleExpiresAt: now,
  absoluteExpiresAt: now,
  consentExpiresAt: null,
  lastUsedUserAgent: null,
  retries: {},
  endedAt: null,
  endReason: null,
  grant: null,
};
const spent = {
  kind: 'spent',
  verdict: 'rotate',
  family: row,
  token,
  generation: 0,
  rules,
  successor: 'successor',
  derivedBy: 0,
  otherSuccessors: [],
  idleExpiresAt: now,
  next: {},
} as const;
const started = {
  kind: 'started',
  token: { familyId: 'family', generation: 0, secret: 'secret', salt: new Uint8Array(16) },
  payload: { grantId: 'grant' },
  idleExpiresAt: now,
  absoluteExpiresAt: now,
  consentExpiresAt: null,
  maxFamilies: undefined,
} as const;
const code = { model: 'AuthorizationCode', id: 'code', grantId: 'grant' };

const ways = {
  refresh: {
    writes: { ...nothing, family: spent, saves: [save('AccessToken')] },
    decide: (writes: Writes) => ordinaryRefresh(writes, keyring, occasion),
    takes: ['family', 'saves'],
  },
  exchange: {
    writes: { ...nothing, spendings: [code], family: started, saves: [save('AccessToken')] },
    decide: (writes: Writes) => ordinaryExchange(writes, keyring, occasion),
    takes: ['spendings', 'family', 'saves'],
  },
  authorization: {
    writes: {
      ...nothing,
      saves: [save('AuthorizationCode'), save('Session', { wasFound: true })],
    },
    decide: (writes: Writes) => ordinaryAuthorization(writes, keyring),
    takes: ['saves'],
  },
} satisfies Record<
  string,
  { writes: Writes; decide: (writes: Writes) => unknown; takes: readonly string[] }
>;

// One of each kind, and one of a kind that does not exist yet.
const others: Record<string, unknown> = {
  spendings: [code],
  removals: [{ model: 'Session', id: 'x', wasFound: true }],
  grantEnds: [{ id: 'grant', reason: 'reuse' }],
  lineEnds: [{ id: 'family', grantId: 'grant', reason: 'reuse' }],
  family: started,
  client: { kind: 'removed', id: 'web' },
  standings: [{ id: 'ada', signedOutAt: null }],
  messages: [{ url: 'https://rp.example', headers: {}, body: '' }],
  logouts: [{ clientId: 'web', accountId: 'ada' }],
  mails: [{ to: 'ada@example.com' }],
  notices: [{ kind: 'new_device' }],
  events: [{ type: 'consent' }],
  'a kind that comes later': [{}],
};

describe.each(Object.entries(ways))('%s', (_name, { writes, decide, takes }) => {
  test('is ordinary', () => {
    expect(decide(writes)).toBeDefined();
  });

  test('is not with anything else to write', () => {
    for (const kind of Object.keys(others).filter((one) => !takes.includes(one)))
      expect(decide({ ...writes, [kind]: others[kind] }), kind).toBeUndefined();
    expect(Object.keys(nothing).filter((kind) => !(kind in others))).toEqual(['saves']);
  });

  test('is not with one save more', () => {
    expect(decide({ ...writes, saves: [...writes.saves, save('Interaction')] })).toBeUndefined();
  });
});

test('is not, when its statement could not do all of it', () => {
  const { refresh, exchange, authorization } = ways;
  const refreshes: Partial<Writes>[] = [
    { family: { ...spent, verdict: 'retry' } },
    { family: { ...spent, next: undefined } },
    { family: { ...spent, kind: 'presented' } },
    { family: { ...spent, family: { ...row, grantId: null } } },
    { family: undefined },
    { saves: [save('Grant')] },
  ];
  for (const change of refreshes)
    expect(
      refresh.decide({ ...refresh.writes, ...change }),
      JSON.stringify(change),
    ).toBeUndefined();
  const elsewhere = { grantId: 'another grant' };
  const exchanges: Partial<Writes>[] = [
    { spendings: [] },
    { spendings: [code, { ...code, id: 'other' }] },
    { spendings: [{ ...code, model: 'DeviceCode' }] },
    { spendings: [{ ...code, grantId: undefined }] },
    { family: { ...started, maxFamilies: 3 } },
    { family: { ...started, payload: elsewhere } },
    { family: spent },
    { saves: [save('AccessToken', { payload: elsewhere })] },
    { saves: [save('Grant')] },
  ];
  for (const change of exchanges)
    expect(
      exchange.decide({ ...exchange.writes, ...change }),
      JSON.stringify(change),
    ).toBeUndefined();
  const [authorizationCode = save('')] = authorization.writes.saves;
  const sessionOf = (wasFound: boolean) => save('Session', { wasFound });
  for (const saves of [
    [authorizationCode, sessionOf(false)], // a new one, or one that has taken another id
    [sessionOf(true), sessionOf(true)],
    [{ ...authorizationCode, payload: {} }, sessionOf(true)],
  ])
    expect(authorization.decide({ ...nothing, saves })).toBeUndefined();
});
