// Generates Prisma's client into src/generated/. It runs on WebAssembly; the command would still
// download a schema engine unless this variable names an existing file, so it names Node itself.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

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
process.exit(status ?? 1);
