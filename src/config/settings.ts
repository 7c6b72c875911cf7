// All settings of Symbolon, each declared once: an entry's place is the place of its value in the configuration; it has
// the variable, what it accepts and what it is for. docs/configuration.md lists them in this order.
import { clients } from './settings/clients.ts';
import { network } from './settings/network.ts';
import { people } from './settings/people.ts';
import { server } from './settings/server.ts';
import { type Section, type Setting, type ValuesOf, isSetting } from './settings/setting.ts';
import { theme } from './settings/theme.ts';
import { tokens } from './settings/tokens.ts';

export const settings = {
  ...server,
  ...people,
  ...tokens,
  ...clients,
  theme,
  ...network,
} satisfies Section;

/** The values of all settings, each right by itself. */
export type Values = ValuesOf<typeof settings>;

/** The settings of a section and its subsections, in their order. */
export function settingsOf(section: Section = settings): Setting[] {
  return Object.values(section).flatMap((entry) =>
    isSetting(entry) ? [entry] : settingsOf(entry),
  );
}
