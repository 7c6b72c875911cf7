// The steps in words, for whoever decides about them.
import type { Step } from './steps.ts';

const signs = { add: '+', change: '~', remove: '-' } as const;

/** @param when whether the steps are yet to be done */
export function stepsInWords(steps: readonly Step[], when: 'planned' | 'done'): string {
  if (steps.length === 0) return 'Nothing to change.';
  const count = (action: Step['action']) => steps.filter((step) => step.action === action).length;
  const [added, changed, removed] = [count('add'), count('change'), count('remove')];
  const sum =
    when === 'planned'
      ? `${added} to add, ${changed} to change, ${removed} to remove.`
      : `${added} added, ${changed} changed, ${removed} removed.`;
  return `${steps.map((step) => lines(step).join('\n')).join('\n')}\n\n${sum}`;
}

function lines({
  action,
  kind,
  id,
  changed,
  secrets,
  warnings = [],
  members,
  families,
}: Step): string[] {
  const ends = [
    ...(members === undefined ? [] : [`${members} in it`]),
    ...(families === undefined ? [] : [`refresh-token families that end: ${families}`]),
  ];
  const heading = `${signs[action]} ${kind} ${id}${ends.length === 0 ? '' : `  (${ends.join('; ')})`}`;
  const differences = Object.entries(changed)
    .filter(
      ([name]) =>
        !(
          action === 'add' &&
          ['client_id', 'name', 'resource'].includes(name) &&
          changed[name]?.to === id
        ),
    )
    .flatMap(([name, { from, to }]) => difference(name, from, to));
  return [
    heading,
    ...differences,
    ...(secrets ? [secretsInWords(secrets)] : []),
    ...warnings.map((warning) => `    Warning: ${warning}`),
  ];
}

function difference(name: string, from: unknown, to: unknown): string[] {
  if (Array.isArray(from) && Array.isArray(to)) {
    const gone = from.filter((one) => !to.some((other) => isSame(one, other)));
    const come = to.filter((one) => !from.some((other) => isSame(one, other)));
    if (gone.length + come.length > 0)
      return [
        `    ${name}:`,
        ...gone.map((one) => `      - ${JSON.stringify(one)}`),
        ...come.map((one) => `      + ${JSON.stringify(one)}`),
      ];
  }
  if (from === null) return [`    ${name}: ${JSON.stringify(to)}`];
  return [
    `    ${name}: ${JSON.stringify(from)} -> ${to === null ? '(removed)' : JSON.stringify(to)}`,
  ];
}

function secretsInWords({ added, removed }: { added: number; removed: number }): string {
  const parts = [
    ...(added > 0 ? [`${added} added`] : []),
    ...(removed > 0 ? [`${removed} removed`] : []),
  ];
  return `    client_secret: ${parts.join(', ')} (not shown)`;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
