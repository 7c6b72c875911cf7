// Every setting of Symbolon, said once: an entry stands where its value goes in the configuration, and says its
// variable, what it accepts and what it is for. docs/configuration.md tells them in this order.
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

/** The settings of a section and of the sections in it, one after the other. */
export function settingsOf(section: Section = settings): Setting[] {
  return Object.values(section).flatMap((entry) =>
    isSetting(entry) ? [entry] : settingsOf(entry),
  );
}
