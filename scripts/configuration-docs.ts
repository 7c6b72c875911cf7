// Makes docs/configuration.md from the table of the settings in src/config/settings.ts.
import { writeFileSync } from 'node:fs';
import { settingsOf } from '../src/config/settings.ts';

/** The text of docs/configuration.md. */
export function configurationDocs(): string {
  const rows = settingsOf().map((setting) => {
    const parsed = setting.schema.safeParse(undefined);
    const fallback = setting.fallback ?? `\`${String(parsed.data)}\``;
    return `| \`${setting.variable}\` | ${setting.wants} | ${fallback} | ${setting.help} |`;
  });
  const secrets = settingsOf().flatMap(({ secret, variable }) => (secret ? [variable] : []));
  return `# Configuration

Symbolon reads its settings from the environment, completed by a \`.env\` file in the folder in which it is
started (a variable that is set wins over the file). A wrong value stops the start with one line that names
the variable, what it got and what it wants. Lifetimes are in seconds.

A secret may be in a file instead, as container platforms and systemd hand them out: the variable with \`_FILE\` at its end
names the file, whose content is the value, without a newline at its end. That goes for
${secrets.map((name) => `\`${name}_FILE\``).join(', ')}.

This page is made from [\`src/config/settings.ts\`](../src/config/settings.ts) by \`npm run docs:configuration\`.

| variable | value | default | |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

if (import.meta.main) writeFileSync('docs/configuration.md', configurationDocs());
