// What files would change: each step with what differs, and what carries it out. Planning only reads.
import { isDeepStrictEqual } from 'node:util';
import { addGroup, describeGroup, removeGroup } from '../accounts/groups.ts';
import { countWithdrawn } from '../storage/access.ts';
import { whatChanged } from '../storage/audit/changed.ts';
import {
  addResource,
  changeResource,
  columnsOf,
  removeResource,
  resourceFacts,
} from '../storage/resources.ts';
import { planClaims } from './claims.ts';
import { planClient, planRemoval } from './clients.ts';
import type { Entries } from './entries.ts';
import type { Problem } from './source.ts';
import type { Database, PlanParts, PlannedStep, Run, Step } from './steps.ts';

/**
 * Compares what files say with what there is.
 *
 * @param problems what is wrong is added to them
 * @returns the steps in the order in which they can be done
 */
export async function plan(
  database: Database,
  parts: PlanParts,
  entries: Entries,
  problems: Problem[],
): Promise<PlannedStep[]> {
  const groups = await planGroups(database, parts, entries);
  const resources = await planResources(database, parts, entries);
  const claims = await planClaims(database, parts, entries, problems);
  const removed = groups.filter(({ action }) => action === 'remove').map(({ id }) => id);
  const existing = await database.group.findMany({ select: { name: true } });
  const names = new Set([
    ...existing.map(({ name }) => name),
    ...entries.groups.map(({ id }) => id),
  ]);
  for (const name of removed) names.delete(name);
  const clients: PlannedStep[] = [];
  for (const entry of entries.clients) {
    const step = await planClient(database, parts, entry, names, problems);
    if (step) clients.push(step);
  }
  if (parts.prune) {
    const described = entries.clients.map(({ id }) => id);
    const gone = await database.client.findMany({
      where: { applied: true, id: { notIn: described } },
      orderBy: { id: 'asc' },
    });
    for (const { id } of gone) clients.push(await planRemoval(database, parts, id));
  }
  const steps = [...groups, ...claims, ...resources, ...clients];
  const removals = (kind: Step['kind']) =>
    steps.filter((step) => step.action === 'remove' && step.kind === kind);
  return [
    ...steps.filter(({ action, kind }) => action !== 'remove' || kind === 'scope'),
    ...[...removals('client'), ...removals('resource'), ...removals('group')],
  ];
}

async function planGroups(
  database: Database,
  { storage, origin, prune }: PlanParts,
  { groups }: Entries,
): Promise<PlannedStep[]> {
  const parts = { storage, origin };
  const existing = await database.group.findMany({ orderBy: { name: 'asc' } });
  const steps: PlannedStep[] = [];
  for (const { id: name, value } of groups) {
    const before = existing.find((one) => one.name === name);
    const { description } = value;
    const after = { name, description };
    if (!before) {
      const run: Run = async (database) => {
        await addGroup(database, parts, { name, description: description ?? undefined });
        await database.group.update({ where: { name }, data: { applied: true } });
        return {};
      };
      steps.push({ ...{ action: 'add', kind: 'group', id: name, run }, ...whatChanged({}, after) });
    } else if (before.description !== description) {
      const run: Run = async (database) => {
        await describeGroup(database, parts, after);
        return {};
      };
      const { changed } = whatChanged(before, after, ['description']);
      steps.push({ action: 'change', kind: 'group', id: name, changed, run });
    }
  }
  const described = groups.map(({ id }) => id);
  for (const { name: id, applied } of existing) {
    if (!prune || !applied || described.includes(id)) continue;
    const members = await database.account.count({ where: { groups: { has: id } } });
    const families = await countWithdrawn(database, { group: id });
    const run: Run = (database) => removeGroup(database, parts, id);
    steps.push({ action: 'remove', kind: 'group', id, changed: {}, members, families, run });
  }
  return steps;
}

async function planResources(
  database: Database,
  { storage, origin, prune }: PlanParts,
  { resources }: Entries,
): Promise<PlannedStep[]> {
  const occasion = { now: storage.now(), origin };
  const existing = await database.resource.findMany({ orderBy: { id: 'asc' } });
  const steps: PlannedStep[] = [];
  for (const { id, value } of resources) {
    const before = existing.find((one) => one.id === id);
    const after = resourceFacts(columnsOf(value));
    if (!before) {
      const run: Run = async (database) => {
        await addResource(database, value, occasion);
        await database.resource.update({ where: { id }, data: { applied: true } });
        return {};
      };
      steps.push({ ...{ action: 'add', kind: 'resource', id, run }, ...whatChanged({}, after) });
    } else if (!isDeepStrictEqual(resourceFacts(before), after)) {
      const run: Run = async (database) => {
        await changeResource(database, { before, after: value }, occasion);
        return {};
      };
      const { changed } = whatChanged(resourceFacts(before), after);
      steps.push({ action: 'change', kind: 'resource', id, changed, run });
    }
  }
  const described = resources.map(({ id }) => id);
  for (const { id, applied } of existing) {
    if (!prune || !applied || described.includes(id)) continue;
    const run: Run = async (database) => {
      await removeResource(database, id, occasion);
      return {};
    };
    steps.push({ action: 'remove', kind: 'resource', id, changed: {}, run });
  }
  return steps;
}
