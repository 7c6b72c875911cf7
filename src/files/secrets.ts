// Client secrets in files: never as they are, only where they are found. The secrets that a file refers to are those that
// the client has; a file that says nothing of them leaves them alone.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { valueOfVariable } from '../config/config.ts';
import {
  type ClientSecret,
  formatSecrets,
  hashedSecret,
  parseSecrets,
  presentedSecret,
} from '../storage/client-secrets.ts';
import { leastSecretLength } from '../storage/clients.ts';

/** What a file says of a client's secrets. */
export interface GivenSecrets {
  readonly values: readonly string[];
  /** Whether there is no optional one that was not found. */
  readonly isComplete: boolean;
  /** Whether it cannot be read; that is a problem already. */
  readonly isWrong?: boolean;
}

const optional = z.boolean().default(false);
const reference = z.union([
  z.strictObject({ env: z.string().min(1), optional }),
  z.strictObject({ file: z.string().min(1), optional }),
]);
const references = z.union([
  reference.transform((one) => [one]),
  z.array(reference).min(1).max(10),
]);

const WANTS =
  'client_secret: wants { env: NAME }, { file: PATH }, or a list of these; a secret itself is never in a file';

/**
 * Finds the secrets that a file refers to. A relative path begins at the file's folder.
 *
 * @param given what the file says
 * @param refuse called with every problem, which never tells a value
 * @returns undefined when the file says nothing
 */
export async function readSecrets(
  given: unknown,
  file: string,
  refuse: (message: string) => void,
): Promise<GivenSecrets | undefined> {
  if (given === undefined || given === null) return undefined;
  const parsed = references.safeParse(given);
  if (!parsed.success) {
    refuse(WANTS);
    return { values: [], isComplete: false, isWrong: true };
  }
  const values: string[] = [];
  let isComplete = true;
  let isWrong = false;
  for (const one of parsed.data) {
    const where = 'env' in one ? `the variable ${one.env}` : one.file;
    const value =
      'env' in one ? valueOfVariable(one.env) : await contentOf(resolve(dirname(file), one.file));
    if (value !== undefined) values.push(value);
    else if (one.optional) isComplete = false;
    else {
      isWrong = true;
      refuse(`client_secret: ${where} is not set, or empty, or cannot be read`);
    }
  }
  return { values, isComplete, isWrong };
}

async function contentOf(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.replace(/\r?\n$/, '') || undefined;
}

/** What becomes of a client's secrets. */
export interface SecretsChange {
  /** As it is kept; undefined: it has none then. */
  readonly stored: string | undefined;
  /** Those that are kept as hashes, by their names. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Whether one comes, or goes, that is kept as it is. */
  readonly isReplaced?: boolean;
}

/**
 * Compares what a client has with what it shall have.
 *
 * @param stored as {@link parseSecrets} reads it; undefined: none
 * @param now in seconds since the epoch
 * @returns undefined when nothing changes; a message when it cannot be done
 */
export function compareSecrets(
  {
    given,
    stored,
    needsSecret,
    metadata,
  }: {
    readonly given: GivenSecrets | undefined;
    readonly stored: string | undefined;
    readonly needsSecret: boolean;
    readonly metadata: Record<string, unknown>;
  },
  now: number,
): SecretsChange | string | undefined {
  if (given?.isWrong) return undefined;
  const before = stored === undefined ? [] : parseSecrets(stored);
  const without = (value: string | undefined): SecretsChange => ({
    ...{ stored: value, added: [], removed: before?.map(({ id }) => id) ?? [], isReplaced: true },
  });
  const method = String(metadata['token_endpoint_auth_method']);
  const values = [...new Set(given?.values ?? [])];
  if (!needsSecret) {
    if (given) return `client_secret: ${method} does not use one`;
    return stored === undefined ? undefined : without(undefined);
  }
  const least = leastSecretLength(metadata);
  if (values.some((value) => value.length < least))
    return `client_secret: wants at least ${least} characters, at random (openssl rand -base64 32)`;
  const isKeptAsItIs = method === 'client_secret_jwt';
  if (values.length === 0) {
    const isUsable = stored !== undefined && (!isKeptAsItIs || before === undefined);
    return isUsable
      ? undefined
      : 'client_secret: is needed; refer to one by { env: NAME } or { file: PATH }';
  }
  const [first = '', ...others] = values;
  if (isKeptAsItIs) {
    if (others.length > 0) return 'client_secret: with client_secret_jwt there is one, no list';
    const isSame = before === undefined && presentedSecret(stored, first, now) !== undefined;
    return isSame ? undefined : without(first);
  }
  // Kept as it is from when the method was another.
  if (
    before === undefined &&
    others.length === 0 &&
    presentedSecret(stored, first, now) !== undefined
  )
    return undefined;
  return compareHashed(before ?? [], values, given?.isComplete === true, now);
}

function compareHashed(
  before: readonly ClientSecret[],
  values: readonly string[],
  isComplete: boolean,
  now: number,
): SecretsChange | undefined {
  const stored = formatSecrets(before);
  const found = values.map((value) => presentedSecret(stored, value, now));
  const kept = before.filter(({ id }) => !isComplete || found.includes(id));
  const made = values
    .filter((_, at) => found[at] === undefined)
    .map((value) => hashedSecret(value, now));
  const removed = before.filter((one) => !kept.includes(one));
  if (made.length + removed.length === 0) return undefined;
  return {
    stored: formatSecrets([...kept, ...made]),
    added: made.map(({ id }) => id),
    removed: removed.map(({ id }) => id),
  };
}
