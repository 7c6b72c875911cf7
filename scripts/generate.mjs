// Generates Prisma's client into src/generated/, with what it runs on: of @prisma/client, whose query compilers for every
// database weigh 70 MB, the runtime and PostgreSQL's compiler are copied beside it, with their licence. So the package
// does not depend on it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const generated = fileURLToPath(new URL('../src/generated', import.meta.url));
const RUNTIME = 'prisma-runtime';
const COMPILER = 'query_compiler_small_bg.postgresql';

// The command runs on WebAssembly. It would still download a schema engine unless PRISMA_SCHEMA_ENGINE_BINARY names an
// existing file, so that names Node itself.
const prisma = fileURLToPath(import.meta.resolve('prisma/package.json')).replace(
  /package\.json$/,
  'build/index.js',
);
const { status } = spawnSync(process.execPath, [prisma, 'generate', '--no-hints'], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    ...process.env,
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  },
});
if (status !== 0) process.exit(status ?? 1);
copyRuntime();
for (const file of readdirSync(generated, { recursive: true, encoding: 'utf8' }))
  if (file.endsWith('.ts')) useCopy(file);

function copyRuntime() {
  const client = fileURLToPath(new URL('..', import.meta.resolve('@prisma/client/runtime/client')));
  const to = join(generated, RUNTIME);
  mkdirSync(to, { recursive: true });
  for (const file of ['client.mjs', 'client.d.mts', `${COMPILER}.mjs`]) {
    const code = readFileSync(join(client, 'runtime', file), 'utf8');
    writeFileSync(join(to, file), code.replace(/\/\/# sourceMappingURL=.*/, '')); // the map stays behind
  }
  copyFileSync(join(client, 'LICENSE'), join(to, 'LICENSE'));
  // The compiler comes as 4.5 MB of base64 in a module. As bytes it takes less time to start, and less memory.
  const compiler = readFileSync(join(client, 'runtime', `${COMPILER}.wasm-base64.mjs`), 'utf8');
  const base64 = /"([\w+/=]{1000,})"/.exec(compiler)?.[1] ?? '';
  if (!base64)
    throw new Error(`${COMPILER} of @prisma/client is not what it was: adapt this script.`);
  writeFileSync(join(to, `${COMPILER}.wasm`), Buffer.from(base64, 'base64'));
  const { version } = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'));
  writeFileSync(
    join(to, 'NOTICE'),
    `The files in this folder are of @prisma/client ${version} (https://github.com/prisma/prisma), under the Apache License 2.0 in LICENSE. Changed: client.mjs names no source map; the WebAssembly is a file of its own, not base64.\n`,
  );
}

/** Has a generated file import the copy. */
function useCopy(file) {
  const path = join(generated, file);
  if (/browser/i.test(file)) {
    rmSync(path);
    return;
  }
  const up = file.includes('/') ? '..' : '.';
  const code = readFileSync(path, 'utf8')
    .replaceAll(/"@prisma\/client\/runtime\/(client|[\w.-]+\.mjs)"/g, (_name, module) =>
      JSON.stringify(`${up}/${RUNTIME}/${module.replace(/\.mjs$/, '')}.mjs`),
    )
    .replace(
      /const { wasm } = .*\n.*decodeBase64AsWasm\(wasm\)/,
      `const { readFile } = await import("node:fs/promises")
    return new WebAssembly.Module(await readFile(new URL("../${RUNTIME}/${COMPILER}.wasm", import.meta.url)))`,
    );
  if (/@prisma\/client\/|wasm-base64/.test(code))
    throw new Error(
      `src/generated/${file} imports more of @prisma/client than is copied: adapt this script.`,
    );
  writeFileSync(path, code);
}
