// Hashing passwords: who comes when too many wait already is told so, and nobody after them suffers from it.
import { expect, test } from 'vitest';
import { authenticate } from '../../src/accounts/accounts.ts';
import { TooBusy, hashPassword, verifyPassword } from '../../src/accounts/hashing.ts';
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

/** Keeps as many waiting as can, until it is ended. */
function flood(): () => Promise<unknown> {
  let isOn = true;
  const again = async () => {
    while (isOn) if (!(await hashPassword('a flood').catch(() => undefined))) return;
  };
  const all = Array.from({ length: 300 }, again);
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
