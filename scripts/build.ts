// `npm run build` makes dist/, the code of the package: Node strips no types below node_modules. `npm run typecheck` checks
// the types.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const run = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });

rmSync(dist, { recursive: true, force: true });
run('scripts/generate.mjs');
run(fileURLToPath(import.meta.resolve('typescript/bin/tsc')), '-p', 'tsconfig.build.json');
cpSync(join(root, 'src'), dist, { recursive: true, filter: (file) => !/\.m?ts$/.test(file) });
chmodSync(join(dist, 'cli.js'), 0o755);

// Of generated code, mostly types, nobody looks up the source.
for (const map of globSync(join(dist, 'generated/**/*.map'))) {
  rmSync(map);
  const file = map.slice(0, -'.map'.length);
  writeFileSync(file, readFileSync(file, 'utf8').replace(/\/\/# sourceMappingURL=.*/, ''));
}
