// The list of the audit's types is closed: docs/audit.md has it, and no code writes another.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { typeRows } from '../../scripts/audit-docs.ts';

test('docs/audit.md has every type, with its OCSF class (npm run docs:audit)', () => {
  const docs = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
  const [, table = ''] = /<!-- types -->([\s\S]*)<!-- \/types -->/.exec(docs) ?? [];
  const [, , ...rows] = table.trim().split('\n');
  expect(rows.map((row) => row.replace(/\s+/g, ' '))).toEqual(typeRows());
});
