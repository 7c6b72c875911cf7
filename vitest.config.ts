import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres.ts'],
    // As Node runs it: it is copied from a package.
    server: { deps: { external: [/\/src\/generated\/prisma-runtime\//] } },
    // A hang is a hang; a slow machine is none.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 300_000 } },
    maxWorkers: 2,
  },
});
