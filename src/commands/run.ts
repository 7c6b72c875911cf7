// What every command needs: the installation's storage, and printing for people or for programs.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { PassThrough } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import { AccountError, findAccountByEmail } from '../accounts/accounts.ts';
import { GroupError } from '../accounts/groups.ts';
import { type Config, loadConfig } from '../config/config.ts';
import type { Migrations } from '../database/open.ts';
import type { Account, Prisma, PrismaClient } from '../generated/client.ts';
import { type AuditEvent, writeEvent } from '../storage/audit.ts';
import { isUnstorable } from '../storage/errors.ts';
import { type OpenStorage, openStorage } from '../storage/open.ts';
import { commandLine } from '../storage/origin.ts';
import type { Storage } from '../storage/storage.ts';

/** A mistake that the person at the terminal can mend. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** The option of every command that prints with {@link print}. */
export const asJson = ['--json', 'print JSON for a program to read'] as const;

/**
 * Runs a command on the installation's storage, and closes it.
 *
 * @param migrations whether the command brings the tables up to date; others stop when they are not
 */
export async function withStorage(
  work: (parts: OpenStorage & { config: Config }) => Promise<void>,
  migrations: Migrations = 'expect',
): Promise<void> {
  const config = loadConfig();
  const open = await openStorage(config, migrations);
  try {
    await work({ config, ...open });
  } catch (error) {
    if (error instanceof AccountError) throw new CommandError(`${error.field}: ${error.message}`);
    if (error instanceof GroupError) throw new CommandError(error.message);
    if (isUnstorable(error))
      throw new CommandError(
        'A text has a character that the database cannot store: NUL, or one that its encoding lacks (SHOW server_encoding tells it). Leave it out; nothing was changed.',
      );
    throw error;
  } finally {
    await open.close();
  }
}

/**
 * Changes data and records it in the audit, in one transaction.
 *
 * @param work gets the transaction, and a function that records an event in it
 */
export function change<T>(
  { prisma, now }: Pick<Storage, 'prisma' | 'now'>,
  work: (
    database: Prisma.TransactionClient,
    record: (event: AuditEvent) => Promise<void>,
  ) => Promise<T>,
): Promise<T> {
  const occasion = { now: now(), origin: commandLine };
  return prisma.$transaction((database) =>
    work(database, (event) => writeEvent(database, event, occasion)),
  );
}

/** The account of an e-mail address. @throws {CommandError} when there is none */
export async function existingAccount(prisma: PrismaClient, email: string): Promise<Account> {
  const account = await findAccountByEmail(prisma, email);
  if (!account) throw new CommandError(`There is no account with the e-mail address ${email}.`);
  return account;
}

/** Prints either JSON for a program or text for a person. */
export function print(json: boolean | undefined, value: unknown, text: string): void {
  // Text from outside, such as a User-Agent, must not control the terminal.
  const shown = json
    ? JSON.stringify(value, null, 2).replace(/[\u007f-\u009f]/g, escaped)
    : text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  process.stdout.write(`${shown}\n`);
}

/** Says on stderr what is wrong with something that came from outside: in one line, which controls no terminal. */
export function complain(text: string): void {
  console.error(text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd'));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Rows as aligned columns under a heading. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [heading, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The JSON object in a file. @param option the option that named it, for the error */
export async function jsonFile(option: string, path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new CommandError(`${option}: ${path} cannot be read (${(error as Error).message}).`);
  });
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Reported below, like any other text that is no JSON object.
  }
  throw new CommandError(`${option}: ${path} does not hold a JSON object.`);
}

/** A secret from standard input, without the trailing newline. */
export async function secretFromStdin(what: string): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += String(chunk);
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw new CommandError(`No ${what} came on standard input.`);
  return secret;
}

/** Asks for a secret on the terminal, without showing it. */
export async function askSecret(what: string, option: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw new CommandError(
      `There is no terminal to ask for the ${what}: give it on standard input with ${option}.`,
    );
  process.stderr.write(`${what}: `);
  const terminal = createInterface({
    input: process.stdin,
    output: new PassThrough(),
    terminal: true,
  });
  try {
    return await terminal.question('');
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}

/**
 * Has the person at the terminal write something once more, before what cannot be undone.
 *
 * @param ask what is written before the answer
 * @param otherwise the error's message, when anything else is answered
 * @throws {CommandError} also when there is no terminal
 */
export async function confirm(ask: string, wanted: string, otherwise: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CommandError(`There is no terminal to ask at: say --yes. ${otherwise}`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(ask);
  terminal.close();
  if (answer.trim().toLowerCase() !== wanted) throw new CommandError(otherwise);
}

/** Reads a number of seconds, in decimal digits. @throws {CommandError} naming the option */
export function secondsIn(option: string, given: string): number {
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new CommandError(`${option}: wants a number of seconds`);
  return Number(given);
}

/** Reads how many, in decimal digits. */
export function countOption(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 10_000)
    throw new InvalidArgumentError('A number from 1 to 10000.');
  return count;
}

/** A time for tables: UTC, to the minute; `-` for none. */
export function date(value: Date | null): string {
  return value ? value.toISOString().slice(0, 16).replace('T', ' ') : '-';
}
