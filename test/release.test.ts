// What is published is written down, tagged and committed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { problemsOf } from '../scripts/release.ts';

const root = join(import.meta.dirname, '..');
const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
};
const release = { version, changelog, repository: 'git+https://example.com/symbolon.git' };
const ready = { ...release, status: '', tags: ['', `v${version}`] };

test('the version of package.json is the newest of CHANGELOG.md, with its date', () => {
  expect(problemsOf(ready)).toEqual([]);
  expect(changelog).toMatch(/^## 0\.1\.0 - 2026-11-21$/m);
});

test('nothing else is published', () => {
  expect(problemsOf({ ...ready, version: '9.0.0' })).toHaveLength(2);
  expect(problemsOf({ ...ready, changelog: `## Unreleased\n\n${changelog}` })).toHaveLength(1);
  expect(problemsOf({ ...ready, status: ' M src/app.ts\n' })).toHaveLength(1);
  expect(problemsOf({ ...ready, tags: [''] })).toHaveLength(1);
  expect(problemsOf({ ...ready, repository: undefined })).toHaveLength(1);
});
