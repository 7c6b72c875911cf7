// Retries are counted, and whoever walks along with a copy is noticed: late in every generation, where an honest client
// is late when it has lost an answer.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type TestProvider, publicClient, startProvider, webClient } from '../support/provider.ts';
import { familyIdOf, newFamily } from '../support/token-endpoint.ts';

const grants = { grant_types: [...publicClient.grant_types, 'password'] };
const usual = { ...publicClient, ...grants, client_id: 'usual', refresh_token_retry_window: 3600 };
const own = { ...usual, client_id: 'own', refresh_token_max_late_retries: [2, 4] };
const off = { ...usual, client_id: 'off', refresh_token_max_late_retries: [0, 0] };
const severe = { ...usual, client_id: 'severe', refresh_token_on_reuse: 'revoke_grant' };

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true', SYMBOLON_TRUST_PROXY: 'true' },
    clients: [webClient, usual, own, off, severe],
  });
});
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());
afterAll(() => provider.close());

const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);

interface Device {
  readonly userAgent: string;
  readonly address: string;
}
const phone = { userAgent: 'Phone/1', address: '192.0.2.1' };
const elsewhere = { userAgent: 'Other/2', address: '203.0.113.9' };
const sameAgent = { ...elsewhere, userAgent: phone.userAgent };

async function present(token: string, { userAgent, address }: Device, client = usual) {
  const response = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { 'User-Agent': userAgent, 'X-Forwarded-For': address },
    body: new URLSearchParams({
      ...{ grant_type: 'refresh_token', refresh_token: token, client_id: client.client_id },
    }),
  });
  const body = (await response.json()) as { refresh_token?: string; error_description?: string };
  return { status: response.status, ...body };
}
/** Presents a token, which must be answered. @returns the successor */
async function go(token: string, device: Device, client = usual): Promise<string> {
  const answer = await present(token, device, client);
  expect(answer).toMatchObject({ status: 200 });
  return answer.refresh_token ?? '';
}
const row = (token: string) =>
  provider.storage.prisma.refreshFamily.findUniqueOrThrow({ where: { id: familyIdOf(token) } });
const events = async (token: string, type: string) =>
  provider.storage.prisma.auditEvent.findMany({ where: { familyId: familyIdOf(token), type } });

describe('the honest are never ended', () => {
  test('two tabs that refresh at once, for a day', async () => {
    let token = await newFamily(provider.issuer, usual);
    for (let turn = 0; turn < 144; turn++) {
      const [one, other] = await Promise.all([go(token, phone), go(token, phone)]);
      expect(one).toBe(other);
      token = one;
      pass(600);
    }
    expect((await row(token)).endedAt).toBeNull();
  });

  test('a farm of eight processes without a lock, each with an address of its own', async () => {
    let token = await newFamily(provider.issuer, usual);
    for (let turn = 0; turn < 20; turn++) {
      const processes = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => ({
        userAgent: 'farm/1',
        address: `198.51.100.${number}`,
      }));
      const answers = await Promise.all(processes.map((process) => go(token, process)));
      expect(new Set(answers).size).toBe(1);
      token = answers[0] ?? '';
      pass(600);
    }
    expect((await row(token)).retries).toMatchObject({ count: 140 });
    expect(await events(token, 'refresh.retried_elsewhere')).toEqual([]);
  });

  test('a phone that loses every answer for an hour, changes its network and recovers', async () => {
    let token = await newFamily(provider.issuer, usual);
    for (let minute = 0; minute < 59; minute++) {
      await go(token, { ...phone, address: `192.0.2.${minute}` }); // nothing of it arrives
      pass(60);
    }
    token = await go(token, phone);
    for (let turn = 0; turn < 3; turn++) token = await go(token, phone);
    expect((await row(token)).endedAt).toBeNull();
  });

  test('a phone in a bad network: nine generations in a row have a late retry', async () => {
    let token = await newFamily(provider.issuer, usual);
    for (let turn = 0; turn < 9; turn++) {
      await go(token, phone);
      pass(120);
      token = await go(token, { ...phone, address: '198.51.100.7' });
      pass(600);
    }
    token = await go(token, phone); // and then an answer arrives at once
    pass(600);
    await go(token, phone);
    pass(120);
    token = await go(token, phone);
    expect((await row(token)).endedAt).toBeNull();
    expect((await row(token)).retries).toMatchObject({ late: { length: 1 } });
  });

  test('a client whose clock jumps refreshes far too often, or late', async () => {
    let token = await newFamily(provider.issuer, usual);
    for (const seconds of [0, 0, 0, 86_400, 1, 0, 7200, 3]) {
      token = await go(token, phone);
      pass(seconds);
    }
    expect((await row(token)).endedAt).toBeNull();
  });
});

describe('a copy in use is noticed', () => {
  /** Both refresh once in each turn, one late. @returns in which turn the family ended */
  async function walk(
    order: (turn: number) => readonly [Device, Device],
    client = usual,
    turns = 15,
  ): Promise<number | undefined> {
    let token = await newFamily(provider.issuer, client);
    for (let turn = 1; turn <= turns; turn++) {
      const [first, second] = order(turn);
      const next = await go(token, first, client);
      pass(30);
      const late = await present(token, second, client);
      if (late.status !== 200) {
        expect(late.error_description).toMatch(/^in_step: /);
        expect(await row(token)).toMatchObject({ endReason: 'in_step' });
        expect((await present(next, first, client)).error_description).toMatch(/^in_step: /);
        return turn;
      }
      expect(late.refresh_token).toBe(next);
      token = next;
      pass(570);
    }
    return undefined;
  }

  test.each([
    ['the thief always second', () => [phone, elsewhere] as const, 3],
    ['the thief always first', () => [elsewhere, phone] as const, 3],
    [
      'alternating',
      (turn: number) => (turn % 2 ? ([phone, elsewhere] as const) : ([elsewhere, phone] as const)),
      3,
    ],
    ['from the same address', () => [phone, { ...elsewhere, address: phone.address }] as const, 3],
    ['with the same user agent', () => [phone, sameAgent] as const, 10],
    ['with the same address and user agent', () => [phone, phone] as const, 10],
  ])('%s', async (_who, order, turn) => {
    expect(await walk(order)).toBe(turn);
  });

  test('a client may have its own numbers', async () => {
    expect(await walk(() => [phone, elsewhere], own as never)).toBe(2);
    expect(await walk(() => [phone, phone], own as never)).toBe(4);
    expect(await walk(() => [phone, elsewhere], off as never)).toBeUndefined();
  });

  test('the person is told by mail, and the history of the retries from elsewhere', async () => {
    const before = await provider.storage.prisma.delivery.count({ where: { channel: 'mail' } });
    expect(await walk(() => [phone, elsewhere])).toBe(3);
    const after = await provider.storage.prisma.delivery.count({ where: { channel: 'mail' } });
    expect(after).toBe(before + 1);
    const [latest] = await provider.storage.prisma.refreshFamily.findMany({
      where: { clientId: 'usual' },
      orderBy: { createdAt: 'desc' },
      take: 1,
    });
    const told = await provider.storage.prisma.auditEvent.findMany({
      where: { familyId: latest?.id ?? '', type: 'refresh.retried_elsewhere' },
    });
    expect(told).toMatchObject([
      { ip: elsewhere.address, userAgent: elsewhere.userAgent, accountId: provider.accountId },
      { ip: elsewhere.address, userAgent: elsewhere.userAgent },
    ]);
  });

  test('it ends the grant where the client wants that', async () => {
    expect(await walk(() => [phone, elsewhere], severe)).toBe(3);
    const families = await provider.storage.prisma.refreshFamily.findMany({
      where: { clientId: 'severe' },
    });
    expect(families).toMatchObject([{ endReason: 'in_step', grantId: null }]);
  });
});
