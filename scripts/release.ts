// `npm publish` runs this first, and publishes nothing when it fails: what is published is a version that is written down,
// tagged and committed. docs/release.md tells the steps.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Release {
  readonly version: string;
  /** What package.json says of the repository. */
  readonly repository: unknown;
  /** The text of CHANGELOG.md. */
  readonly changelog: string;
  /** `git status --porcelain`. */
  readonly status: string;
  /** The tags of the commit that is checked out. */
  readonly tags: readonly string[];
}

/** What keeps a version from being published, in sentences. */
export function problemsOf({ version, repository, changelog, status, tags }: Release): string[] {
  const heading = /^## (.*)$/m.exec(changelog)?.[1] ?? '';
  const [released, date = ''] = heading.split(' - ');
  const checks: [boolean, string][] = [
    [
      released === version && /^\d{4}-\d{2}-\d{2}$/.test(date),
      `The first heading of CHANGELOG.md is "## ${heading}", and must be "## ${version} - " with the date.`,
    ],
    [status === '', 'There are changes that are not committed.'],
    [tags.includes(`v${version}`), `The commit has no tag v${version}: git tag -s v${version}.`],
    [
      repository !== undefined,
      'package.json names no "repository": npm compares it with the one that the provenance tells.',
    ],
  ];
  return checks.filter(([holds]) => !holds).map(([, problem]) => problem);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const read = (file: string) => readFileSync(join(root, file), 'utf8');
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' });
  const { version, repository } = JSON.parse(read('package.json')) as Release;
  const problems = problemsOf({
    version,
    repository,
    changelog: read('CHANGELOG.md'),
    status: git('status', '--porcelain'),
    tags: git('tag', '--points-at', 'HEAD').split('\n'),
  });
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
