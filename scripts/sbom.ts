// `npm run sbom -- FILE` writes what production installs, on whatever platform, as a software bill of materials: CycloneDX
// JSON, from the lock file alone, with the SHA-512 of every package. It is made of a package.json without development
// dependencies, as the Dockerfile installs from: `npm sbom --omit=dev` leaves out what is needed for development as well,
// such as zod. npm takes the name from the folder.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const file = resolve(process.argv[2] ?? 'sbom.cdx.json');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  name: string;
  devDependencies?: object;
};
delete manifest.devDependencies;

const temporary = mkdtempSync(join(tmpdir(), 'symbolon-sbom-'));
try {
  const cwd = join(temporary, manifest.name);
  mkdirSync(cwd);
  writeFileSync(join(cwd, 'package.json'), JSON.stringify(manifest));
  copyFileSync(join(root, 'package-lock.json'), join(cwd, 'package-lock.json'));
  const npm = (...args: string[]) =>
    execFileSync('npm', [...args, '--package-lock-only'], { cwd, encoding: 'utf8' });
  npm('prune', '--ignore-scripts', '--offline', '--no-audit');
  const bom = npm('sbom', '--sbom-format=cyclonedx', '--sbom-type=application');
  writeFileSync(file, bom);
  const { components } = JSON.parse(bom) as { components: unknown[] };
  console.log(`${file}: ${components.length} packages`);
} finally {
  rmSync(temporary, { recursive: true });
}
