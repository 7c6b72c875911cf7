// Hashing passwords: who comes when too many wait already is told so, and nobody after them suffers from it.
import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { authenticate } from '../../src/accounts/accounts.ts';
import { TooBusy, type Waiter, hashPassword, verifyPassword } from '../../src/accounts/hashing.ts';
import { startProvider, person } from '../support/provider.ts';

/** More than can wait. @returns how each of them ended */
const storm = (count: number) =>
  Promise.allSettled(Array.from({ length: count }, () => hashPassword('a storm of sign-ins')));

test('more than may wait are refused with 503, the others are answered', async () => {
  const ends = await storm(300);
  const refused = ends.filter((end) => end.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  expect(ends.length - refused.length).toBeGreaterThanOrEqual(200);
  for (const { reason } of refused) {
    expect(reason).toBeInstanceOf(TooBusy);
    expect(reason).toMatchObject({ statusCode: 503, error: 'temporarily_unavailable' });
  }
  const hash = await hashPassword('afterwards');
  expect(await verifyPassword(hash, 'afterwards')).toBe(true);
});

/** Keeps as many waiting as can, from addresses all over the world, until it is ended. */
function flood(): () => Promise<unknown> {
  let isOn = true;
  const again = async (_: unknown, index: number) => {
    const ip = `198.51.${index}.1`;
    while (isOn) if (!(await hashPassword('a flood', { ip }).catch(() => undefined))) return;
  };
  const all = Array.from({ length: 250 }, again);
  return () => {
    isOn = false;
    return Promise.all(all);
  };
}

test('over HTTP it says when to come again; an address of nobody is looked at once there is room', async () => {
  const provider = await startProvider({ environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' } });
  const client = { client_id: 'old', client_secret: 'the secret of an old application' };
  await provider.addClient({
    ...client,
    grant_types: ['password'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_post',
  });
  const ask = (username: string) =>
    fetch(`${provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'password',
        username,
        password: 'a wrong one',
        ...client,
      }),
    });
  try {
    const endFlood = flood();
    // The hash for whoever is nobody is not made yet.
    const early = authenticate(provider.storage.prisma, 'nobody@example.com', 'x');
    await expect(early).rejects.toBeInstanceOf(TooBusy);
    const [known, unknown] = await Promise.all([ask(person.email), ask('nobody@example.com')]);
    for (const answer of [known, unknown]) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(await answer.json()).toMatchObject({ error: 'temporarily_unavailable' });
    }
    await endFlood();
    expect(await authenticate(provider.storage.prisma, 'nobody@example.com', 'x')).toBeUndefined();
  } finally {
    await provider.close();
  }
});

/** Has passwords hashed, all at once, in this order. @returns the order in which they were done */
async function orderOf(waiters: readonly (readonly [name: string, waiter: Waiter])[]) {
  const done: string[] = [];
  const hashed = waiters.map(async ([name, waiter]) => {
    await hashPassword('one of many', waiter).then(
      () => done.push(name),
      () => done.push(`${name} refused`),
    );
  });
  await Promise.all(hashed);
  return done;
}
const stormFrom = (addresses: readonly string[], each: number) =>
  addresses.flatMap((ip) => Array.from({ length: each }, () => ['storm', { ip }] as const));
const threads = Math.max(1, availableParallelism() - 1); // so many are being hashed, whoever comes next

test('who comes after a storm from six addresses waits for one password of each', async () => {
  const addresses = Array.from({ length: 6 }, (_, index) => `198.51.100.${index}`);
  const order = await orderOf([...stormFrom(addresses, 8), ['honest', { ip: '203.0.113.7' }]]);
  expect(order.indexOf('honest')).toBeLessThan(2 * threads + 6);
});

test('a network of IPv6 is one that waits, however many addresses it has', async () => {
  const addresses = Array.from({ length: 30 }, (_, index) => `2001:db8:1:${index}::1`);
  const order = await orderOf([...stormFrom(addresses, 1), ['honest', { ip: '2001:db8:2::1' }]]);
  expect(order.indexOf('honest')).toBeLessThan(2 * threads + 1);
});

test('a browser that the account knows waits for no storm, from however many networks', async () => {
  const addresses = Array.from({ length: 40 }, (_, index) => `198.51.100.${index}`);
  const own = ['honest', { ip: '198.51.100.1', knownTo: 'an account' }] as const;
  const order = await orderOf([...stormFrom(addresses, 1), own]);
  expect(order.indexOf('honest')).toBeLessThan(2 * threads + 1);
});

test('whoever has an account does not keep strangers out with it', async () => {
  const flood = Array.from({ length: 20 }, () => ['storm', { knownTo: 'an account' }] as const);
  const order = await orderOf([...flood, ['honest', { ip: '203.0.113.7' }]]);
  expect(order.indexOf('honest')).toBeLessThan(2 * threads + 1);
});

test('when one address has filled the queue, another is not refused', async () => {
  const order = await orderOf([
    ...stormFrom(['198.51.100.1'], 250),
    ['honest', { ip: '203.0.113.7' }],
    ['known', { knownTo: 'an account' }],
  ]);
  expect(order).toContain('honest');
  expect(order).toContain('known');
  expect(order.filter((name) => name === 'storm refused').length).toBeGreaterThan(0);
});
