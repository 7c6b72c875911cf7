// Writes the table of docs/audit.md from src/storage/audit/types.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import { eventTypes, ocsfClasses } from '../src/storage/audit/types.ts';

/** The rows of the table. */
export function typeRows(): string[] {
  return Object.entries(eventTypes).map(
    ([type, [uid, tells]]) => `| \`${type}\` | ${uid} ${ocsfClasses[uid]} | ${tells} |`,
  );
}

if (import.meta.main) {
  const file = new URL('../docs/audit.md', import.meta.url);
  const heading = '| type | OCSF class | tells |\n| --- | --- | --- |';
  const text = readFileSync(file, 'utf8').replace(
    /(<!-- types -->\n)[\s\S]*(<!-- \/types -->)/,
    (_all, before: string, after: string) =>
      `${before}\n${heading}\n${typeRows().join('\n')}\n\n${after}`,
  );
  writeFileSync(file, text);
}
