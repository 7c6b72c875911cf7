// `symbolon serve`: starts the provider: settings, database, application, listeners; and stops it gracefully.
import { once } from 'node:events';
import { hasAccounts } from './accounts/accounts.ts';
import { startDeleting } from './accounts/removal.ts';
import { createApp } from './app.ts';
import { type Config, loadConfig } from './config/config.ts';
import { explainExit } from './commands/exit.ts';
import { type SweepParts, startSweeping } from './database/sweep.ts';
import { createListeners } from './operations/listeners.ts';
import { type Log, createLog } from './operations/log.ts';
import { giveBackMemory } from './operations/memory.ts';
import { createOperations } from './operations/operations.ts';
import { reportOutages } from './operations/outages.ts';
import { type Stoppable, stopOnSignals } from './operations/signals.ts';
import { setupLink } from './pages/setup.ts';
import { startSealing } from './storage/audit/seal.ts';
import { keptClaims } from './storage/claims-policy.ts';
import { openStorage } from './storage/open.ts';
import { bySystem } from './storage/origin.ts';
import type { Storage } from './storage/storage.ts';
import { symbolonCommand } from './symbolon-command.ts';

// The engine makes an error for every check of a request before it knows whether the check fails, and capturing its
// stack takes longer than the check. A limit other than Node's default of ten was set by the operator, for debugging.
const NODE_FRAMES = 10;
const FRAMES = 4;

export interface Running extends Stoppable {
  readonly issuer: string;
}

/** Starts the provider in this process. */
export async function serve(config: Config): Promise<Running> {
  const log = createLog(config.logLevel);
  const listeners = createListeners(config);
  const operations = createOperations(config);
  await operations.listen();
  const { storage, watch, applied, remark, close, release } = await openStorage(
    config,
    'apply',
  ).catch((error: unknown) => {
    operations.cut(); // it would keep the process
    throw error;
  });
  if (applied.length > 0) log.info({ migrations: applied }, 'brought the database up to date');
  if (remark !== undefined) log.warn(remark);
  const stopping = new AbortController();
  const hurrying = new AbortController();
  let background: { stop(): Promise<void> }[];
  try {
    await applyFolder(config, storage, log);
    const { koa, outgoing, mailer, keyRotation, health } = await createApp({
      config,
      storage,
      log,
      stopping: stopping.signal,
    });
    koa.silent = true; // the application itself logs errors
    await listeners.listen(koa.callback());
    operations.started(health);
    background = [outgoing.start(), mailer.start(), keyRotation.start(), watch.start(log)];
  } catch (error) {
    listeners.cut();
    operations.cut();
    await close();
    throw error;
  }
  const report = reportOutages(log, 'the sweep');
  const sweeping = startSweeping(sweepParts(config, storage), report.onError, report.onDone);
  const deleting =
    config.deletionDays === 'off'
      ? []
      : [startDeleting(storage, reportOutages(log, 'deleting accounts'))];

  const sealing = startSealing(
    storage,
    ({ number, first, last, hash }) => {
      log.info({ checkpoint: Number(number), events: `${first}-${last}`, hash }, 'audit sealed');
    },
    reportOutages(log, 'sealing the audit'),
  );

  announce(
    config,
    (await hasAccounts(storage.prisma)) ? undefined : setupLink(config, storage.keyring),
  );
  if (config.issuer.startsWith('https:') && config.trustProxy === false && !config.tls) {
    log.warn(
      'The issuer is https but SYMBOLON_TRUST_PROXY is off: behind a TLS proxy, everybody has the address of the proxy. Set it to that address.',
    );
  }
  if (config.trustProxy === true && config.tlsClient) {
    log.warn(
      'SYMBOLON_TRUST_PROXY is true: whoever reaches the port may send SYMBOLON_TLS_CLIENT_CERT_HEADER and be any mTLS client. Set it to the addresses of the proxy.',
    );
  }

  if (config.mail.mode === 'off') {
    log.warn(
      'Mail is off: nobody can reset a password, and nobody is told of new devices. Set SYMBOLON_SMTP_URL; to develop without a mail server, SYMBOLON_PRINT_MAILS=true prints mails here.',
    );
  }
  if (config.mail.mode === 'print') {
    log.warn(
      'Mails are printed here, with links that let in whoever reads them. That is for development: set SYMBOLON_SMTP_URL, or SYMBOLON_PRINT_MAILS=false.',
    );
  }

  let stopped: Promise<void> | undefined;
  return {
    issuer: config.issuer,
    stop: () => (stopped ??= stop()),
    hurry() {
      hurrying.abort();
    },
  };

  async function stop(): Promise<void> {
    log.info('stopping');
    stopping.abort();
    await Promise.race([inOrder(), atOnce()]);
    log.info('stopped');
  }

  async function inOrder(): Promise<void> {
    await listeners.leave();
    await Promise.all([sweeping, sealing, ...deleting, ...background].map((work) => work.stop()));
    await close();
    await operations.close();
  }

  /** What must not be left running is stopped; nobody is waited for. */
  async function atOnce(): Promise<void> {
    await once(hurrying.signal, 'abort');
    listeners.cut();
    operations.cut();
    await release();
  }
}

/** Makes the installation what the files of SYMBOLON_APPLY describe. @throws when they cannot be applied, saying why */
async function applyFolder(config: Config, storage: Storage, log: Log): Promise<void> {
  const { apply } = config;
  if (apply === undefined) return;
  const { applyFiles } = await import('./files/apply.ts');
  const { FilesError } = await import('./files/source.ts');
  const parts = { config, storage, origin: bySystem('apply') };
  const options = { paths: [apply], prune: false };
  const { steps, families } = await applyFiles(parts, options).catch((error: unknown) => {
    if (!(error instanceof FilesError)) throw error;
    throw new Error(`Symbolon cannot start with the files of SYMBOLON_APPLY: ${error.message}`);
  });
  for (const { action, kind, id, changed, warnings = [] } of steps) {
    log.info({ action, kind, id, members: Object.keys(changed) }, 'applied from files');
    for (const warning of warnings) log.warn({ kind, id }, warning);
  }
  log.info({ folder: apply, changes: steps.length, families }, 'files are applied');
  storage.kept.claims = await keptClaims(storage.prisma);
}

/** The sweep's dependencies in this installation. */
export function sweepParts(
  { refreshToken, unusedClientDays, auditRetentionDays }: Config,
  { prisma, now }: Pick<SweepParts, 'prisma' | 'now'>,
): SweepParts {
  return {
    prisma,
    now,
    retention: refreshToken.retention,
    auditRetention: auditRetentionDays * 86_400,
    unusedClients: unusedClientDays * 86_400,
  };
}

function announce(config: Config, setup: string | undefined): void {
  const next =
    setup === undefined
      ? `  Register a client:   ${symbolonCommand} client add --help`
      : `  No account exists yet. Make the first administrator's here, once:\n\n    ${setup}\n\n  Then register a client:   ${symbolonCommand} client add --help`;
  process.stdout.write(
    `\n  Symbolon is running.\n\n  Issuer      ${config.issuer}\n  Discovery   ${config.baseUrl}/.well-known/openid-configuration\n\n${next}\n\n`,
  );
}

/** `symbolon serve`: runs until a signal comes, even one that comes during the start. */
export async function main(): Promise<void> {
  if (Error.stackTraceLimit === NODE_FRAMES) Error.stackTraceLimit = FRAMES;
  const starting = serve(loadConfig());
  stopOnSignals(starting, (error) => void explainExit(error));
  await starting;
  giveBackMemory();
}
