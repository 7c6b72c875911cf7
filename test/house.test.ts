// The house: imports run downward, and no view lets a value become markup.
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
  ['main.ts', 'cli.ts', 'app.ts', 'commands'],
  ['pages'],
  ['provider'],
  ['mail'],
  ['accounts'],
  ['storage'],
  ['keys'],
  ['database'],
  ['config', 'generated', 'devices.ts'],
  ['languages.ts'],
];
const storey = (place: string): number => storeys.findIndex((places) => places.includes(place));

interface Import {
  readonly from: string;
  readonly to: string;
}

function imports(): Import[] {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.startsWith('generated'),
  );
  return files.flatMap((file) => {
    const text = readFileSync(join(src, file), 'utf8');
    return [...text.matchAll(/from '(\.[^']+\.ts)'/g)].map(([, target = '']) => ({
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

test('no file reads the environment but config.ts', () => {
  const files = [...new Set(imports().map(({ from }) => from))].filter(
    (file) => !['config/config.ts', 'database/postgres.ts'].includes(file),
  );
  for (const file of files)
    expect(readFileSync(join(src, file), 'utf8'), file).not.toContain('process.env');
});

test('a file of src/ that the docs, the schema or a comment names is there', () => {
  const files = [
    'prisma/schema.prisma',
    ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`),
    ...readdirSync(src, { recursive: true, encoding: 'utf8' }).map((file) => `src/${file}`),
  ].filter((file) => /\.(md|prisma|ts)$/.test(file) && !file.startsWith('src/generated'));
  const missing = files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/\bsrc\/[\w/-]+(\.ts)?/g)]
      .filter(([named]) => !existsSync(join(root, named)))
      .map(([named]) => `${named} in ${file}`),
  );
  expect(missing).toEqual([]);
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
