// Scopes and claims in files, as SYMBOLON_CLAIMS_FILE has them. Only files make them, so `--prune` may remove any.
import { isDeepStrictEqual } from 'node:util';
import { type ClaimsConfig, claimsSchema, standardOnly } from '../config/claims.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import { keepClaims, keptClaims } from '../storage/claims-policy.ts';
import { type Entries, issuesOf } from './entries.ts';
import type { Database, PlanParts, PlannedStep, Run, Step } from './steps.ts';
import type { Path, Problem } from './source.ts';

/** What the scopes and claims will be. @param prune whether those that no file describes go */
export function withFiles(
  before: ClaimsConfig,
  { scopes, claims }: Pick<Entries, 'scopes' | 'claims'>,
  prune: boolean,
) {
  const kept = prune ? standardOnly : before;
  return claimsSchema.safeParse({
    ...kept,
    ...claims?.value,
    scopes: { ...kept.scopes, ...Object.fromEntries(scopes.map(({ id, value }) => [id, value])) },
  });
}

/** @param problems what is wrong is added to them */
export async function planClaims(
  database: Database,
  { storage, origin, hasClaimsFile, prune }: PlanParts,
  { scopes, claims, clients }: Entries,
  problems: Problem[],
): Promise<PlannedStep[]> {
  const first = scopes[0] ?? claims;
  if (hasClaimsFile) {
    if (first)
      problems.push(
        first.problem(
          'scopes and claims are those of SYMBOLON_CLAIMS_FILE, which is set: have them there or here',
        ),
      );
    return [];
  }
  const before = await keptClaims(database);
  const checked = withFiles(before, { scopes, claims }, prune);
  if (!checked.success) {
    const at = (message: string, ...[section, name, ...rest]: Path): Problem => {
      const scope = section === 'scopes' ? scopes.find(({ id }) => id === name) : undefined;
      const place = scope ?? claims ?? first;
      if (!place) return { file: 'claims', line: 0, message };
      return scope
        ? scope.problem(message, ...rest)
        : place.problem(message, ...(section === undefined ? [] : [section]));
    };
    problems.push(...issuesOf(checked.error, 'claims', at));
    return [];
  }
  const after = checked.data;
  if (isDeepStrictEqual(before, after)) return [];
  const steps: Step[] = [];
  for (const id of new Set([...Object.keys(before.scopes), ...Object.keys(after.scopes)])) {
    const [was, is] = [before.scopes[id], after.scopes[id]];
    if (isDeepStrictEqual(was, is)) continue;
    const action = !was ? 'add' : is ? 'change' : 'remove';
    steps.push({ action, kind: 'scope', id, ...whatChanged(was ?? {}, is ?? {}) });
    if (!is) problems.push(...(await stillNamed(database, id, clients)));
  }
  const tokens = whatChanged(before, after, ['id_token', 'access_token']);
  if (Object.keys(tokens.changed).length > 0)
    steps.push({ action: 'change', kind: 'claims', id: 'tokens', ...tokens });
  // They are one row, which the first step writes.
  const run: Run = async (database) => {
    await keepClaims(database, { before, after }, { now: storage.now(), origin });
    return {};
  };
  return steps.map((step, at) => ({ ...step, run: at === 0 ? run : () => Promise.resolve({}) }));
}

/** The engine refuses a client, whenever it is used, that names a scope which is not there. */
async function stillNamed(
  database: Database,
  scope: string,
  described: Entries['clients'],
): Promise<Problem[]> {
  const naming = await database.$queryRaw<{ id: string }[]>`
    SELECT id FROM client WHERE ${scope} = ANY (string_to_array(metadata->>'scope', ' '))
      AND NOT applied AND id <> ALL (${described.map(({ id }) => id)}) ORDER BY id`;
  return naming.map(({ id }) => ({
    ...{ file: 'scopes', line: 0 },
    message: `${scope} cannot be removed: the scope of the client ${id} names it, which no file describes`,
  }));
}
