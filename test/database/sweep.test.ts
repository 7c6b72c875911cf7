// The sweep of a large backlog, while clients refresh: nothing that lives is taken, and nobody waits for it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backlog, sweep } from '../../src/database/sweep.ts';
import { type TestProvider, startProvider, webClient } from '../support/provider.ts';
import { newFamily, refreshAt } from '../support/token-endpoint.ts';

const long = process.env['TEST_LONG'] !== undefined;
const EXPIRED = long ? 1_000_000 : 20_000;
const QUIET = long ? 8_000 : 800; // refreshes that are measured
const CHAINS = 8;

const client = { ...webClient, grant_types: [...webClient.grant_types, 'password'] };
let provider: TestProvider;

beforeAll(async () => {
  provider = await startProvider({
    environment: { SYMBOLON_ENABLE_PASSWORD_GRANT: 'true' },
    clients: [client],
  });
});
afterAll(() => provider.close());

test(
  `${EXPIRED.toLocaleString('en')} expired rows go, and refreshing goes on beside it`,
  { timeout: 600_000 },
  async () => {
    const { storage, config } = provider;
    const parts = {
      prisma: storage.prisma,
      now: storage.now,
      retention: config.refreshToken.retention,
      auditRetention: config.refreshToken.retention,
    };
    for (let first = 0; first < EXPIRED; first += 20_000) {
      await storage.prisma.$executeRaw`
        INSERT INTO artifact (id, model, sealed, expires_at)
        SELECT sha256(n::text::bytea), 'AccessToken', sha256(n::text::bytea), now() - interval '1 day'
        FROM generate_series(${first + 1}::int, ${first + 20_000}::int) n`;
    }
    const chains = await Promise.all(
      Array.from({ length: CHAINS }, () => newFamily(provider.issuer, client)),
    );
    /** Refreshes in all chains until told to stop. @returns how long each took, in milliseconds */
    const refreshing = async (goesOn: (count: number) => boolean) => {
      const times: number[] = [];
      await Promise.all(
        chains.map(async (token, chain) => {
          while (goesOn(times.length)) {
            const start = performance.now();
            const { status, body } = await refreshAt(provider.issuer, token, client);
            times.push(performance.now() - start);
            expect(status).toBe(200);
            chains[chain] = token = body.refresh_token ?? '';
          }
        }),
      );
      return times;
    };

    await refreshing((count) => count < QUIET / 4); // warm
    const quiet = await refreshing((count) => count < QUIET);
    expect((await backlog(parts)).artifacts).toBe(EXPIRED);
    let isSwept = false;
    const sweeping = sweep(parts).finally(() => (isSwept = true));
    const beside = await refreshing(() => !isSwept);

    expect(await sweeping).toBe(EXPIRED);
    expect((await backlog(parts)).artifacts).toBe(0);
    const [p99, p99beside] = [percentile(quiet, 0.99), percentile(beside, 0.99)];
    console.info(
      `refresh p99: quiet ${p99.toFixed(1)} ms of ${quiet.length}, beside the sweep ${p99beside.toFixed(1)} ms of ${beside.length}`,
    );
    expect(beside.length).toBeGreaterThan(CHAINS * 10);
    // Not more than doubled on a machine of its own; here other tests run beside it.
    expect(p99beside).toBeLessThan(p99 * (long ? 3 : 8));
  },
);

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}
