// What another provider has exported: files that are read whole, and where in them something is, so that what cannot be
// taken is told with its line.
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../run.ts';

export interface Source {
  readonly file: string;
  readonly value: unknown;
  /** The line of a text, by how it stands there; 1 when it does not. Quickest for texts that are asked for in their order. */
  readonly lineOf: (text: string) => number;
}

/** Something that is not taken, or not as it was. */
export interface Remark {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** What an export is turned into. */
export interface Conversion {
  /** Lines for `symbolon user import`. */
  readonly people: readonly object[];
  /** Clients' metadata, each with its id and, if there is one, its secret. */
  readonly clients: readonly ConvertedClient[];
  readonly groups: readonly { readonly name: string; readonly description?: string }[];
  readonly remarks: readonly Remark[];
}

export interface ConvertedClient {
  readonly client_id: string;
  /** null: it needs one that is not known. */
  readonly client_secret?: string | null | undefined;
  readonly [name: string]: unknown;
}

/**
 * Reads files of JSON, or of a line of JSON each, and all such files of folders.
 *
 * @throws {CommandError} when one cannot be read, or is neither
 */
export async function readSources(paths: readonly string[]): Promise<Source[]> {
  const files = await Promise.all(paths.map(filesOf));
  return Promise.all(files.flat().map(readSource));
}

async function filesOf(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => /\.(json|ndjson|jsonl)$/.test(name));
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw new CommandError(`${path} cannot be read (${(error as Error).message}).`);
  }
}

async function readSource(file: string): Promise<Source> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CommandError(`${file} cannot be read (${(error as Error).message}).`);
  });
  return { file, value: parse(file, text.replace(/^\ufeff/, '')), lineOf: finder(text) };
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    // One value that is no JSON, or a line for each.
    if (
      lines.length < 2 ||
      !lines.every((line) => line.startsWith('{') && line.trim().endsWith('}'))
    )
      throw new CommandError(`${file} is no JSON (${(error as Error).message}).`);
    return lines.map((line, index) => {
      try {
        return JSON.parse(line) as unknown;
      } catch {
        throw new CommandError(`${file}: line ${index + 1} is no JSON.`);
      }
    });
  }
}

function finder(text: string): (wanted: string) => number {
  let [at, line] = [0, 1];
  return (wanted) => {
    const next = text.indexOf(wanted, at);
    const found = next >= 0 ? next : text.indexOf(wanted);
    if (found < 0) return 1;
    if (found < at) [at, line] = [0, 1];
    for (let end = text.indexOf('\n', at); end >= 0 && end < found; end = text.indexOf('\n', at)) {
      at = end + 1;
      line++;
    }
    return line;
  };
}
