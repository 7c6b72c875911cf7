// One real PostgreSQL for the run: started here, with a migrated template that every file's database is made from. It is
// the embedded one, or that whose programs are in the folder TEST_POSTGRES (npm run test:postgres).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbedded } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrate.ts';
import { ownPostgres } from './own-postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgres: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { url, stop } = await startPostgres();
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query('CREATE DATABASE template_symbolon');
  await admin.end();
  const template = new URL(url);
  template.pathname = '/template_symbolon';
  await migrate(template.href);
  project.provide('postgres', url);
  return stop;
}

async function startPostgres(): Promise<{ url: string; stop: () => Promise<void> }> {
  const bin = process.env['TEST_POSTGRES'];
  if (bin !== undefined) {
    const own = await ownPostgres(['-c', 'max_connections=300'], undefined, bin);
    return { url: own.urlOf('postgres'), stop: own.remove };
  }
  const folder = await mkdtemp(join(tmpdir(), 'symbolon-test-'));
  const embedded = await startEmbedded(folder);
  return {
    url: embedded.url,
    async stop() {
      await embedded.release();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
