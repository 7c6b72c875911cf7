// Each template against the type of its view: it shows nothing that the view does not have, by no message that there is
// not, and the view has nothing that it does not show.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Template, checkTemplates } from '../support/templates.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The templates of a folder, with the types that they have. */
function templatesIn(
  folder: string,
  typesOf: (name: string) => Pick<Template, 'it' | 'own'>,
): Template[] {
  return readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.eta'))
    .map((file) => {
      const text = readFileSync(join(root, folder, file), 'utf8');
      return { file: `${folder}/${file}`, text, ...typesOf(file.replace('.eta', '')) };
    });
}

const pages = templatesIn('views', (name) => {
  if (name === 'layout') return { it: 'Layout', own: 'Omit<Layout, keyof Frame>' };
  const [, page] = /^account-(.*)$/.exec(name) ?? [];
  const view = `Views['${name}']`;
  return { it: `Frame & Known<${view}>`, own: page ? `AccountViews['${page}']` : view };
});
const partials = templatesIn('views/partials', (name) => {
  const own = `Partials['${name}']`;
  return { it: own, own };
});
const mails = templatesIn('views/mail', (name) => {
  if (name === 'layout') return { it: 'MailLayout', own: 'MailLayout' };
  const own = `MailTemplates['${name}']`;
  return { it: `MailFrame & Known<${own}>`, own };
});
const templates = [...pages, ...partials, ...mails];

// What must be found.
const mistaken = [
  ['sign-in', '<%= it.actoin %>', "Property 'actoin' does not exist"],
  ['limit', '<%= it.actoin %>', "Property 'actoin' does not exist"],
  ['sign-in', '<%= it.errors?.sumary %>', "Property 'sumary' does not exist"],
  ['sign-in', "<%= it.t('sign-in.wrnog') %>", '"sign-in.wrnog"\' is not assignable'],
  ['sign-in', "<%= it.t(it.hint ? 'agian' : 'sign-in.title') %>", '"agian"\' is not assignable'],
  ['sign-in', '<%= it.email %>', "'undefined' is not assignable"],
  ['sign-in', '<%= it.passkey %>', "is not assignable to parameter of type 'string | number'"],
  ['sign-in', "<%~ include('./partials/ap', it) %>", '"./partials/ap"\' is not assignable'],
  ['sign-in', "<%~ include('./partials/app', { cleint: it.client }) %>", "'cleint' does not exist"],
  ['sign-in', "<%~ include('./partials/links', { client: it.client }) %>", "'t' is missing"],
  ['sign-in', "<% layout('./layout', {}) %>", "'title' is missing"],
].map(([view = '', text = '', complaint = ''], number) => {
  const own = `Views['${view}']`;
  const template = { file: `views/mistaken-${number}.eta`, text, it: `Frame & Known<${own}>`, own };
  return { complaint, template };
});

const type = (own: string): Template => ({ file: `views/${own}`, text: '', it: own, own });
const types = {
  views: type('Views'),
  partials: type('Partials'),
  mails: type('MailTemplates'),
  frame: type('Frame'),
  accountFrame: type('AccountFrame'),
  mailFrame: type('MailFrame'),
};

const { mistakes, used, own } = checkTemplates([
  ...templates,
  ...mistaken.map(({ template }) => template),
  ...Object.values(types),
]);

describe.each(templates)('$file', (template) => {
  test('has what it shows', () => {
    expect(mistakes(template)).toEqual([]);
  });

  test('shows what it has', () => {
    const shown = used(template);
    // Of a mail the frame makes something of these.
    if (shown.has('link')) shown.add('token');
    if (shown.has('device')) shown.add('userAgent');
    expect(own(template).filter((name) => !shown.has(name))).toEqual([]);
  });
});

test.each(mistaken)('$template.text is a mistake', ({ template, complaint }) => {
  expect(mistakes(template).join('\n')).toContain(complaint);
});

test.each([
  ['pages', types.views, pages],
  ['partials', types.partials, partials],
  ['mails', types.mails, mails],
] as const)('there are the %s that have a type, and no others', (_what, all, files) => {
  const names = files.map(({ file }) => file.replace(/^.*\/|\.eta$/g, ''));
  expect(own(all).sort()).toEqual(names.filter((name) => name !== 'layout').sort());
});

test.each([
  ['page', types.frame, [...pages, ...partials], pages],
  ['page of the account', types.accountFrame, [...pages, ...partials], accountPages()],
  ['mail', types.mailFrame, mails, mails],
])('what every %s has is shown by some, and is the own of none', (_what, frame, all, around) => {
  const names = own(frame);
  const shown = new Set(all.flatMap((template) => [...used(template)]));
  expect(names.filter((name) => !shown.has(name))).toEqual([]);
  for (const template of around.filter(({ it }) => it !== 'MailLayout'))
    expect(
      own(template).filter((name) => names.includes(name)),
      template.file,
    ).toEqual([]);
});

function accountPages(): Template[] {
  return [types.frame, ...pages.filter(({ own: view }) => view.startsWith('AccountViews'))];
}
