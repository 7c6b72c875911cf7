// Starts the provider: settings, database, application, listeners; and stops it gracefully.
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { hasAccounts } from './accounts/accounts.ts';
import { createApp } from './app.ts';
import { type Config, ConfigError, isDebugging, loadConfig } from './config/config.ts';
import { type SweepParts, startSweeping } from './database/sweep.ts';
import { createLog } from './operations/log.ts';
import { setupLink } from './pages/setup.ts';
import { openStorage } from './storage/open.ts';

const GRACE = 10_000; // milliseconds for requests in flight to finish

// The engine makes an error for every check of a request before it knows whether the check fails, and capturing its
// stack takes longer than the check. A limit other than Node's default of ten was set by the operator, for debugging.
const NODE_FRAMES = 10;
const FRAMES = 4;

export interface Running {
  readonly issuer: string;
  /** Finishes requests in flight, then closes everything. */
  stop(): Promise<void>;
}

/** Starts the provider in this process. */
export async function serve(config: Config): Promise<Running> {
  const log = createLog(config.logLevel);
  const { storage, close } = await openStorage(config);
  const servers = listeners(config);
  const stopping = new AbortController();
  let background: { stop(): Promise<void> }[];
  try {
    const { koa, outgoing, mailer, keyRotation } = await createApp({
      config,
      storage,
      log,
      stopping: stopping.signal,
    });
    koa.silent = true; // the application itself logs errors
    const handle = koa.callback();
    for (const { server, port } of servers) {
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        void handle(request, response);
      });
      await listen(server, port, config.host);
    }
    background = [outgoing.start(), mailer.start(), keyRotation.start()];
  } catch (error) {
    for (const { server } of servers) server.close();
    await close();
    throw error;
  }
  const sweeping = startSweeping(sweepParts(config, storage), (error) => {
    log.error({ err: error }, 'sweep failed');
  });

  announce(
    config,
    (await hasAccounts(storage.prisma)) ? undefined : setupLink(config, storage.keyring),
  );
  if (config.issuer.startsWith('https:') && !config.trustProxy && !config.tls) {
    log.warn(
      'The issuer is https but SYMBOLON_TRUST_PROXY is off: behind a TLS proxy, URLs will be http.',
    );
  }

  if (config.mail.mode === 'off') {
    log.warn(
      'Mail is off: nobody can reset a password, and nobody is told of new devices. Set SYMBOLON_SMTP_URL.',
    );
  }

  let stopped: Promise<void> | undefined;
  return {
    issuer: config.issuer,
    stop: () =>
      (stopped ??= (async () => {
        log.info('stopping');
        stopping.abort();
        await Promise.all(servers.map(({ server }) => closeServer(server)));
        await Promise.all([sweeping, ...background].map((work) => work.stop()));
        await close();
        log.info('stopped');
      })()),
  };
}

/** The sweep's dependencies in this installation. */
export function sweepParts(
  { refreshToken }: Config,
  { prisma, now }: Omit<SweepParts, 'retention'>,
): SweepParts {
  return { prisma, now, retention: refreshToken.retention };
}

/**
 * The servers and their ports: one for everybody; with SYMBOLON_MTLS_PORT a second one that asks for certificates (RFC
 * 8705 §5).
 */
function listeners({ port, tls }: Config): { server: Server; port: number }[] {
  if (!tls) return [{ server: createServer(), port }];
  const own = { cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
  const servers = [{ server: createTlsServer(own), port }];
  if (tls.mtlsPort !== undefined) {
    // A certificate that no authority has signed may still be registered by a client.
    const asking = {
      ...own,
      requestCert: true,
      rejectUnauthorized: false,
      ca: tls.clientCa === undefined ? [] : readFileSync(tls.clientCa),
    };
    servers.push({ server: createTlsServer(asking), port: tls.mtlsPort });
  }
  return servers;
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken
          ? new Error(`Port ${port} on ${host} is in use. Stop what listens there, or set PORT.`)
          : error,
      );
    });
    server.listen({ port, host }, resolve);
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) =>
    server.close(() => {
      resolve();
    }),
  );
  server.closeIdleConnections();
  const impatience = setTimeout(() => {
    server.closeAllConnections();
  }, GRACE);
  await closed;
  clearTimeout(impatience);
}

function announce(config: Config, setup: string | undefined): void {
  const next =
    setup === undefined
      ? '  Register a client:   npm run -s symbolon -- client add --help'
      : `  No account exists yet. Make the first administrator's here, once:\n\n    ${setup}\n\n  Then register a client:   npm run -s symbolon -- client add --help`;
  process.stdout.write(
    `\n  Symbolon is running.\n\n  Issuer      ${config.issuer}\n  Discovery   ${config.issuer}/.well-known/openid-configuration\n\n${next}\n\n`,
  );
}

/** `symbolon serve`: runs until a signal comes, even one that comes during the start. */
export async function main(): Promise<void> {
  if (Error.stackTraceLimit === NODE_FRAMES) Error.stackTraceLimit = FRAMES;
  const starting = serve(loadConfig());
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      void starting
        .then((running) => running.stop())
        .then(
          () => process.exit(0),
          (error: unknown) => {
            explainExit(error);
            process.exit(1);
          },
        );
    });
  }
  await starting;
}

/** Prints why the command ended, without a stack for mistakes that the person can mend. */
export function explainExit(error: unknown): void {
  const known = error instanceof ConfigError || !isDebugging();
  console.error(known && error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

if (import.meta.main) await main().catch(explainExit);
