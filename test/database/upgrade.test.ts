// An upgrade from each released minor version: upgrades/VERSION.sql is a database as that version has left it (pg_dump),
// VERSION.json what its people hold. With TEST_UPGRADE_FROM, a folder with a version and its node_modules, both are made
// instead: docs/release.md.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { connect } from '../../src/database/open.ts';
import { Keyring } from '../../src/keys/keyring.ts';
import { sealEvents } from '../../src/storage/audit/seal.ts';
import { verifyEvents } from '../../src/storage/audit/verify.ts';
import { Agent } from '../support/agent.ts';
import { createDatabase } from '../support/database.ts';
import { ownPostgres } from '../support/own-postgres.ts';
import { run, startProcess } from '../support/process.ts';
import { person, secret, webClient } from '../support/provider.ts';
import { discover, errorOf, refresh, refreshTokenOf, signIn } from '../support/relying-party.ts';
import { query } from './processes.ts';

// Each starts processes.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

interface Held {
  /** A refresh token, of a family that lives. */
  readonly token: string;
  /** One of a family that has ended. */
  readonly ended: string;
  readonly sub: string;
}

const FOLDER = join(import.meta.dirname, 'upgrades');
const from = process.env['TEST_UPGRADE_FROM'];
const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.sql'));
// The issuer is in what is kept, and so is the port.
const PORT = '10999';
const CENTURY = String(100 * 365 * 86_400);
const settings = (databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  SYMBOLON_SECRET: secret,
  SYMBOLON_ISSUER: `http://localhost:${PORT}`,
  SYMBOLON_REFRESH_TOKEN_IDLE_TTL: CENTURY,
  SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL: CENTURY,
  PORT,
});

test.each(names.map((name) => name.replace('.sql', '')))('from %s', async (version) => {
  const held = JSON.parse(await readFile(join(FOLDER, `${version}.json`), 'utf8')) as Held;
  const database = await createDatabase('template0');
  onTestFinished(() => database.drop());
  await query(database.url, await readFile(join(FOLDER, `${version}.sql`), 'utf8'));
  expect(await migrate(database.url)).not.toEqual([]);

  const provider = await startProcess(settings(database.url));
  onTestFinished(async () => {
    await provider.end();
  });
  const party = await discover(`http://localhost:${PORT}`);
  const next = await refresh(party, held.token);
  expect(refreshTokenOf(next)).toMatch(/^symr_/);
  expect(next.claims()?.sub).toBe(held.sub);
  await refresh(party, refreshTokenOf(next));
  expect(await errorOf(refresh(party, held.ended))).toMatchObject({ error: 'invalid_grant' });
  // The password, what was granted, the client and its secret.
  const again = await signIn(party, new Agent(`http://localhost:${PORT}`));
  expect(again.claims()?.sub).toBe(held.sub);

  const prisma = connect(database.url);
  onTestFinished(() => prisma.$disconnect());
  const parts = { prisma, keyring: new Keyring([secret]), now: () => new Date() };
  await sealEvents(parts);
  const { problems, events } = await verifyEvents(parts, 1e9);
  expect({ problems, isThere: events > 4 }).toEqual({ problems: [], isThere: true });
  const commands = [
    'user list',
    'client list',
    'family list',
    'key list',
    'secret reseal',
    'sweep',
  ];
  for (const command of commands)
    expect(await run(['src/cli.ts', ...command.split(' ')], settings(database.url))).toMatchObject({
      code: 0,
    });
});

test.runIf(from !== undefined)('what it is upgraded from is made', async () => {
  const folder = from ?? '';
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const own = await ownPostgres();
  onTestFinished(() => own.remove());
  await query(own.urlOf('postgres'), 'CREATE DATABASE symbolon');
  const theirs = settings(own.urlOf('symbolon'));
  const provider = await startProcess(theirs, folder);
  const symbolon = (input: string, ...args: string[]) =>
    run([join(folder, 'src/cli.ts'), ...args], theirs, input);
  await symbolon(
    person.password,
    'user',
    'add',
    person.email,
    '--name',
    person.name,
    '--password-stdin',
  );
  const [redirect = ''] = webClient.redirect_uris;
  const { client_id: id, client_secret: password } = webClient;
  await symbolon(password, 'client', 'add', id, '--secret-stdin', '--redirect-uri', redirect);
  const party = await discover(provider.url);
  // Two browsers: a grant each.
  const one = await signIn(party, new Agent(provider.url));
  const other = await signIn(party, new Agent(provider.url));
  const token = refreshTokenOf(await refresh(party, refreshTokenOf(one)));
  const ended = refreshTokenOf(other);
  const [family = ''] = ended.replace(/^symr_/, '').split('.');
  await symbolon('', 'family', 'revoke', family);
  await provider.end();
  const dump = ['--inserts', '--no-owner', '--no-privileges', '--no-comments', 'symbolon'];
  const sql = (await own.run('pg_dump', ...dump)).replace(/^(--.*|\\.*|)\n/gm, '');
  await writeFile(join(FOLDER, `${version}.sql`), sql);
  const held: Held = { token, ended, sub: one.claims()?.sub ?? '' };
  await writeFile(join(FOLDER, `${version}.json`), `${JSON.stringify(held, undefined, 2)}\n`);
});
