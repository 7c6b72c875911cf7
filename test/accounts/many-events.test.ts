// Whoever has been here for years can leave as well: the audit loses their data within the transaction's time.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deleteAccount } from '../../src/accounts/removal.ts';
import { commandLine } from '../../src/storage/origin.ts';
import { type TestProvider, startProvider } from '../support/provider.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

test('of many events none is changed by itself', async () => {
  const { accountId, storage } = provider;
  const { prisma } = storage;
  const events = 2000;
  await prisma.auditEvent.createMany({
    data: Array.from({ length: events }, () => ({
      ...{ type: 'sign_in', accountId, ip: '203.0.113.7', detail: { name: 'Ada', amr: ['pwd'] } },
    })),
  });
  const account = await prisma.account.findUniqueOrThrow({ where: { id: accountId } });
  let updates = 0;
  await prisma.$transaction((database) => {
    const counted = new Proxy(database, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name !== 'auditEvent') return value;
        updates++;
        return value;
      },
    });
    return deleteAccount(counted, { storage, origin: commandLine }, account);
  });
  expect(updates).toBeLessThan(20);
  const left = await prisma.auditEvent.findMany({ where: { type: 'sign_in' } });
  expect(left).toHaveLength(events);
  for (const { ip, detail, erased } of left)
    expect({ ip, detail, isErased: erased !== null }).toEqual({
      ...{ ip: null, detail: { amr: ['pwd'] }, isErased: true },
    });
});
