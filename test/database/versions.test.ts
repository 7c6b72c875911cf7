// What matters of every flow, on PostgreSQL as Debian has it and as the run has it: the pinned one, or what TEST_POSTGRES
// names (npm run test:postgres does so for 14 to 18).
import * as client from 'openid-client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../src/database/open.ts';
import { migrate } from '../../src/database/migrate.ts';
import { backlog, sweep } from '../../src/database/sweep.ts';
import { placeEvents } from '../../src/storage/audit/order.ts';
import { readEvents } from '../../src/storage/audit/read.ts';
import { sealEvents } from '../../src/storage/audit/seal.ts';
import { verifyEvents } from '../../src/storage/audit/verify.ts';
import { Agent, signInForm } from '../support/agent.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { ownPostgres, programs } from '../support/own-postgres.ts';
import { person, startProvider } from '../support/provider.ts';
import { discover, errorOf, refresh, refreshTokenOf, signIn } from '../support/relying-party.ts';
import { query } from './processes.ts';

const isGiven = process.env['TEST_POSTGRES'] !== undefined;

async function system(): Promise<TestDatabase> {
  const own = await ownPostgres();
  onTestFinished(() => own.remove());
  await query(own.urlOf('postgres'), 'CREATE DATABASE symbolon');
  return { url: own.urlOf('symbolon'), drop: () => Promise.resolve() };
}

async function ofTheRun(): Promise<TestDatabase> {
  const made = await createDatabase('template0');
  return { url: made.url, drop: () => made.drop() };
}

describe.each([
  ['of the run', ofTheRun, true],
  ['of the system', system, programs !== undefined && !isGiven],
])('PostgreSQL %s', (_name, make, isThere) => {
  test.runIf(isThere)(
    'migrations, sign-in, limits, code, refresh, revocation, sweep, audit',
    async () => {
      const database = await make();
      const names = await migrate(database.url);
      expect(names.length).toBeGreaterThan(10);
      const provider = await startProvider({ database });
      onTestFinished(() => provider.close());
      const { storage } = provider;
      const [version] = await query<{ v: string }>(database.url, `SELECT version() AS v`);
      if (isGiven) console.log(version?.v); // so that a log tells what it was

      // Sign-in: guesses are counted and forgotten, also many at once.
      const party = await discover(provider.issuer);
      const agent = new Agent(provider.issuer);
      const page = await agent.open('/account');
      for (let guess = 0; guess < 3; guess++) {
        const wrong = { email: person.email, password: `wrong ${guess}` };
        const answer = await agent.submit(page, wrong, signInForm);
        expect(answer.status).toBeLessThan(500);
      }
      const counted = () => storage.prisma.attempt.count({ where: { key: { startsWith: 'n:' } } });
      expect(await counted()).toBeGreaterThan(0);
      const tokens = await signIn(party, new Agent(provider.issuer));

      // A refresh token, its retry, its end.
      const first = refreshTokenOf(tokens);
      const second = refreshTokenOf(await refresh(party, first));
      expect(refreshTokenOf(await refresh(party, first))).toBe(second);
      const at = await refresh(party, second);
      const claims = tokens.claims()?.sub ?? '';
      expect(
        await client.fetchUserInfo(party.configuration, at.access_token, claims),
      ).toMatchObject({
        email: person.email,
      });
      await client.tokenRevocation(party.configuration, refreshTokenOf(at));
      expect(await errorOf(refresh(party, refreshTokenOf(at)))).toMatchObject({
        error: 'invalid_grant',
      });

      // The sweep.
      await storage.prisma.$executeRaw`UPDATE artifact SET expires_at = now() - interval '1 day'`;
      await storage.prisma.$executeRaw`UPDATE attempt SET expire = 1`;
      const prisma = connect(database.url);
      onTestFinished(() => prisma.$disconnect());
      const parts = { prisma, now: () => new Date(), retention: 1e6, auditRetention: 1e6 };
      expect((await backlog(parts)).artifacts).toBeGreaterThan(0);
      expect(await sweep(parts)).toBeGreaterThan(0);
      expect(await backlog(parts)).toMatchObject({ artifacts: 0, attempts: 0 });

      // The audit.
      const audit = { prisma, keyring: storage.keyring, now: () => new Date() };
      await sealEvents(audit);
      expect(await verifyEvents(audit, 1e6)).toMatchObject({ problems: [] });
      const types = new Set<string>();
      const all = { after: 0n, upTo: await placeEvents(prisma) };
      for await (const event of readEvents(prisma, {}, all)) types.add(event.type);
      expect([...types]).toEqual(
        expect.arrayContaining(['sign_in', 'sign_in.failed', 'family.ended']),
      );
    },
  );
});
