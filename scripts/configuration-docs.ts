// Makes docs/configuration.md from the declaration of the settings in src/config/config.ts.
import { writeFileSync } from 'node:fs';
import { settings } from '../src/config/config.ts';

/** The text of docs/configuration.md. */
export function configurationDocs(): string {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const parsed = setting.schema.safeParse(undefined);
    const fallback = 'fallback' in setting ? setting.fallback : `\`${String(parsed.data)}\``;
    return `| \`${name}\` | ${setting.wants} | ${fallback} | ${setting.help} |`;
  });
  return `# Configuration

Symbolon reads its settings from the environment, completed by a \`.env\` file in the folder in which it is
started (a variable that is set wins over the file). A wrong value stops the start with one line that names
the variable, what it got and what it wants. Lifetimes are in seconds.

This page is made from [\`src/config/config.ts\`](../src/config/config.ts) by \`npm run docs:configuration\`.

| variable | value | default | |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

if (import.meta.main) writeFileSync('docs/configuration.md', configurationDocs());
