// The house: imports run downward and in no circle, files are short, a request writes in one way, and no view lets a
// value become markup.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config/config.ts';
import { type PageContext, createRenderer } from '../src/pages/render.ts';
import type { Views } from '../src/pages/views/views.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = fileURLToPath(new URL('../src', import.meta.url));
const views = fileURLToPath(new URL('../views', import.meta.url));

// Who may import whom: what stands lower, and what stands beside in the same folder.
const storeys = [
  ['main.ts', 'cli.ts', 'commands', 'demo', 'serve.ts', 'app.ts'],
  ['pages'],
  ['files'],
  ['provider'],
  ['mail'],
  ['accounts'],
  ['storage'],
  ['keys'],
  ['database'],
  ['config', 'generated', 'devices.ts'],
  ['languages.ts', 'names.ts', 'compile-once.ts', 'symbolon-command.ts'],
];
const storey = (place: string): number => storeys.findIndex((places) => places.includes(place));

interface Import {
  readonly from: string;
  readonly to: string;
}

function files(): string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.startsWith('generated'),
  );
}

function read(file: string): string {
  return readFileSync(join(src, file), 'utf8');
}

function imports(): Import[] {
  return files().flatMap((file) => {
    return [...read(file).matchAll(/from '(\.[^']+\.ts)'/g)].map(([, target = '']) => ({
      from: file,
      to: relative(src, resolve(dirname(join(src, file)), target)),
    }));
  });
}

test('imports run downward', () => {
  const wrong = imports().filter(({ from, to }) => {
    const [upper = '', lower = ''] = [from.split('/')[0], to.split('/')[0]];
    if (upper === lower) return false;
    if (upper === 'operations') return !['config', 'database', 'generated'].includes(lower);
    if (lower === 'operations') return false;
    return storey(upper) < 0 || storey(lower) < 0 || storey(upper) > storey(lower);
  });
  expect(wrong).toEqual([]);
});

test('no file imports itself by way of others, not even for a type', () => {
  const next = Map.groupBy(imports(), ({ from }) => from);
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
    if (way.includes(file) || done.has(file)) return;
    for (const { to } of next.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

test('no file has more than 300 lines', () => {
  const long = files().filter((file) => read(file).split('\n').length > 301);
  expect(long).toEqual([]);
});

test('a request writes through its unit of work alone', () => {
  const beside =
    /(prisma|storage)\.\w+\.(create|update|upsert|delete)\w*\(|\$transaction|prisma\.\$execute/;
  for (const file of files().filter((one) => /^(pages|provider)\//.test(one)))
    expect(read(file), file).not.toMatch(beside);
});

test('pages name cookies, read bodies and send on in one place each', () => {
  const owners = [
    { act: /\.cookies\b|symbolon_/, own: ['cookies.ts'] },
    {
      act: /rawBody|request\.body|formData|bodyParser/,
      own: ['forms.ts', 'forwarded-requests.ts'],
    },
    { act: /\.redirect\(|status = 30\d/, own: ['responses.ts'] },
  ];
  const pages = files().filter((file) => /^(pages\/|app\.ts)/.test(file));
  for (const { act, own } of owners) {
    const found = pages.filter((file) => act.test(read(file))).sort();
    expect(found, String(act)).toEqual(own.map((file) => `pages/${file}`));
  }
});

test('no file reads the environment but config.ts', () => {
  for (const file of files())
    if (!['config/config.ts', 'database/postgres.ts', 'demo/main.ts'].includes(file))
      expect(read(file), file).not.toContain('process.env');
});

test('a file of src/ that the docs, the schema or a comment names is there', () => {
  const docs = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'));
  const texts = [
    'prisma/schema.prisma',
    ...docs.map((file) => `docs/${file}`),
    ...files().map((file) => `src/${file}`),
  ];
  const missing = texts.flatMap((text) =>
    [...readFileSync(join(root, text), 'utf8').matchAll(/\bsrc\/[\w/-]+(\.\w+)?/g)]
      .filter(([named]) => !existsSync(join(root, named)))
      .map(([named]) => `${named} in ${text}`),
  );
  expect(missing).toEqual([]);
});

test('what SECURITY.md says to hold has a test, and the test is there', () => {
  const rows = readFileSync(join(root, 'SECURITY.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|-]*$|^\| Attacked/.test(line));
  expect(rows).not.toEqual([]);
  for (const row of rows) {
    const tests = [...row.matchAll(/\]\((test\/[^)]+\.test\.ts)\)/g)].map(([, file = '']) => file);
    expect(tests, row).not.toEqual([]);
    expect(tests.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    // Of OWASP ASVS, an RFC or NIST's special publication.
    expect(row).toMatch(/\bV\d+\.\d|\bRFC \d+|\bSP 800-/);
  }
});

describe('views', () => {
  const hostile = '"><script>alert(1)</script>\'';
  // Every value that a template may ask for is hostile, however deep.
  const data: object = new Proxy(() => undefined, {
    get: (_target, property) => {
      if (property === Symbol.toPrimitive || property === 'toString') return () => hostile;
      if (property === Symbol.iterator) return () => [data][Symbol.iterator]();
      if (property === 'length') return 1;
      if (property === 'logoUri' || property === 'clientUri') return undefined;
      return data;
    },
    apply: () => hostile,
  });
  const renderer = createRenderer('', readConfig({}).theme);
  for (const file of readdirSync(views).filter(
    (name) => name.endsWith('.eta') && name !== 'layout.eta',
  )) {
    test(`${file} escapes what it shows`, () => {
      const ctx = {
        type: '',
        body: undefined as unknown,
        set: () => undefined,
        acceptsLanguages: () => [],
        state: {},
      } as unknown as PageContext;
      const it = new Proxy(
        {},
        { get: (_target, property) => (property === 'body' ? '' : data), ownKeys: () => [] },
      );
      renderer.page(ctx, file.replace('.eta', '') as keyof Views, spread(file, it));
      expect(String(ctx.body)).not.toContain('<script>alert');
      expect(String(ctx.body)).not.toContain('"><script');
    });
  }

  function spread(file: string, it: object): object {
    const text = readFileSync(join(views, file), 'utf8');
    const names = [...text.matchAll(/\bit\.(\w+)/g)].map(([, name = '']) => name);
    return Object.fromEntries(names.map((name) => [name, Reflect.get(it, name) as unknown]));
  }

  test('only the layout and partials put markup in', () => {
    for (const file of readdirSync(views, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.eta'),
    )) {
      const raw = [...readFileSync(join(views, file), 'utf8').matchAll(/<%~([^%]*)%>/g)].map(
        ([, code = '']) => code.trim(),
      );
      for (const code of raw) expect(code, file).toMatch(/^(include\('\.\/partials\/|it\.body$)/);
    }
  });
});
