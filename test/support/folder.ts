// A folder for one test, which other users may read: programs that are started as root often give up being it.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export interface TemporaryFolder {
  readonly path: string;
  /** Writes a file, whatever the umask is. @returns its path */
  put(name: string, content: string): Promise<string>;
}

/** It is removed with the test. */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'symbolon-test-'));
  await chmod(path, 0o755);
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return {
    path,
    async put(name, content) {
      const file = join(path, name);
      await writeFile(file, content);
      await chmod(file, 0o644);
      return file;
    },
  };
}
