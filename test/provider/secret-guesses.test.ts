// Guessing a client's secret: limited by client and network, at every endpoint, and for all processes together.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { answerOf } from '../conformance/party.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';

const other = { ...webClient, client_id: 'other' };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_TRUST_PROXY: 'true' },
    clients: [webClient, other],
  });
});
// Each test has networks of its own, since a process remembers.
let networks = 0;
let here: string;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] }); // no wait ends by itself
  here = `198.51.100.${++networks}`;
});
afterEach(() => vi.useRealTimers());
afterAll(() => provider.close());

interface Try {
  readonly path?: string;
  readonly from?: string;
  readonly id?: string;
}
const ask = async (secret: string, { path = '/token', from = here, id = 'web' }: Try = {}) =>
  answerOf(
    await fetch(provider.issuer + path, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${id}:${encodeURIComponent(secret)}`).toString('base64')}`,
        'x-forwarded-for': from,
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x', token: 'x' }),
    }),
  );
const right = webClient.client_secret;
/** Guesses until the next try has to wait. @returns how many were judged */
async function guess(where: Try = {}): Promise<number> {
  for (let judged = 0; judged < 30; judged++)
    if ((await ask('wrong', where)).status === 429) return judged;
  throw new Error('nobody had to wait');
}

describe('wrong secrets for a client', () => {
  test('make the next one wait, even if it is right', async () => {
    expect(await guess()).toBe(11);
    const { status, body, headers } = await ask(right);
    expect({ status, error: body['error'] }).toEqual({ status: 429, error: 'too_many_attempts' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(
      await provider.storage.prisma.auditEvent.count({
        where: { type: 'client.limited', clientId: 'web', ip: here },
      }),
    ).toBe(1);
    vi.setSystemTime(Date.now() + 61_000);
    expect((await ask(right)).body['error']).toBe('invalid_grant');
  });

  test('at any endpoint count together', async () => {
    for (const path of ['/introspect', '/revoke', '/par', '/token', '/introspect'])
      for (let n = 0; n < 2; n++) expect((await ask('wrong', { path })).status).toBe(401);
    expect((await ask('wrong')).status).toBe(401);
    expect((await ask('wrong', { path: '/revoke' })).status).toBe(429);
  });

  test('keep out neither the client elsewhere, nor another client', async () => {
    await guess();
    expect((await ask(right, { from: '203.0.113.1' })).body['error']).toBe('invalid_grant');
    expect((await ask(right, { id: 'other' })).body['error']).toBe('invalid_grant');
  });

  test('are guessed by a /56 and a /48 of IPv6 as by a few addresses', async () => {
    const judgedFrom = async (network: (index: number) => string) => {
      let judged = 0;
      for (let index = 0; index < 60; index++)
        if ((await ask('wrong', { from: network(index) })).status === 401) judged++;
      return judged;
    };
    const hex = (index: number) => (index + 1).toString(16);
    expect(await judgedFrom((index) => `2001:db8:1:${hex(index)}::1`)).toBe(21);
    expect(await judgedFrom((index) => `2001:db8:1:${hex(index)}00::1`)).toBe(20);
  });

  test('that come at once are not judged at once', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask('wrong')));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(11);
  });

  test('are counted for all processes: one that has seen none before learns with the first', async () => {
    await ask('wrong');
    // As if they had been judged elsewhere.
    await provider.storage.prisma.attempt.updateMany({
      where: { key: { startsWith: 'secret:' } },
      data: { points: 15 },
    });
    expect((await ask('wrong')).status).toBe(401);
    expect((await ask('wrong')).status).toBe(429);
  });
});

test('a right secret leaves nothing', async () => {
  const before = await provider.storage.prisma.attempt.findMany();
  await ask(right);
  expect(await provider.storage.prisma.attempt.findMany()).toEqual(before);
});
