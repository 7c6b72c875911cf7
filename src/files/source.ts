// Files in YAML 1.2 or JSON, which is YAML as well, with the line of everything in them for whoever has to mend it.
import { readFile, readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { LineCounter, type Node, isMap, isScalar, isSeq, parseDocument } from 'yaml';

/** The members on the way to a place in a file. */
export type Path = readonly (string | number)[];

export interface Source {
  readonly file: string;
  /** What is in it; undefined when there is nothing. */
  readonly value: unknown;
  /** The line of a place, from 1; of the nearest place around it when it is not there. */
  readonly lineOf: (path: Path) => number;
}

/** What is wrong, and where. */
export interface Problem {
  readonly file: string;
  /** From 1; 0: the whole file. */
  readonly line: number;
  readonly message: string;
}

/** Files cannot be applied. One line for every problem, none of which may be left. */
export class FilesError extends Error {
  override readonly name = 'FilesError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(
      ({ file, line, message }) => `${file}${line === 0 ? '' : `:${line}`}: ${message}`,
    );
    super(`Nothing was changed.\n${[...new Set(lines)].join('\n')}`);
    this.problems = problems;
  }
}

const endings = ['.yaml', '.yml', '.json'];

/**
 * Reads files, and those of folders, in the order of their names; hidden files and folders within are left out.
 *
 * @throws {FilesError} when one is not there, or is no YAML
 */
export async function readSources(paths: readonly string[]): Promise<Source[]> {
  const problems: Problem[] = [];
  const found = await Promise.all(
    paths.map((path) =>
      filesAt(path).catch((error: unknown) => {
        problems.push({ file: path, line: 0, message: (error as Error).message });
        return [];
      }),
    ),
  );
  const sources: Source[] = [];
  for (const file of [...new Set(found.flat())]) {
    const read = parse(file, await readFile(file, 'utf8'));
    problems.push(...read.problems);
    sources.push(read);
  }
  if (problems.length > 0) throw new FilesError(problems);
  return sources;
}

async function filesAt(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter(
    (name) => !name.startsWith('.') && endings.includes(extname(name)),
  );
  if (names.length === 0) throw new Error(`has no file that ends with ${endings.join(', ')}`);
  return names.sort().map((name) => join(path, name));
}

/** @param file its name, for messages */
function parse(file: string, text: string): Source & { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    ...{ strict: true, uniqueKeys: true, version: '1.2' },
  });
  const problems = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    ...{ file, line: lines.linePos(pos[0]).line },
    message: message.split('\n')[0] ?? '',
  }));
  const lineOf = (path: Path) => lines.linePos(offsetOf(document.contents, path)).line || 1;
  let value: unknown;
  try {
    // Of what is used by its alias a small file could make a value without end.
    value = problems.length > 0 ? undefined : document.toJS({ maxAliasCount: 0 });
  } catch {
    problems.push({ file, line: 1, message: 'has an alias (*name): write it out' });
  }
  return { file, value: value ?? undefined, lineOf, problems };
}

/** Where the member at the end of a path begins: with its name, if it has one. */
function offsetOf(root: Node | null, path: Path): number {
  let node: unknown = root;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      if (!pair) break;
      offset = rangeOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = rangeOf(node) ?? offset;
    } else break;
  }
  return offset;
}

function rangeOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
