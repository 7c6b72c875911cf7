// Applies files to the installation: all of it is validated before anything is written, and written in one transaction.
// Of two who apply at once the second waits, and finds nothing to do.
import type { Config } from '../config/config.ts';
import { completedMetadata } from '../provider/client-changes.ts';
import { metadataProblems } from '../provider/metadata-problems.ts';
import { type OfflineProvider, createOfflineProvider } from '../provider/offline-provider.ts';
import { awaitAccessChanges } from '../storage/access.ts';
import { newClientSecret } from '../storage/client-secrets.ts';
import { type ClientMetadata } from '../storage/clients.ts';
import type { Origin } from '../storage/origin.ts';
import type { AccessEnd } from '../storage/revocation.ts';
import type { Storage } from '../storage/storage.ts';
import { withFiles } from './claims.ts';
import { type ClientEntry, type Entries, type Entry, readEntries } from './entries.ts';
import { plan } from './plan.ts';
import { FilesError, type Problem, readSources } from './source.ts';
import type { Database, PlanParts, PlannedStep, Step } from './steps.ts';

export interface ApplyParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly origin: Origin;
}

export interface ApplyOptions {
  /** Files and folders. */
  readonly paths: readonly string[];
  /** Whether what files have made, and describe no more, is removed. */
  readonly prune: boolean;
}

/** What was done, and what has ended with it. */
export interface Applied extends AccessEnd {
  readonly steps: readonly Step[];
}

const LONGEST = 600_000; // milliseconds

/**
 * Makes the installation what files say.
 *
 * @throws {FilesError} with all that is wrong; nothing was written
 */
export async function applyFiles(parts: ApplyParts, options: ApplyOptions): Promise<Applied> {
  const { entries, planParts, problems } = await read(parts, options);
  return parts.storage.prisma.$transaction(
    async (database) => {
      await database.$executeRaw`SELECT set_config('statement_timeout', ${String(LONGEST)}, true)`;
      await awaitAccessChanges(database);
      await database.$queryRaw`
        SELECT 1 FROM client WHERE applied OR id = ANY (${entries.clients.map(({ id }) => id)})
        ORDER BY id FOR NO KEY UPDATE`;
      const steps = await planned(database, planParts, entries, problems);
      await lockWhatEnds(database, steps);
      const ended = { families: 0, told: [] as string[] };
      for (const { run } of steps) {
        const { families = 0, told = [] } = await run(database);
        ended.families += families;
        ended.told.push(...told);
      }
      return { steps, ...ended };
    },
    { timeout: LONGEST },
  );
}

/** What {@link applyFiles} would do. @throws {FilesError} with all that is wrong */
export async function planFiles(
  parts: ApplyParts,
  options: ApplyOptions,
): Promise<readonly Step[]> {
  const { entries, planParts, problems } = await read(parts, options);
  return parts.storage.prisma.$transaction(
    (database) => planned(database, planParts, entries, problems),
    { isolationLevel: 'RepeatableRead', timeout: LONGEST },
  );
}

async function read({ config, storage, origin }: ApplyParts, { paths, prune }: ApplyOptions) {
  const problems: Problem[] = [];
  const entries = await readEntries(await readSources(paths), problems);
  // Clients may name scopes that come with them.
  const claims = config.claims ?? withFiles(storage.kept.claims, entries, prune).data;
  const provider = createOfflineProvider({ config: { ...config, claims }, storage });
  const clients: Entry<ClientEntry>[] = [];
  for (const entry of entries.clients) {
    const metadata = completedMetadata(entry.value.metadata);
    problems.push(...(await refused(provider, entry, metadata)));
    clients.push({ ...entry, value: { ...entry.value, metadata } });
  }
  for (const { value, problem } of entries.resources)
    if (value.alg && !config.signingAlgorithms.includes(value.alg))
      problems.push(
        problem(`alg: ${value.alg} has no keys here (SYMBOLON_SIGNING_ALGORITHMS)`, 'alg'),
      );
  const planParts: PlanParts = {
    ...{ storage, origin, prune },
    needsSecret: (metadata) => provider.needsSecret(metadata),
    hasClaimsFile: config.claims !== undefined,
  };
  return { entries: { ...entries, clients }, planParts, problems };
}

/** What the engine would not accept of a client's metadata. */
async function refused(
  provider: OfflineProvider,
  { problem }: Entry<unknown>,
  given: ClientMetadata,
): Promise<Problem[]> {
  const members = Object.entries(given).filter(([, value]) => value !== null);
  const metadata = Object.fromEntries(members) as ClientMetadata;
  const secret = provider.needsSecret(metadata) ? { client_secret: newClientSecret() } : {};
  const found = await metadataProblems(provider, { ...metadata, ...secret });
  return found.map(({ member, message }) =>
    problem(message, ...(member === undefined ? [] : [member])),
  );
}

async function planned(
  database: Database,
  parts: PlanParts,
  entries: Entries,
  before: readonly Problem[],
): Promise<PlannedStep[]> {
  const problems = [...before];
  const steps = await plan(database, parts, entries, problems);
  if (problems.length > 0) throw new FilesError(problems);
  return steps;
}

/**
 * Locks the people and grants whose access steps end, in the order of locks and with one statement each. Step by step,
 * this and another transaction could wait for each other.
 */
async function lockWhatEnds(database: Database, steps: readonly PlannedStep[]): Promise<void> {
  const removed = (kind: Step['kind']) =>
    steps.filter((step) => step.action === 'remove' && step.kind === kind).map(({ id }) => id);
  const [clients, groups] = [removed('client'), removed('group')];
  const restricted = steps.flatMap(({ action, kind, id, changed }) => {
    const allowed = changed['allowed_groups']?.to;
    return action === 'change' && kind === 'client' && Array.isArray(allowed)
      ? [[id, allowed]]
      : [];
  });
  const touched = [...clients, ...restricted.map(([id]) => id as string)];
  if (touched.length + groups.length === 0) return;
  const allowed = JSON.stringify(Object.fromEntries(restricted));
  await database.$queryRaw`
    SELECT 1 FROM account WHERE groups && ${groups} ORDER BY id FOR UPDATE`;
  await database.$queryRaw`
    SELECT 1 FROM "grant" g
    WHERE account_id IN (SELECT id FROM account WHERE groups && ${groups})
      OR client_id = ANY (${touched}) AND NOT EXISTS (
        SELECT 1 FROM account a WHERE a.id = g.account_id
          AND ${allowed}::jsonb -> g.client_id ?| a.groups)
    ORDER BY id FOR UPDATE`;
}
