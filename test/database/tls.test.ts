// sslmode as libpq means it, on a PostgreSQL with TLS, and one without.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Embedded, startEmbedded } from '../../src/database/embedded.ts';
import { connectPrepared } from '../../src/database/open.ts';
import { run, startProcess } from '../support/process.ts';
import { secret } from '../support/provider.ts';
import { tls } from '../support/tls.ts';
import { databaseOn, makeFolder, query } from './processes.ts';

let folder: string;
let embedded: Embedded;
let url: string;
let ca: string;
let stranger: string;

beforeAll(async () => {
  folder = await makeFolder();
  embedded = await startEmbedded(folder);
  const put = async (name: string, content: string) => {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  ca = await put('ca.pem', tls.ca);
  // A certificate that has signed nothing.
  stranger = await put('stranger.pem', tls.serverCertificate);
  const files = {
    ssl_cert_file: await put('server.pem', tls.serverCertificate),
    ssl_key_file: await put('server.key', tls.serverKey),
    ssl: 'on',
  };
  for (const [name, value] of Object.entries(files))
    await query(embedded.url, `ALTER SYSTEM SET ${name} = '${value}'`);
  await query(embedded.url, 'SELECT pg_reload_conf()');
  url = (await databaseOn(embedded.url)).replace(/\?.*/, '');
});
afterAll(async () => {
  await embedded.release();
  await rm(folder, { recursive: true });
});

/** Whether a connection like this is encrypted. */
async function encrypted(address: string): Promise<boolean> {
  const pool = connectPrepared(address);
  try {
    const { rows } = await pool.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    return rows[0]?.ssl === true;
  } finally {
    await pool.end();
  }
}

const by = (host: string, query: string) => `${url.replace('127.0.0.1', host)}?${query}`;

describe('with TLS', () => {
  test.each([
    ['', true],
    ['sslmode=disable', false],
    ['sslmode=allow', false],
    ['sslmode=prefer', true],
    ['sslmode=require', true],
    ['sslmode=no-verify', true],
  ])('%s: encrypted: %s', async (parameters, expected) => {
    expect(await encrypted(by('127.0.0.1', parameters))).toBe(expected);
  });

  test('verify-ca wants the authority, verify-full the host name besides', async () => {
    const name = '127.1'; // the same address, and not in the certificate
    expect(await encrypted(by(name, `sslmode=verify-ca&sslrootcert=${ca}`))).toBe(true);
    expect(await encrypted(by('localhost', `sslmode=verify-full&sslrootcert=${ca}`))).toBe(true);
    for (const refused of [
      by(name, `sslmode=verify-full&sslrootcert=${ca}`),
      by('localhost', 'sslmode=verify-full'),
      by('localhost', `sslmode=verify-full&sslrootcert=${stranger}`),
      by('localhost', `sslmode=verify-ca&sslrootcert=${stranger}`),
      by('localhost', `sslmode=require&sslrootcert=${stranger}`),
    ])
      await expect(encrypted(refused)).rejects.toThrow(/certificate|verify|altnames/);
    expect(await encrypted(by('localhost', `sslmode=require&sslrootcert=${ca}`))).toBe(true);
  });

  test('a file that cannot be read is named', async () => {
    await expect(encrypted(by('localhost', 'sslmode=require&sslrootcert=/no/ca'))).rejects.toThrow(
      /sslrootcert.*\/no\/ca.*ENOENT/,
    );
  });

  test('allow and prefer go the other way when the server wants it', async () => {
    const role = "CREATE ROLE guest LOGIN PASSWORD 'x'";
    await query(embedded.url, role);
    const rules = (kind: string) =>
      writeFile(
        join(folder, 'postgres/pg_hba.conf'),
        `${kind} all guest all scram-sha-256\nhost all symbolon all scram-sha-256\n`,
      ).then(() => query(embedded.url, 'SELECT pg_reload_conf()'));
    const as = (parameters: string) =>
      by('127.0.0.1', parameters).replace(/\/\/[^@]*@/, '//guest:x@');
    await rules('hostssl');
    expect(await encrypted(as('sslmode=allow'))).toBe(true);
    await expect(encrypted(as('sslmode=disable'))).rejects.toThrow('pg_hba.conf');
    await rules('hostnossl');
    expect(await encrypted(as('sslmode=prefer'))).toBe(false);
    await expect(encrypted(as('sslmode=require'))).rejects.toThrow('pg_hba.conf');
  });
});

test('a service that takes TLS alone, with an authority of its own: the provider runs', async () => {
  await writeFile(
    join(folder, 'postgres/pg_hba.conf'),
    'hostssl all all all scram-sha-256\nhostnossl all all all reject\n',
  );
  await query(`${embedded.url.replace(/\?.*/, '')}?sslmode=no-verify`, 'SELECT pg_reload_conf()');
  const of = (parameters: string) => ({
    DATABASE_URL: by('localhost', parameters),
    SYMBOLON_SECRET: secret,
  });
  const stranger = await run(['src/main.ts'], of('sslmode=verify-full'));
  expect(stranger.stderr).toMatch(/DATABASE_URL.*certificate/);
  const provider = await startProcess(of(`sslmode=verify-full&sslrootcert=${ca}`));
  expect((await fetch(`${provider.url}/readyz`)).status).toBe(200);
  const plain = await query<{ count: string }>(
    by('localhost', 'sslmode=no-verify'),
    "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND application_name = 'symbolon 2'",
  );
  expect(plain).toEqual([{ count: '0' }]);
  await provider.end();
});

describe('without TLS', () => {
  const plain = (parameters: string) => inject('postgres').replace(/\?.*/, `?${parameters}`);
  test.each([['', 'sslmode=disable', 'sslmode=allow', 'sslmode=prefer']].flat())(
    '%s goes without',
    async (parameters) => {
      expect(await encrypted(plain(parameters))).toBe(false);
    },
  );
  test.each(['sslmode=require', 'sslmode=verify-full'])('%s fails', async (parameters) => {
    await expect(encrypted(plain(parameters))).rejects.toThrow(/SSL/);
  });
});
