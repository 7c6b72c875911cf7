// The settings of the look of the pages. The files that they name are read and checked when the provider starts.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { loadLanguages } from '../../languages.ts';
import { type Scheme, complaintAbout, readLogo } from '../theme.ts';
import { type Section, reading, refuse } from './setting.ts';

const A_LOGO = 'the path of an SVG or PNG file';

const color = (scheme: Scheme) =>
  z
    .string()
    .regex(/^#[0-9a-f]{6}$/i)
    .transform((value, context) => {
      const complaint = complaintAbout(value.toLowerCase(), scheme);
      if (complaint !== undefined) refuse(context, complaint);
      return value.toLowerCase();
    });

const link = {
  schema: z.url({ protocol: /^(https?|mailto)$/ }).optional(),
  wants: 'an https, http or mailto URL',
  fallback: 'no link',
};

export const theme = {
  name: {
    variable: 'SYMBOLON_NAME',
    schema: z.string().trim().min(1).max(60).default('Symbolon'),
    wants: 'a name of at most 60 characters',
    help: 'What the provider calls itself on its pages; see [How it looks](look.md).',
  },
  logo: {
    variable: 'SYMBOLON_LOGO',
    schema: z
      .string()
      .regex(/\.(svg|png)$/i)
      .transform(reading(readLogo, A_LOGO))
      .optional(),
    wants: A_LOGO,
    help: 'The logo above every page.',
    fallback: 'Symbolon’s own',
  },
  accent: {
    light: {
      variable: 'SYMBOLON_ACCENT_COLOR',
      schema: color('light').optional(),
      wants: 'a colour like `#17594a`',
      help: 'The colour of buttons and links on light pages. It must be told from the page: a contrast of 4.5:1 at least (WCAG 2.2, 1.4.3).',
      fallback: 'Symbolon’s own',
    },
    dark: {
      variable: 'SYMBOLON_ACCENT_COLOR_DARK',
      schema: color('dark').optional(),
      wants: 'a colour like `#8fd3bd`',
      help: 'The same on dark pages.',
      fallback: 'made lighter from `SYMBOLON_ACCENT_COLOR`, if that is set',
    },
  },
  links: {
    support: {
      variable: 'SYMBOLON_SUPPORT_URL',
      ...link,
      help: 'Where people find help; a link at the foot of every page.',
    },
    privacy: {
      variable: 'SYMBOLON_PRIVACY_URL',
      ...link,
      help: 'The privacy policy; a link at the foot of every page.',
    },
    terms: {
      variable: 'SYMBOLON_TERMS_URL',
      ...link,
      help: 'The terms of use; a link at the foot of every page.',
    },
  },
  views: {
    variable: 'SYMBOLON_VIEWS_DIR',
    schema: z
      .string()
      .min(1)
      .transform(reading(readViews, 'a folder as docs/look.md describes it'))
      .optional(),
    wants: 'the path of a folder',
    help: 'A folder whose templates and messages replace those of the same name; see [How it looks](look.md).',
    fallback: 'none is replaced',
  },
} satisfies Section;

/**
 * @returns the absolute path of the folder
 * @throws {Error} when it is no folder, or its messages have mistakes
 */
function readViews(folder: string): string {
  const views = resolve(folder);
  if (!statSync(views).isDirectory()) throw new Error('it is no folder');
  loadLanguages(views);
  return views;
}
