// The languages: every message exists in each, is used, and can be said; and which of them a person is answered in.
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IntlMessageFormat } from 'intl-messageformat';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AccountError, accountError, accountInput } from '../src/accounts/accounts.ts';
import { type MessageKey, isMessageKey, loadLanguages } from '../src/languages.ts';
import { Agent } from './support/agent.ts';
import { type TestProvider, person, startProvider } from './support/provider.ts';
import { type RelyingParty, authorizationRequest, discover } from './support/relying-party.ts';
import { asCode } from './support/templates.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const textsOf = (tag: string) =>
  JSON.parse(readFileSync(`${root}/views/locales/${tag}.json`, 'utf8')) as Record<string, string>;
const tags = ['ar', 'de', 'en', 'es', 'fr', 'ja'];
const english = textsOf('en');
const keys = Object.keys(english);

/** Everything that asks for messages, as it is written. */
const files = ['src', 'views'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|eta)$/.test(file) && !file.startsWith('generated'))
    .map((file) => ({
      isTemplate: file.endsWith('.eta'),
      text: readFileSync(join(root, folder, file), 'utf8'),
    })),
);
const sources = files.map(({ text }) => text);

type Elements = ReturnType<IntlMessageFormat['getAst']>;

/** The names of a message's values. */
function placeholders(text: string): string[] {
  const names = (elements: Elements): string[] =>
    elements.flatMap((element) => [
      ...('value' in element && (element.type as number) !== 0 ? [element.value] : []),
      ...('options' in element
        ? Object.values(element.options).flatMap(({ value }) => names(value))
        : []),
    ]);
  return [
    ...new Set(names(new IntlMessageFormat(text, 'en', undefined, { ignoreTag: true }).getAst())),
  ].sort();
}

interface Said {
  readonly key: string;
  /** The names of the values that it is given. */
  readonly given: readonly string[];
}

/** The messages that code asks for by their keys, with the values that it names. */
function saidIn(code: string): Said[] {
  const said: Said[] = [];
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    if (!ts.isCallExpression(node) || !/(^|\.)t$/.test(node.expression.getText())) return;
    const [key, values] = node.arguments;
    if (!key || (values && !ts.isObjectLiteralExpression(values))) return;
    const given = values ? values.properties.map(({ name }) => name?.getText() ?? '') : [];
    said.push(...literalsIn(key).map((one) => ({ key: one, given })));
  };
  visit(ts.createSourceFile('said.ts', code, ts.ScriptTarget.Latest, true));
  return said;
}

function literalsIn(node: ts.Expression): string[] {
  if (ts.isConditionalExpression(node))
    return [...literalsIn(node.whenTrue), ...literalsIn(node.whenFalse)];
  return ts.isStringLiteral(node) ? [node.text] : [];
}

test('there are six', () => {
  expect(loadLanguages().all.map(({ tag }) => tag)).toEqual(tags);
});

describe.each(tags)('%s', (tag) => {
  const texts = textsOf(tag);

  test('has exactly the messages of English, sorted by key', () => {
    expect(Object.keys(texts)).toEqual([...keys].sort());
  });

  test('has the same values in each, and says each', () => {
    const language = loadLanguages().choose([tag]);
    for (const key of keys) {
      const names = placeholders(english[key] ?? '');
      expect(placeholders(texts[key] ?? ''), key).toEqual(names);
      const said = language.t(
        key as MessageKey,
        Object.fromEntries(names.map((name) => [name, 7])),
      );
      expect(said.trim(), key).toBe(said);
      expect(said, key).not.toMatch(/^$|[{}<>]/);
    }
  });

  // ICU takes a straight apostrophe for the beginning of a quotation.
  test('has no straight quotation marks', () => {
    for (const [key, text] of Object.entries(texts)) expect(text, key).not.toMatch(/['"]/);
  });
});

test('every message that is asked for is there', () => {
  const asked = sources.flatMap((text) =>
    [...text.matchAll(/(?<!\w)t\(\s*'([^']+)'/g)].map(([, key = '']) => key),
  );
  expect(asked.length).toBeGreaterThan(50);
  expect([...new Set(asked)].filter((key) => !keys.includes(key))).toEqual([]);
});

test('every message that is asked for is given its values', () => {
  const said = files.flatMap(({ isTemplate, text }) => saidIn(isTemplate ? asCode(text) : text));
  expect(said.length).toBeGreaterThan(300);
  const missing = said.flatMap(({ key, given }) =>
    placeholders(english[key] ?? '')
      .filter((name) => !given.includes(name))
      .map((name) => `${key}: ${name}`),
  );
  expect(missing).toEqual([]);
});

test('every message is asked for, by its name or as one of a family', () => {
  const families = sources.flatMap((text) =>
    [...text.matchAll(/`([a-z-]+\.(?:[a-z-]+[.-])?)\$\{/g)].map(([, prefix = '']) => prefix),
  );
  const named = new Set(
    sources.flatMap((text) =>
      [...text.matchAll(/'([\w-]+\.[\w.-]+)'/g)].map(([, key = '']) => key),
    ),
  );
  const unused = keys.filter(
    (key) => !named.has(key) && !families.some((prefix) => key.startsWith(prefix)),
  );
  expect(unused).toEqual([]);
});

test('a key is known by its message', () => {
  expect(keys.every(isMessageKey)).toBe(true);
  for (const other of ['sign-in.wrnog', 'toString', '', undefined, 7, ['sign-in.wrong']])
    expect(isMessageKey(other)).toBe(false);
});

test('an account error is English for the command line', () => {
  const error = new AccountError('password', 'account.password-too-short', { min: 8 });
  expect(error.message).toBe('A password has at least 8 characters.');
});

test('an account error has a message of ours, whatever was sent', () => {
  const { error } = accountInput.shape.name.safeParse(['Ada', 'Ada']);
  expect(error && accountError('name', error).code).toBe('common.check-fields');
});

describe('a language', () => {
  const { choose } = loadLanguages();
  const [en, de, ar] = ['en', 'de', 'ar'].map((tag) => choose([tag]));

  test('is the first that is wanted and there is', () => {
    const chosen = (...wanted: string[]) => choose(wanted).tag;
    expect(chosen('tlh', 'DE-at', 'fr')).toBe('de');
    expect(chosen('ja-JP-u-ca-japanese')).toBe('ja');
    expect(chosen('deu', 'd', '*', '', '\0')).toBe('en');
    expect(chosen()).toBe('en');
  });

  test('writes days, times and lengths of time its own way', () => {
    const date = new Date('2026-11-21T23:30:00Z');
    expect(en?.date(date)).toBe('November 21, 2026');
    expect(de?.date(date)).toBe('21. November 2026');
    expect(de?.date(date, true)).toBe('21. November 2026 um 23:30 UTC');
    expect(de?.duration(2_592_000)).toBe('30 Tage');
    expect(de?.relative(new Date(date.getTime() - 3 * 86_400_000), date)).toBe('vor 3 Tagen');
  });

  test('from right to left keeps its values apart', () => {
    expect(ar?.direction).toBe('rtl');
    expect(ar?.t('consent.heading', { client: 'Notes!' })).toBe('يطلب \u2068Notes!\u2069 إذنك');
    expect(en?.t('consent.heading', { client: 'Notes!' })).toBe('Notes! asks for your permission');
  });
});

describe('files of the installation’s own', () => {
  const views = mkdtempSync(join(tmpdir(), 'symbolon-views-'));
  const write = (tag: string, text: string) => {
    writeFileSync(join(views, 'locales', `${tag}.json`), text);
  };
  beforeAll(() => {
    mkdirSync(join(views, 'locales'));
  });
  afterAll(() => {
    rmSync(views, { recursive: true });
  });

  test('are laid over ours; a language of its own falls back to English', () => {
    write('de', JSON.stringify({ 'sign-in.submit': 'Hinein', 'own.message': 'Eigenes' }));
    write('en', JSON.stringify({ 'sign-in.title': 'Enter' }));
    write('it', JSON.stringify({ 'sign-in.submit': 'Accedi' }));
    const { all, choose } = loadLanguages(views);
    expect(all.map(({ tag }) => tag)).toEqual(['ar', 'de', 'en', 'es', 'fr', 'it', 'ja']);
    const [de, it] = [choose(['de']), choose(['it-CH'])];
    expect([de.t('sign-in.submit'), de.t('field.password')]).toEqual(['Hinein', 'Passwort']);
    expect(de.t('own.message' as MessageKey)).toBe('Eigenes');
    expect([it.t('sign-in.submit'), it.t('sign-in.title'), it.t('field.password')]).toEqual([
      'Accedi',
      'Enter',
      'Password',
    ]);
  });

  test.each([
    [
      'a message that cannot be read',
      'pl',
      '{ "field.email": "{x" }',
      'locales/pl.json: field.email',
    ],
    ['no JSON', 'pl', '{', 'locales/pl.json'],
    ['a name that is no language', 'no_such', '{}', 'locales/no_such.json'],
  ])('are refused when there is %s', (_what, tag, text, complaint) => {
    write(tag, text);
    expect(() => loadLanguages(views)).toThrow(complaint);
    rmSync(join(views, 'locales', `${tag}.json`));
  });
});

describe('a person', () => {
  let provider: TestProvider;
  let party: RelyingParty;
  beforeAll(async () => {
    provider = await startProvider({ environment: { SYMBOLON_ENABLE_CIBA: 'true' } });
    party = await discover(provider.issuer);
  });
  afterAll(() => provider.close());

  const languageOf = (page: Awaited<ReturnType<Agent['open']>>) => [
    page.html.querySelector('html')?.getAttribute('lang'),
    page.html.querySelector('html')?.getAttribute('dir'),
  ];
  const open = async (browser: Agent, parameters: Record<string, string>) =>
    browser.open((await authorizationRequest(party, parameters)).url);
  const credentials = { email: person.email, password: person.password };
  const agent = (...languages: string[]) =>
    new Agent(provider.issuer, (url) => url, { 'accept-language': languages.join(',') });

  test('is told by discovery which there are', () => {
    expect(party.configuration.serverMetadata().ui_locales_supported).toEqual(tags);
  });

  test('is answered in the language of the request, then their own, then the browser’s', async () => {
    await provider.storage.prisma.account.updateMany({ data: { locale: 'ja' } });
    const browser = agent('de-AT', 'en;q=0.5');
    const page = await open(browser, { prompt: 'consent' });
    expect(languageOf(page)).toEqual(['de', 'ltr']); // nobody has signed in yet
    expect(page.headers.get('content-language')).toBe('de');
    expect(languageOf(await browser.submit(page, credentials, /sign-in$/))).toEqual(['ja', 'ltr']);
    const asked = await open(browser, { prompt: 'login', ui_locales: 'tlh ar-EG fr' });
    expect(languageOf(asked)).toEqual(['ar', 'rtl']);
    const wrong = await browser.submit(asked, { ...credentials, password: 'wrong' }, /sign-in$/);
    expect(languageOf(wrong)).toEqual(['ar', 'rtl']);
    expect(wrong.html.querySelector('[role=alert]')?.text).toBe(textsOf('ar')['sign-in.wrong']);
    await browser.submit(wrong, credentials, /sign-in$/);
    // Signed in or not, and whatever page it is.
    const signedIn = agent('es');
    await signedIn.walk((await authorizationRequest(party)).url);
    for (const [path, tag] of [
      ['/approve', 'ja'],
      ['/logout', 'ja'],
      ['/logout?ui_locales=fr', 'fr'],
      ['/device', 'ja'],
      ['/nowhere', 'es'],
      ['/authorize?client_id=nobody&response_type=code&ui_locales=de', 'de'],
    ] as const)
      expect(languageOf(await signedIn.open(`${provider.issuer}${path}`)), path).toEqual([
        tag,
        'ltr',
      ]);
  });

  test('is shown errors whatever language was asked for', async () => {
    for (const tag of ['', '*', '-', 'x'.repeat(5000), '\u0000', 'de'.repeat(3), '日本'])
      expect(
        (
          await agent('en').open(
            `${provider.issuer}/authorize?client_id=nobody&response_type=code&ui_locales=${encodeURIComponent(tag)}`,
          )
        ).status,
        tag,
      ).toBe(400);
  });
});
