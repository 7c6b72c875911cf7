// A real process for the tests of this folder. `use DIRECTORY` uses the embedded PostgreSQL, writes its
// URL to stdout and releases it when stdin ends; `migrate URL DIRECTORY` writes what it applied, as JSON.
import { startEmbedded } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrate.ts';

const [command, first = '', second] = process.argv.slice(2);
try {
  if (command === 'use') {
    const embedded = await startEmbedded(first);
    process.stdout.write(`${embedded.url}\n`);
    process.stdin.resume().once('end', () => void embedded.release());
  } else {
    process.stdout.write(`${JSON.stringify(await migrate(first, second))}\n`);
  }
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
