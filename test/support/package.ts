// The project's npm package, made and installed by npm.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Registry } from './registry.ts';

const root = join(import.meta.dirname, '../..');

/** A machine's environment, with the Node that runs this and nothing of the npm that started it. */
export function npmEnvironment(folder: string, registry: Registry): Record<string, string> {
  return {
    PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
    HOME: folder,
    npm_config_registry: registry.url,
    npm_config_cache: join(folder, 'cache'),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
}

/**
 * `npm pack` in a copy of the checkout, beside which other tests go on.
 *
 * @returns the tarball's path in the folder
 */
export async function pack(folder: string, env: Record<string, string>): Promise<string> {
  const copy = join(folder, 'checkout');
  mkdirSync(copy);
  const left = ['node_modules', 'src/generated', 'dist', '.git', '.symbolon', 'test', '.env'];
  cpSync(root, copy, {
    recursive: true,
    filter: (file) => !left.some((one) => file === join(root, one)),
  });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd: copy, env });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  return join(folder, `symbolon-${version}.tgz`);
}
