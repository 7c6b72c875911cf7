// `symbolon demo`: the provider and a relying party, with a person and a client, on this machine. Everything is
// kept in .symbolon/demo below the working folder; delete that to begin anew.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { startProvider } from './provider-process.ts';
import { startRelyingParty } from './relying-party.ts';
import { DEMO_ONLY_CLIENT_SECRET, DEMO_ONLY_PERSON, seedClient, seedPerson } from './seed.ts';

/** Runs the demo until a signal comes. @throws {Error} when a port is not one, or is in use */
export async function demo(): Promise<void> {
  const port = portFrom('PORT', 3000);
  const demoPort = portFrom('DEMO_PORT', 3001);
  const issuer = `http://localhost:${port}`;
  const url = `http://localhost:${demoPort}`;
  const clientId = demoPort === 3001 ? 'demo' : `demo-${demoPort}`; // its redirect_uri is its own
  const environment = {
    ...process.env,
    PORT: String(port),
    HOST: 'localhost',
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
    SYMBOLON_ISSUER: issuer,
    SYMBOLON_DATA_DIR: process.env['SYMBOLON_DATA_DIR'] ?? resolve('.symbolon/demo'),
    // Empty is not set, and a .env file does not override it: a demo's person has no place in a real database.
    DATABASE_URL: '',
    SYMBOLON_SECRET: '',
  };

  const closers: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (code: number) =>
    (stopping ??= (async () => {
      for (const close of closers.toReversed()) await close();
      process.exit(code);
    })());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void stop(0)); // npm passes Ctrl+C on a second time
  }

  try {
    await expectFree(port, 'PORT');
    await expectFree(demoPort, 'DEMO_PORT');
    console.log('\n  Preparing the demo: a database, a person, a client ...');
    await seedPerson(environment);
    const provider = startProvider(environment, issuer);
    closers.push(() => provider.stop());
    await provider.ready;
    void provider.ended.then(() => stop(1));
    await seedClient(environment, clientId, url);
    const relyingParty = await startRelyingParty({
      issuer,
      clientId,
      clientSecret: DEMO_ONLY_CLIENT_SECRET,
      port: demoPort,
    });
    closers.push(() => relyingParty.close());
    console.log(greeting({ issuer, url, clientId }));
  } catch (error) {
    console.error(`\n  ${error instanceof Error ? error.message : String(error)}\n`);
    await stop(1);
  }
}

function greeting(shown: { issuer: string; url: string; clientId: string }): string {
  const { email, password } = DEMO_ONLY_PERSON;
  return `
  Open      ${shown.url}
  E-mail    ${email}
  Password  ${password}

  Press     Sign in, Refresh a few times, Refresh twice at once,
            then Replay the old token, and Refresh again. Ctrl+C stops it.

  Provider  ${shown.issuer}
  Client    ${shown.clientId} / ${DEMO_ONLY_CLIENT_SECRET}
`;
}

function portFrom(name: string, fallback: number): number {
  const given = process.env[name];
  if (given === undefined || given === '') return fallback;
  const port = Number(given);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(`${name} is "${given}", and must be a port number from 1 to 65535.`);
  }
  return port;
}

/** @throws when something listens there: it would answer in the place of what is started here */
async function expectFree(port: number, name: string): Promise<void> {
  const server = createServer();
  try {
    server.listen(port, 'localhost');
    await once(server, 'listening');
  } catch (error) {
    throw new Error(`Port ${port} is in use. Stop what listens there, or set ${name}.`, {
      cause: error,
    });
  }
  server.close();
  await once(server, 'close');
}
