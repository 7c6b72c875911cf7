// Importing people as they were kept elsewhere, thousands at once: a line of JSON for each. A person is taken whole or not
// at all; who is here already is left alone, so that an import that was cut off is done by doing it again.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { ClaimsConfig } from '../config/claims.ts';
import { claimsProblem } from '../config/claims.ts';
import type { Prisma } from '../generated/client.ts';
import { english, isMessageKey } from '../languages.ts';
import { claimsOf } from '../storage/claims-policy.ts';
import { writeEvents } from '../storage/audit.ts';
import { isUnstorable } from '../storage/errors.ts';
import { AccountError, accountInput, subInput } from './accounts.ts';
import type { ChangeParts } from './changes.ts';
import { asciiAddress } from './email-address.ts';
import { foreignHash } from './foreign-hashes.ts';
import { groupNameProblem } from './groups.ts';
import { totpRow } from './totp.ts';
import { writtenUsername } from './username.ts';

const BATCH = 500; // people in one transaction: it is short, and nobody who signs in waits for it

/** What a line may have. Anything else is a mistake: it would be lost. */
const person = z.strictObject({
  sub: subInput.optional(),
  email: accountInput.shape.email,
  email_verified: z.boolean().default(false),
  name: accountInput.shape.name,
  username: z.string().optional().transform(failing(writtenUsername)),
  password_hash: z.string().optional().transform(failing(foreignHash)),
  /** The secret of an app for one-time codes: Base32. */
  totp: z
    .string()
    .regex(/^[A-Z2-7]{16,128}$/, 'wants 16 to 128 characters of Base32, without padding')
    .optional(),
  locale: z.string().max(35).optional(),
  claims: z.record(z.string(), z.unknown()).default({}),
  groups: z.array(z.string().superRefine(named)).default([]),
  locked: z.boolean().default(false),
});

type Person = z.output<typeof person>;

/** Somebody who was not taken, and why. */
export interface NotTaken {
  readonly line: number;
  readonly reason: string;
}

export interface ImportResult {
  readonly added: number;
  /** How many were here already, with the same address and `sub`. */
  readonly there: number;
  readonly notTaken: number;
}

interface Line {
  readonly number: number;
  readonly person: Person;
}

export interface ImportOptions {
  /** Everything is looked at, nothing is written. */
  readonly isDryRun: boolean;
  /** Is told of who is not taken, and after each batch of how far it has come. */
  readonly onNotTaken: (who: NotTaken) => void;
  readonly onProgress: (sofar: ImportResult) => void;
}

/**
 * @param lines JSON, one person a line; empty ones count, and say nothing
 * @throws {Error} when the database cannot answer; what was told of by `onProgress` is done
 */
export async function importPeople(
  parts: ChangeParts & { readonly config: { readonly claims?: ClaimsConfig | undefined } },
  lines: AsyncIterable<string>,
  { isDryRun, onNotTaken, onProgress }: ImportOptions,
): Promise<ImportResult> {
  const seen = new Map<string, number>();
  let batch: Line[] = [];
  let result: ImportResult = { added: 0, there: 0, notTaken: 0 };
  let number = 0;
  for await (const text of lines) {
    number++;
    if (text.trim() === '') continue;
    const read = readLine(text, claimsOf(parts));
    const reason = typeof read === 'string' ? read : repeated(read, number, seen);
    if (typeof read === 'string' || reason !== undefined)
      refuse({ line: number, reason: String(reason) });
    else batch.push({ number, person: read });
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  return result;

  function refuse(who: NotTaken): void {
    result = { ...result, notTaken: result.notTaken + 1 };
    onNotTaken(who);
  }

  async function flush(): Promise<void> {
    const people = batch;
    batch = [];
    const news: Line[] = [];
    for (const [line, found] of await whoIsHere(parts.storage.prisma, people)) {
      if (found === 'new') news.push(line);
      else if (found === 'there') result = { ...result, there: result.there + 1 };
      else refuse({ line: line.number, reason: found });
    }
    const added = isDryRun ? news.length : await add(news);
    result = { ...result, added: result.added + added };
    onProgress(result);
  }

  /** @returns how many were added */
  async function add(news: readonly Line[]): Promise<number> {
    if (news.length === 0) return 0;
    try {
      const left = await insert(parts, news);
      for (const { number: line } of left)
        refuse({
          line,
          reason: 'somebody has taken the address, the sub or the username meanwhile',
        });
      return news.length - left.length;
    } catch (error) {
      if (!isUnstorable(error)) throw error;
      const [only] = news;
      if (news.length > 1 || !only) {
        let count = 0;
        for (const one of news) count += await add([one]);
        return count;
      }
      refuse({ line: only.number, reason: english().t('error.unstorable') });
      return 0;
    }
  }
}

/** @returns why the line cannot be taken, instead of a person */
function readLine(text: string, claims: ClaimsConfig): Person | string {
  try {
    return readPerson(JSON.parse(text), claims);
  } catch {
    return 'this is no JSON: a line is one person, {"email":"ada@example.com",…}';
  }
}

/** @returns why this is nobody who can be taken, instead of a person */
export function readPerson(value: unknown, claims: ClaimsConfig): Person | string {
  const parsed = person.safeParse(value);
  if (parsed.success) return claimsProblem(parsed.data.claims, claims) ?? parsed.data;
  const [issue] = parsed.error.issues;
  const { message = '', path = [] } = issue ?? {};
  return [...path, isMessageKey(message) ? english().t(message) : message].join(': ');
}

/** Whether another line of the file has named the same person. */
function repeated({ email, sub, username }: Person, line: number, seen: Map<string, number>) {
  const keys = { address: asciiAddress(email), sub, username };
  for (const [what, key] of Object.entries(keys)) {
    const before = key == null ? undefined : seen.get(`${what} ${key}`);
    if (before !== undefined) return `line ${before} has the same ${what}`;
  }
  for (const [what, key] of Object.entries(keys)) if (key != null) seen.set(`${what} ${key}`, line);
  return undefined;
}

type Found = 'new' | 'there' | (string & {});

async function whoIsHere(
  database: Prisma.TransactionClient,
  lines: readonly Line[],
): Promise<[Line, Found][]> {
  const people = lines.map(({ person: one }) => one);
  const accounts = await database.account.findMany({
    where: {
      OR: [
        { emailAscii: { in: people.map(({ email }) => asciiAddress(email)) } },
        { id: { in: people.flatMap(({ sub }) => sub ?? []) } },
        { username: { in: people.flatMap(({ username }) => username ?? []) } },
      ],
    },
    select: { id: true, email: true, emailAscii: true, username: true },
  });
  const by = (key: 'id' | 'emailAscii' | 'username') =>
    new Map(accounts.map((account) => [account[key], account]));
  const [ids, addresses, usernames] = [by('id'), by('emailAscii'), by('username')];
  return lines.map((line) => {
    const { email, sub, username } = line.person;
    const same = addresses.get(asciiAddress(email));
    if (same && (sub === undefined || same.id === sub)) return [line, 'there'];
    if (same) return [line, `somebody has the address ${email}, with the sub ${same.id}`];
    const other = sub === undefined ? undefined : ids.get(sub);
    if (other) return [line, `somebody has the sub ${other.id}, with the address ${other.email}`];
    if (username && usernames.has(username)) return [line, `somebody has the username ${username}`];
    return [line, 'new'];
  });
}

/** Adds people, with their groups and the audit, in one transaction. @returns those who came too late */
async function insert({ storage, origin }: ChangeParts, lines: readonly Line[]): Promise<Line[]> {
  const now = storage.now();
  const rows = lines.map(({ person: one }) => ({
    id: one.sub ?? randomUUID(),
    email: one.email,
    emailAscii: asciiAddress(one.email),
    emailVerified: one.email_verified,
    name: one.name || null,
    username: one.username ?? null,
    passwordHash: one.password_hash ?? null,
    locale: one.locale ?? null,
    claims: one.claims as Prisma.InputJsonObject,
    groups: [...new Set(one.groups)].sort(),
    lockedAt: one.locked ? now : null,
  }));
  const names = [...new Set(rows.flatMap(({ groups }) => groups))];
  return storage.prisma.$transaction(async (database) => {
    const made = await database.group.createManyAndReturn({
      ...{ data: names.map((name) => ({ name })), skipDuplicates: true, select: { name: true } },
    });
    const added = await database.account.createManyAndReturn({
      ...{ data: rows, skipDuplicates: true, select: { id: true } },
    });
    const events = [
      ...made.map((detail) => ({ type: 'group.added', detail }) as const),
      ...added.map(
        ({ id: accountId }) =>
          ({ type: 'account.added', accountId, detail: { by: 'import' } }) as const,
      ),
    ];
    await writeEvents(database, events, { now, origin });
    const ids = new Set(added.map(({ id }) => id));
    const apps = lines.flatMap(({ person: { totp } }, index) => {
      const id = rows[index]?.id ?? '';
      return totp !== undefined && ids.has(id) ? [totpRow(storage, id, totp)] : [];
    });
    await database.totp.createMany({ data: apps });
    return lines.filter((_line, index) => !ids.has(rows[index]?.id ?? ''));
  });
}

/** Turns what a rule throws into an issue of the field. */
function failing<Out>(rule: (given: string) => Out) {
  return (given: string | undefined, context: z.RefinementCtx): Out | undefined => {
    try {
      return given === undefined ? undefined : rule(given);
    } catch (error) {
      const message = error instanceof AccountError ? error.code : (error as Error).message;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  };
}

function named(name: string, context: z.RefinementCtx): void {
  const message = groupNameProblem(name);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
}
