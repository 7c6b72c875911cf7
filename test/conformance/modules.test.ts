// The table of docs/conformance.md: every module has a test that is there, or a reason why it does not apply.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { modules } from './modules.ts';

test('none is named twice, and each has a test or a reason', () => {
  expect(new Set(modules.map(({ module }) => module)).size).toBe(modules.length);
  for (const { module, file, title, note } of modules) {
    if (file === undefined)
      expect({ module, note }).toEqual({ module, note: expect.any(String) as string });
    else {
      const tests = readFileSync(new URL(`./${file}.test.ts`, import.meta.url), 'utf8');
      expect({ module, found: tests.includes(title ?? '') }).toEqual({ module, found: true });
    }
  }
});
